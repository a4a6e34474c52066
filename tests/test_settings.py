from __future__ import annotations

import re
from pathlib import Path

import pytest

from gql_epoint.errors import ConfigurationError
from gql_epoint.keys import DEVELOPMENT, digest_of
from gql_epoint.setting_values import without_password
from gql_epoint.settings import (
    DOCUMENTATION_PRIVATE_KEY,
    SETTINGS,
    Secret,
    Settings,
    read_settings,
    settings_help,
    settings_table,
)

README = Path(__file__).parent.parent / "README.md"
KEYS = f"shop:PAYMENTS_READ:{digest_of('sk_live_x')}"
LIVE = {
    "EPOINT_PUBLIC_KEY": "i000000007",
    "EPOINT_PRIVATE_KEY": "0123456789abcdefghij",
    "GQL_EPOINT_SECRET_KEYS": KEYS,
}
SANDBOX = {"GQL_EPOINT_SANDBOX": "1"}


def problem(environ: dict[str, str]) -> str:
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_env(environ)
    return str(caught.value)


def test_live_mode_needs_three_settings() -> None:
    """The two keys of the merchant and one secret key are enough."""
    settings = Settings.from_env(LIVE)

    assert settings.private_key.reveal() == "0123456789abcdefghij"
    assert [key.name for key in settings.secret_keys] == ["shop"]
    assert (settings.host, settings.port) == ("127.0.0.1", 8080)
    assert settings.gateway_url == "https://epoint.az"
    assert settings.database_url.reveal() == "sqlite:///gql-epoint.db"
    assert not settings.explorer
    assert not settings.sandbox


def test_sandbox_mode_needs_one_setting() -> None:
    """GQL_EPOINT_SANDBOX=1 alone makes everything else, and never the files or the gateway of live mode."""
    settings = Settings.from_env(SANDBOX)

    assert settings.secret_keys == (DEVELOPMENT,)
    assert settings.private_key.reveal() == DOCUMENTATION_PRIVATE_KEY
    assert settings.gateway_url == "http://127.0.0.1:8081"
    assert settings.database_url.reveal() == "sqlite:///gql-epoint-sandbox.db"
    assert settings.explorer


def test_the_simulator_is_where_its_port_says() -> None:
    """One setting moves both sides."""
    assert Settings.from_env(SANDBOX | {"GQL_EPOINT_SIMULATOR_PORT": "9001"}).gateway_url == "http://127.0.0.1:9001"


def test_a_sandbox_takes_further_keys() -> None:
    """Scopes can be tried out beside the development key, which has all of them."""
    keys = Settings.from_env(SANDBOX | {"GQL_EPOINT_SECRET_KEYS": KEYS}).secret_keys

    assert [key.name for key in keys] == ["development", "shop"]


@pytest.mark.parametrize("name", sorted(LIVE))
@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_missing_key_stops_the_start_up(name: str, value: str | None) -> None:
    """The sentence says which setting, what to set it to, and how to try without."""
    environ = {key: text for key, text in LIVE.items() if key != name} | ({} if value is None else {name: value})

    assert re.search(rf"^{name}: is not set.* set .*GQL_EPOINT_SANDBOX=1$", problem(environ))


