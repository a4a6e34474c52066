"""Every setting, in one table: the only reader of the environment.

A row of SETTINGS gives a setting its name, default, meaning and parser. Validation, `gql-epoint check`, the help
text and the table in the README all follow from it.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from gql_epoint.errors import ConfigurationError
from gql_epoint.keys import DEVELOPMENT, SecretKey, parse_keys
from gql_epoint.points import POINTS
from gql_epoint.setting_values import (
    DocumentsOnly,
    Network,
    Secret,
    is_loopback,
    one_of,
    parse_database_url,
    parse_documents_only,
    parse_flag,
    parse_gateway_url,
    parse_host,
    parse_hosts,
    parse_networks,
    parse_origins,
    parse_path,
    parse_private_key,
    parse_public_key,
    parse_public_url,
    parse_text,
    parse_token,
    parse_url,
    seconds,
    whole_number,
)

DOCUMENTATION_PUBLIC_KEY = "i000000001"
DOCUMENTATION_PRIVATE_KEY = "d3hjsl38sd8kdfhbcea0be04eafde9e8e2bad2fb092d"
"""The example merchant of EPoint's own documentation, whose private key is as public as the other one."""

_PREFIX = "GQL_EPOINT_"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the environment says, checked. Each field is described by the row of the same name in SETTINGS."""

    sandbox: bool
    public_key: str
    private_key: Secret
    interface_lang: str
    success_redirect_url: str | None
    failed_redirect_url: str | None
    logger_name: str
    secret_keys: tuple[SecretKey, ...]
    host: str
    port: int
    database_url: Secret
    gateway_url: str
    call_timeout_s: float
    explorer: bool
    allowed_origins: tuple[str, ...]
    apple_pay_origins: tuple[str, ...]
    body_bytes_max: int
    document_tokens_max: int
    document_depth_max: int
    document_aliases_max: int
    list_items_max: int
    variables_bytes_max: int
    connection_operations_max: int
    socket_init_timeout_s: float
    documents: Path | None
    documents_only: DocumentsOnly
    persisted_queries: bool
    compiled: bool
    callback_bytes_max: int
    return_hosts: frozenset[str]
    page_hosts: frozenset[str]
    public_url: str | None
    trusted_proxies: tuple[Network, ...]
    key_requests_per_minute: int
    token_requests_per_minute: int
    address_requests_per_minute: int
    token_streams_max: int
    address_connections_max: int
    address_attempts_max: int
    address_declines_max: int
    address_window_s: int
    log_level: str
    log_format: str
    metrics_token: Secret | None
    traces: bool
    simulator_port: int
    shop_port: int
    die_at: str | None

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Read and check all settings. Raises ConfigurationError for the first that would not work."""
        settings, problems = read_settings(environ)
        if settings is None:
            raise problems[0]
        return settings


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One row: `parse` turns text into the value of `field` or raises ValueError with the rest of a sentence.

    A blank variable counts as one that is not set. The defaults are written as in the environment; None means that
    the setting must be given.
    """

    name: str
    field: str
    parse: Callable[[str], Any]
    default: str | None
    sandbox_default: str | None = None
    secret: bool = False
    help: str

    def default_in(self, sandbox: bool) -> str | None:
        """Return the default of this mode."""
        return self.default if not sandbox or self.sandbox_default is None else self.sandbox_default


def read_settings(environ: Mapping[str, str]) -> tuple[Settings | None, list[ConfigurationError]]:
    """Read all settings and return them, or None and everything that is wrong with them."""
    problems = list(_misspelled(environ))
    sandbox = _read(_SANDBOX, environ, False, []) is True
    values = {row.field: _read(row, environ, sandbox, problems) for row in SETTINGS}
    if problems:
        return None, problems
    if sandbox:
        values["secret_keys"] = (DEVELOPMENT, *values["secret_keys"])
        values["gateway_url"] = values["gateway_url"] or f"http://127.0.0.1:{values['simulator_port']}"
    settings = Settings(**values)
    problems = list(_sandbox_problems(settings) if sandbox else _live_problems(settings))
    if settings.documents_only is not DocumentsOnly.NOBODY and settings.documents is None:
        what = "lets nothing run without a manifest; set GQL_EPOINT_DOCUMENTS as well"
        problems.append(ConfigurationError("GQL_EPOINT_DOCUMENTS_ONLY", what))
    return (None, problems) if problems else (settings, [])


def read_setting(name: str, environ: Mapping[str, str]) -> Any:
    """Read one setting by itself. Raises ConfigurationError."""
    problems: list[ConfigurationError] = []
    value = _read(next(row for row in SETTINGS if row.name == name), environ, False, problems)
    if problems:
        raise problems[0]
    return value


def settings_table() -> str:
    """Return all settings as a Markdown table, for the README."""
    rows = ["| Setting | Default | Meaning |", "|---|---|---|"]
    rows += [f"| `{row.name}` | {_default_text(row)} | {row.help} |" for row in SETTINGS]
    return "\n".join(rows)


def settings_help() -> str:
    """Return all settings as plain text, for a terminal."""
    return "\n".join(f"  {row.name}\n      {row.help} Default: {_default_text(row)}." for row in SETTINGS).replace(
        "`", ""
    )


_SANDBOX = Setting(
    name="GQL_EPOINT_SANDBOX",
    field="sandbox",
    parse=parse_flag,
    default="0",
    help="1 turns on sandbox mode: the development key, EPoint's example merchant, and nothing but this machine.",
)

SETTINGS: tuple[Setting, ...] = (
    _SANDBOX,
    Setting(
        name="EPOINT_PUBLIC_KEY",
        field="public_key",
        parse=parse_public_key,
        default=None,
        sandbox_default=DOCUMENTATION_PUBLIC_KEY,
        help="The public key of your EPoint merchant.",
    ),
    Setting(
        name="EPOINT_PRIVATE_KEY",
        field="private_key",
        parse=parse_private_key,
        default=None,
        sandbox_default=DOCUMENTATION_PRIVATE_KEY,
        secret=True,
        help="The private key of your EPoint merchant. It signs what is sent and verifies callbacks.",
    ),
    Setting(
        name="EPOINT_INTERFACE_LANG",
        field="interface_lang",
        parse=one_of("az", "en", "ru"),
        default="az",
        help="The language of EPoint's pages where a request names none: az, en or ru.",
    ),
    Setting(
        name="EPOINT_SUCCESS_REDIRECT_URL",
        field="success_redirect_url",
        parse=parse_url,
        default="",
        help="Where customers go after a payment; unset, as EPoint's dashboard says.",
    ),
    Setting(
        name="EPOINT_FAILED_REDIRECT_URL",
        field="failed_redirect_url",
        parse=parse_url,
        default="",
        help="Where customers go after a failed payment; unset, as EPoint's dashboard says.",
    ),
    Setting(
        name="EPOINT_LOGGER_NAME",
        field="logger_name",
        parse=parse_text,
        default="epoint",
        help="The logger that tells of calls to EPoint.",
    ),
    Setting(
        name="GQL_EPOINT_SECRET_KEYS",
        field="secret_keys",
        parse=parse_keys,
        default=None,
        sandbox_default="",
        secret=True,
        help="Who may call: lines of `gql-epoint keys new`, separated by commas or line ends. Holds hashes only.",
    ),
    Setting(
        name="GQL_EPOINT_HOST",
        field="host",
        parse=parse_host,
        default="127.0.0.1",
        help="The address to listen on.",
    ),
    Setting(
        name="GQL_EPOINT_PORT",
        field="port",
        parse=whole_number(0, 65535, ""),
        default="8080",
        help="The port to listen on; 0 takes any that is free.",
    ),
    Setting(
        name="GQL_EPOINT_DATABASE_URL",
        field="database_url",
        parse=parse_database_url,
        default="sqlite:///gql-epoint.db",
        sandbox_default="sqlite:///gql-epoint-sandbox.db",
        help="The database of record: a SQLite file, or `postgresql://user:password@host/database`.",
    ),
    Setting(
        name="GQL_EPOINT_GATEWAY_URL",
        field="gateway_url",
        parse=parse_gateway_url,
        default="https://epoint.az",
        sandbox_default="",
        help="Where EPoint is. In the sandbox it is the simulator on this machine.",
    ),
    Setting(
        name="GQL_EPOINT_CALL_TIMEOUT_S",
        field="call_timeout_s",
        parse=seconds(1, 120),
        default="30",
        help="How long EPoint may take to answer, in seconds.",
    ),
    Setting(
        name="GQL_EPOINT_EXPLORER",
        field="explorer",
        parse=parse_flag,
        default="0",
        sandbox_default="1",
        help="1 serves GraphiQL to browsers at /graphql.",
    ),
    Setting(
        name="GQL_EPOINT_ALLOWED_ORIGINS",
        field="allowed_origins",
        parse=parse_origins,
        default="",
        help="Origins of web pages that may call, separated by commas, such as https://shop.example.",
    ),
    Setting(
        name="GQL_EPOINT_APPLE_PAY_ORIGINS",
        field="apple_pay_origins",
        parse=parse_origins,
        default="",
        sandbox_default="https://shop.example",
        help="Origins of web pages for which `applePaySession` is answered; unset, those that may call.",
    ),
    Setting(
        name="GQL_EPOINT_BODY_BYTES_MAX",
        field="body_bytes_max",
        parse=whole_number(1_000, 10_000_000, " bytes"),
        default="131072",
        help="The longest GraphQL request or WebSocket message that is read, in bytes.",
    ),
    Setting(
        name="GQL_EPOINT_DOCUMENT_TOKENS_MAX",
        field="document_tokens_max",
        parse=whole_number(100, 100_000, ""),
        default="5000",
        help="How many tokens (names, numbers, texts, punctuation) a GraphQL document may have.",
    ),
    Setting(
        name="GQL_EPOINT_DOCUMENT_DEPTH_MAX",
        field="document_depth_max",
        parse=whole_number(5, 64, ""),
        default="20",
        help="How many fields of a document may be inside each other. Introspection by explorers needs 16.",
    ),
    Setting(
        name="GQL_EPOINT_DOCUMENT_ALIASES_MAX",
        field="document_aliases_max",
        parse=whole_number(0, 1_000, ""),
        default="60",
        help="How many aliases a document may have.",
    ),
    Setting(
        name="GQL_EPOINT_LIST_ITEMS_MAX",
        field="list_items_max",
        parse=whole_number(1, 10_000, ""),
        default="100",
        help="How many items a list may have that is sent as an argument. Pages have at most 100 in any case.",
    ),
    Setting(
        name="GQL_EPOINT_VARIABLES_BYTES_MAX",
        field="variables_bytes_max",
        parse=whole_number(1_000, 10_000_000, " bytes"),
        default="65536",
        help="How long the variables of an operation may be as JSON, in bytes.",
    ),
    Setting(
        name="GQL_EPOINT_CONNECTION_OPERATIONS_MAX",
        field="connection_operations_max",
        parse=whole_number(1, 1_000, ""),
        default="50",
        help="How many operations one WebSocket or shared event stream carries at a time, subscriptions above all.",
    ),
    Setting(
        name="GQL_EPOINT_SOCKET_INIT_TIMEOUT_S",
        field="socket_init_timeout_s",
        parse=seconds(1, 60),
        default="10",
        help="How long a WebSocket may take to say `connection_init`, in seconds.",
    ),
    Setting(
        name="GQL_EPOINT_DOCUMENTS",
        field="documents",
        parse=parse_path,
        default="",
        help="A manifest of GraphQL documents, Apollo's or Relay's JSON file: clients may send their ids instead.",
    ),
    Setting(
        name="GQL_EPOINT_DOCUMENTS_ONLY",
        field="documents_only",
        parse=parse_documents_only,
        default="0",
        help="Who may run nothing but the manifest: `client` binds all without a secret key, so client tokens as "
        "well; 1 or `all` binds everybody.",
    ),
    Setting(
        name="GQL_EPOINT_PERSISTED_QUERIES",
        field="persisted_queries",
        parse=parse_flag,
        default="0",
        help="1 turns on Apollo's automatic persisted queries: clients send a document once, then its hash.",
    ),
    Setting(
        name="GQL_EPOINT_COMPILED",
        field="compiled",
        parse=parse_flag,
        default="1",
        help="0 lets graphql-core run what is otherwise compiled: the same answers, slower. To rule it out.",
    ),
    Setting(
        name="GQL_EPOINT_CALLBACK_BYTES_MAX",
        field="callback_bytes_max",
        parse=whole_number(1_000, 10_000_000, " bytes"),
        default="65536",
        help="The longest callback from EPoint that is read, in bytes.",
    ),
    Setting(
        name="GQL_EPOINT_RETURN_HOSTS",
        field="return_hosts",
        parse=parse_hosts,
        default="",
        help="Hosts that return URLs may name, separated by commas, such as shop.example; unset, any.",
    ),
    Setting(
        name="GQL_EPOINT_PAGE_HOSTS",
        field="page_hosts",
        parse=parse_hosts,
        default="",
        help="Hosts besides EPoint's own on which its payment pages may be; customers are sent to no other.",
    ),
    Setting(
        name="GQL_EPOINT_PUBLIC_URL",
        field="public_url",
        parse=parse_public_url,
        default="",
        help="Where EPoint reaches this service, such as https://pay.shop.example, to tell of transfers to "
        "businesses; unset, this service asks by itself.",
    ),
    Setting(
        name="GQL_EPOINT_TRUSTED_PROXIES",
        field="trusted_proxies",
        parse=parse_networks,
        default="",
        help="Addresses or networks of proxies whose X-Forwarded-For is believed, separated by commas.",
    ),
    Setting(
        name="GQL_EPOINT_KEY_REQUESTS_PER_MINUTE",
        field="key_requests_per_minute",
        parse=whole_number(0, 10_000_000, ""),
        default="60000",
        sandbox_default="0",
        help="How many requests one secret key may send to one node; 0 is no limit. An operation on a WebSocket "
        "counts as one.",
    ),
    Setting(
        name="GQL_EPOINT_TOKEN_REQUESTS_PER_MINUTE",
        field="token_requests_per_minute",
        parse=whole_number(0, 10_000_000, ""),
        default="120",
        sandbox_default="0",
        help="How many requests one client token may send to one node; 0 is no limit.",
    ),
    Setting(
        name="GQL_EPOINT_ADDRESS_REQUESTS_PER_MINUTE",
        field="address_requests_per_minute",
        parse=whole_number(0, 10_000_000, ""),
        default="600",
        sandbox_default="0",
        help="How many requests without a secret key one address may send to one node; 0 is no limit. Behind a "
        "proxy, set GQL_EPOINT_TRUSTED_PROXIES, or all customers count as one.",
    ),
    Setting(
        name="GQL_EPOINT_TOKEN_STREAMS_MAX",
        field="token_streams_max",
        parse=whole_number(0, 1_000_000, ""),
        default="10",
        sandbox_default="0",
        help="How many requests, event streams and WebSockets of one client token may be open at once on one node; "
        "0 is no limit.",
    ),
    Setting(
        name="GQL_EPOINT_ADDRESS_CONNECTIONS_MAX",
        field="address_connections_max",
        parse=whole_number(0, 1_000_000, ""),
        default="200",
        sandbox_default="0",
        help="How many requests, event streams and WebSockets of one address may be open at once, those with a "
        "secret key in a header not counted; 0 is no limit.",
    ),
    Setting(
        name="GQL_EPOINT_ADDRESS_ATTEMPTS_MAX",
        field="address_attempts_max",
        parse=whole_number(0, 1_000_000, ""),
        default="100",
        sandbox_default="0",
        help="How many attempts to pay browsers at one address may start within GQL_EPOINT_ADDRESS_WINDOW_S, over "
        "all checkouts and nodes, against card testing; 0 is no limit.",
    ),
    Setting(
        name="GQL_EPOINT_ADDRESS_DECLINES_MAX",
        field="address_declines_max",
        parse=whole_number(0, 1_000_000, ""),
        default="30",
        sandbox_default="0",
        help="How many of those may be declined before no further one may start; 0 is no limit.",
    ),
    Setting(
        name="GQL_EPOINT_ADDRESS_WINDOW_S",
        field="address_window_s",
        parse=whole_number(60, 86_400, " seconds"),
        default="3600",
        help="For how long an attempt or decline counts for its address, in seconds; then it is forgotten.",
    ),
    Setting(
        name="GQL_EPOINT_LOG_LEVEL",
        field="log_level",
        parse=one_of("DEBUG", "INFO", "WARNING", "ERROR"),
        default="INFO",
        help="How much to log: DEBUG, INFO, WARNING or ERROR.",
    ),
    Setting(
        name="GQL_EPOINT_LOG_FORMAT",
        field="log_format",
        parse=one_of("text", "json"),
        default="text",
        help="How log lines look: text, or json for one JSON object per line.",
    ),
    Setting(
        name="GQL_EPOINT_METRICS_TOKEN",
        field="metrics_token",
        parse=parse_token,
        default="",
        secret=True,
        help="Serves Prometheus metrics at /metrics to whoever presents this as a bearer token. The sandbox serves "
        "them without.",
    ),
    Setting(
        name="GQL_EPOINT_TRACES",
        field="traces",
        parse=parse_flag,
        default="0",
        help="1 sends OpenTelemetry traces by OTLP over HTTP, to where `OTEL_EXPORTER_OTLP_ENDPOINT` says.",
    ),
    Setting(
        name="GQL_EPOINT_SIMULATOR_PORT",
        field="simulator_port",
        parse=whole_number(1, 65535, ""),
        default="8081",
        help="The port of the local EPoint simulator.",
    ),
    Setting(
        name="GQL_EPOINT_SHOP_PORT",
        field="shop_port",
        parse=whole_number(0, 65535, ""),
        default="8082",
        help="The port of the demo shop that `gql-epoint sandbox` runs; 0 takes any that is free.",
    ),
    Setting(
        name="GQL_EPOINT_DIE_AT",
        field="die_at",
        parse=lambda text: one_of(*POINTS)(text) if text else None,
        default="",
        help="For tests of crashes, in the sandbox only: end like a power cut at this point of a use case.",
    ),
)


# ---------------------------------------------------------------------------------------------------------
# What is wrong with them.
# ---------------------------------------------------------------------------------------------------------

_MISSING = {
    "EPOINT_PUBLIC_KEY": "is not set; set it to the public key of your EPoint merchant",
    "EPOINT_PRIVATE_KEY": "is not set; set it to the private key of your EPoint merchant",
    "GQL_EPOINT_SECRET_KEYS": "is not set, so nobody could call; make a key with `gql-epoint keys new` and set the "
    "line it prints",
}
_TRY_SANDBOX = "; to try gql-epoint without an EPoint account set GQL_EPOINT_SANDBOX=1"


def _misspelled(environ: Mapping[str, str]) -> Iterator[ConfigurationError]:
    known = [row.name for row in SETTINGS]
    for name in sorted(environ):
        if name.startswith(_PREFIX) and name not in known:
            nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
            yield ConfigurationError(name, f"is not a setting; did you mean {nearest}?")


def _read(row: Setting, environ: Mapping[str, str], sandbox: bool, problems: list[ConfigurationError]) -> Any:
    text = environ.get(row.name, "").strip() or row.default_in(sandbox)
    if text is None:
        problems.append(ConfigurationError(row.name, _MISSING[row.name] + _TRY_SANDBOX))
        return None
    try:
        return row.parse(text)
    except ValueError as exc:
        problems.append(ConfigurationError(row.name, str(exc)))
        return None


def _sandbox_problems(settings: Settings) -> Iterator[ConfigurationError]:
    if not is_loopback(settings.host):
        yield ConfigurationError(
            "GQL_EPOINT_HOST",
            "must be 127.0.0.1, ::1 or localhost in sandbox mode: everybody knows the development key",
        )
    if not is_loopback(urlsplit(settings.gateway_url).hostname or ""):
        yield ConfigurationError(
            "GQL_EPOINT_GATEWAY_URL",
            "must be an address of this machine in sandbox mode, such as http://127.0.0.1:8081",
        )


def _live_problems(settings: Settings) -> Iterator[ConfigurationError]:
    if settings.die_at is not None:
        yield ConfigurationError("GQL_EPOINT_DIE_AT", "is for tests of crashes and works in sandbox mode only")
    if settings.private_key.reveal() == DOCUMENTATION_PRIVATE_KEY:
        yield ConfigurationError(
            "EPOINT_PRIVATE_KEY",
            "is the example key of EPoint's documentation, with which anyone could forge callbacks; set the "
            "private key of your own merchant" + _TRY_SANDBOX,
        )
    if not settings.secret_keys:
        yield ConfigurationError("GQL_EPOINT_SECRET_KEYS", _MISSING["GQL_EPOINT_SECRET_KEYS"])


def _default_text(row: Setting) -> str:
    texts = ["must be set" if row.default is None else f"`{row.default}`" if row.default else "none"]
    if row.sandbox_default is not None and row.sandbox_default != row.default:
        sandbox = _SANDBOX_WORDS.get(row.name, f"`{row.sandbox_default}`")
        texts.append(f"in the sandbox {sandbox}")
    return "; ".join(texts)


_SANDBOX_WORDS = {
    "EPOINT_PRIVATE_KEY": "the example of EPoint's documentation",
    "GQL_EPOINT_SECRET_KEYS": "the development key",
    "GQL_EPOINT_GATEWAY_URL": "the simulator",
}