WRONG = [
    ({"EPOINT_PRIVATE_KEY": DOCUMENTATION_PRIVATE_KEY}, "EPOINT_PRIVATE_KEY: is the example key of EPoint's"),
    ({"EPOINT_PRIVATE_KEY": "changeme"}, "EPOINT_PRIVATE_KEY: is too short"),
    ({"EPOINT_PRIVATE_KEY": "0123456789 abcdefghij"}, "EPOINT_PRIVATE_KEY: must be one word"),
    ({"EPOINT_PUBLIC_KEY": "my merchant"}, "EPOINT_PUBLIC_KEY: must be a public key such as"),
    ({"GQL_EPOINT_SECRET_KEYS": "sk_live_abc"}, "GQL_EPOINT_SECRET_KEYS: entry 1 cannot be used"),
    (
        {"GQL_EPOINT_SECRET_KEYS": f"a:PAYMENTS_READ:{DEVELOPMENT.digest}"},
        "the sandbox's key, which everybody knows",
    ),
    ({"GQL_EPOINT_SECRET_KEYS": ","}, "GQL_EPOINT_SECRET_KEYS: is not set"),
    ({"GQL_EPOINT_SANDBOX": "maybe"}, "GQL_EPOINT_SANDBOX: must be 1 or 0"),
    ({"EPOINT_INTERFACE_LANG": "de"}, "EPOINT_INTERFACE_LANG: must be one of az, en, ru"),
    ({"EPOINT_SUCCESS_REDIRECT_URL": "shop.example"}, "EPOINT_SUCCESS_REDIRECT_URL: must be an http or https"),
    ({"EPOINT_FAILED_REDIRECT_URL": "javascript:alert(1)"}, "EPOINT_FAILED_REDIRECT_URL: must be an http or https"),
    ({"GQL_EPOINT_PORT": "65536"}, "GQL_EPOINT_PORT: must be a whole number from 0 to 65535"),
    ({"GQL_EPOINT_PORT": "-1"}, "GQL_EPOINT_PORT: must be a whole number"),
    ({"GQL_EPOINT_HOST": "http://0.0.0.0"}, "GQL_EPOINT_HOST: must be an address or name to listen on"),
    ({"GQL_EPOINT_PUBLIC_URL": "http://pay.shop.example"}, "GQL_EPOINT_PUBLIC_URL: must start with https"),
    ({"GQL_EPOINT_PUBLIC_URL": "pay.shop.example"}, "GQL_EPOINT_PUBLIC_URL: must be an https address"),
    ({"GQL_EPOINT_PUBLIC_URL": "https://pay.shop.example/?a"}, "GQL_EPOINT_PUBLIC_URL: must be an https address"),
    ({"GQL_EPOINT_GATEWAY_URL": "http://epoint.az"}, "GQL_EPOINT_GATEWAY_URL: must start with https"),
    ({"GQL_EPOINT_GATEWAY_URL": "https://epoint.az/?a=b"}, "GQL_EPOINT_GATEWAY_URL: must be an http or https"),
    ({"GQL_EPOINT_GATEWAY_URL": "https://a:b@epoint.az"}, "GQL_EPOINT_GATEWAY_URL: must be an http or https"),
    ({"GQL_EPOINT_CALL_TIMEOUT_S": "0"}, "GQL_EPOINT_CALL_TIMEOUT_S: must be a number from 1 to 120, in seconds"),
    ({"GQL_EPOINT_CALL_TIMEOUT_S": "nan"}, "GQL_EPOINT_CALL_TIMEOUT_S: must be a number"),
    ({"GQL_EPOINT_DATABASE_URL": "gql.db"}, "GQL_EPOINT_DATABASE_URL: must be sqlite:///file.db"),
    ({"GQL_EPOINT_DATABASE_URL": "sqlite:///:memory:"}, "GQL_EPOINT_DATABASE_URL: must be sqlite:///file.db"),
    ({"GQL_EPOINT_DATABASE_URL": "mysql://host/books"}, "GQL_EPOINT_DATABASE_URL: must be sqlite:///file.db"),
    ({"GQL_EPOINT_DATABASE_URL": "postgresql://"}, "GQL_EPOINT_DATABASE_URL: must be sqlite:///file.db"),
    ({"GQL_EPOINT_ALLOWED_ORIGINS": "*"}, "GQL_EPOINT_ALLOWED_ORIGINS: must be a list of origins"),
    (
        {"GQL_EPOINT_ALLOWED_ORIGINS": "https://a.example/x"},
        "GQL_EPOINT_ALLOWED_ORIGINS: must be a list of origins",
    ),
    ({"GQL_EPOINT_BODY_BYTES_MAX": "lots"}, "GQL_EPOINT_BODY_BYTES_MAX: must be a whole number from 1000 to"),
    ({"GQL_EPOINT_RETURN_HOSTS": "https://shop.example"}, "GQL_EPOINT_RETURN_HOSTS: must be names of hosts"),
    ({"GQL_EPOINT_PAGE_HOSTS": "a.example/x"}, "GQL_EPOINT_PAGE_HOSTS: must be names of hosts"),
    ({"GQL_EPOINT_TRUSTED_PROXIES": "proxy"}, "GQL_EPOINT_TRUSTED_PROXIES: must be addresses or networks"),
    ({"GQL_EPOINT_TRUSTED_PROXIES": "10.0.0.1/8"}, "GQL_EPOINT_TRUSTED_PROXIES: must be addresses or networks"),
    ({"GQL_EPOINT_TOKEN_STREAMS_MAX": "-1"}, "GQL_EPOINT_TOKEN_STREAMS_MAX: must be a whole number from 0"),
    ({"GQL_EPOINT_DIE_AT": "pay.recorded"}, "GQL_EPOINT_DIE_AT: is for tests of crashes and works in sandbox"),
    ({"GQL_EPOINT_DOCUMENTS_ONLY": "clients"}, "GQL_EPOINT_DOCUMENTS_ONLY: must be 0, client or all"),
    ({"GQL_EPOINT_DOCUMENTS_ONLY": "client"}, "GQL_EPOINT_DOCUMENTS_ONLY: lets nothing run without a manifest"),
    ({"GQL_EPOINT_DIE_AT": "lunch"}, "GQL_EPOINT_DIE_AT: must be one of pay.recording, pay.recorded"),
    ({"GQL_EPOINT_LOG_LEVEL": "loud"}, "GQL_EPOINT_LOG_LEVEL: must be one of DEBUG, INFO, WARNING, ERROR"),
]


@pytest.mark.parametrize(("change", "words"), WRONG, ids=[f"{next(iter(c))}-{n}" for n, (c, _) in enumerate(WRONG)])
def test_a_wrong_value_stops_the_start_up(change: dict[str, str], words: str) -> None:
    """The sentence names the setting and says what it takes."""
    assert words in problem(LIVE | change)


@pytest.mark.parametrize(
    "change",
    [
        {"GQL_EPOINT_HOST": "0.0.0.0"},
        {"GQL_EPOINT_HOST": "::"},
        {"GQL_EPOINT_HOST": "localhost.example"},
        {"GQL_EPOINT_HOST": "192.168.1.5"},
        {"GQL_EPOINT_GATEWAY_URL": "https://epoint.az"},
        {"GQL_EPOINT_GATEWAY_URL": "https://127.0.0.1.example"},
    ],
)
def test_a_sandbox_stays_on_this_machine(change: dict[str, str]) -> None:
    """Everybody knows the development key, so a sandbox neither listens to others nor calls the real EPoint."""
    assert "in sandbox mode" in problem(SANDBOX | change)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "::1", "localhost"])
def test_a_sandbox_takes_any_loopback_address(host: str) -> None:
    assert Settings.from_env(SANDBOX | {"GQL_EPOINT_HOST": host}).host == host


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("GQL_EPOINT_PRT", "GQL_EPOINT_PORT"),
        ("GQL_EPOINT_SECRET_KEY", "GQL_EPOINT_SECRET_KEYS"),
        ("GQL_EPOINT_ALLOWED_ORIGIN", "GQL_EPOINT_ALLOWED_ORIGINS"),
    ],
)
def test_a_misspelled_setting_is_an_error(name: str, meant: str) -> None:
    """A typo never leaves a limit or an origin silently at its default."""
    assert problem(LIVE | {name: "1"}) == f"{name}: is not a setting; did you mean {meant}?"


def test_all_problems_are_told_at_once() -> None:
    """`gql-epoint check` spares its user one round for each mistake."""
    settings, problems = read_settings({"GQL_EPOINT_PORT": "x", "GQL_EPOINT_TYPO": "1"})

    assert settings is None
    assert [found.setting for found in problems] == [
        "GQL_EPOINT_TYPO",
        "EPOINT_PUBLIC_KEY",
        "EPOINT_PRIVATE_KEY",
        "GQL_EPOINT_SECRET_KEYS",
        "GQL_EPOINT_PORT",
    ]


def test_no_error_quotes_a_value() -> None:
    """A secret that was put into the wrong setting does not end up in a log."""
    for row in SETTINGS:
        _, problems = read_settings(LIVE | {row.name: "s3cret\x00s3cret"})

        assert "s3cret" not in " ".join(map(str, problems)), row.name


def test_a_secret_hides_in_every_representation() -> None:
    secret = Secret("hush")

    assert "hush" not in f"{secret} {secret!r} {[secret]} {Settings.from_env(LIVE)}"
    assert (repr(secret), secret.reveal()) == ("Secret('***')", "hush")
    assert "0123456789abcdefghij" not in repr(Settings.from_env(LIVE))


def test_a_database_may_be_a_server_whose_password_is_not_shown() -> None:
    settings = Settings.from_env(LIVE | {"GQL_EPOINT_DATABASE_URL": "postgresql://me:hush@db.example/books?ssl=on"})

    assert settings.database_url.reveal().endswith("books?ssl=on")
    assert "hush" not in repr(settings)
    assert without_password(settings.database_url.reveal()) == "postgresql://db.example/books"
    assert without_password("postgresql:///books?password=hush") == "postgresql:///books"
    assert without_password("sqlite:///a@b.db") == "sqlite:///a@b.db"


def test_every_field_has_a_row_and_every_row_a_field() -> None:
    assert sorted(row.field for row in SETTINGS) == sorted(Settings.__struct_fields__)


def test_every_row_is_in_the_table_and_in_the_help() -> None:
    for row in SETTINGS:
        assert f"| `{row.name}` |" in settings_table()
        assert f"  {row.name}\n" in settings_help()
        assert row.help.endswith(".")
        assert "|" not in row.help


def test_the_readme_has_the_table() -> None:
    """The README tells what the code does; `gql-epoint check --table` prints it anew."""
    found = re.search(r"<!-- settings -->\n(.*?)\n<!-- /settings -->", README.read_text(), re.DOTALL)

    assert found
    assert found[1].strip() == settings_table()


@pytest.mark.parametrize(
    ("text", "bound"),
    [("0", "NOBODY"), ("no", "NOBODY"), ("client", "CLIENT"), ("1", "ALL"), ("true", "ALL"), ("ALL", "ALL")],
)
def test_documents_only_binds_nobody_browsers_or_all(text: str, bound: str) -> None:
    """What was a flag still is one."""
    environ = LIVE | {"GQL_EPOINT_DOCUMENTS": "manifest.json", "GQL_EPOINT_DOCUMENTS_ONLY": text}

    assert Settings.from_env(environ).documents_only.name == bound
