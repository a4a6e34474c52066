from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from graphql import get_introspection_query

from gql_epoint.errors import ConfigurationError
from gql_epoint.schema.access import AuthLevel, Credential
from gql_epoint.setting_values import DocumentsOnly
from gql_epoint.web.asking import Asked
from gql_epoint.web.documents import DocumentError, Documents, read_manifest, sha256
from tests.checkout_kit import CONFIRM, create
from tests.checkout_kit import WATCH as WATCH_CHECKOUT
from tests.service import Client, Service
from tests.transports import TRANSPORTS

ASK = "query Ask { __typename }"
HASH = sha256(ASK)
VIEWER = {"query": "{ viewer { level } }"}
WATCH = "subscription Watch { events { cursor } }"


def by_hash(digest: object = HASH, query: str | None = None, version: object = 1) -> Asked:
    return Asked(query=query, extensions={"persistedQuery": {"version": version, "sha256Hash": digest}})


KEY = Credential(name="shop", level=AuthLevel.SECRET_KEY)
TOKEN = Credential(name="co_1", level=AuthLevel.CLIENT_TOKEN, checkout_id="co_1")


def code_of(documents: Documents, asked: Asked, credential: Credential | None = KEY) -> str:
    with pytest.raises(DocumentError) as caught:
        documents.resolve(asked, credential)
    return caught.value.code


def text_of(documents: Documents, asked: Asked, credential: Credential | None = KEY) -> str | None:
    return documents.resolve(asked, credential).query


# -- naming ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("document_id", ["ask-1", f"sha256:{HASH}", HASH])
def test_a_trusted_document_has_its_id_and_its_hash(document_id: str) -> None:
    assert text_of(Documents({"ask-1": ASK}), Asked(document_id=document_id)) == ASK


def test_a_manifest_serves_apollo_s_hashes_without_apq() -> None:
    assert text_of(Documents({"x": ASK}), by_hash()) == ASK


@pytest.mark.parametrize("document_id", ["", "x", "sha256:", "sha256:" + "0" * 64, f"sha256:{HASH.upper()}"])
def test_an_unknown_id_is_not_found(document_id: str) -> None:
    assert code_of(Documents({"a": ASK}), Asked(document_id=document_id)) == "PERSISTED_DOCUMENT_NOT_FOUND"


def test_an_id_beside_another_text_is_refused() -> None:
    documents = Documents({"a": ASK})

    assert text_of(documents, Asked(document_id="a", query=ASK)) == ASK
    assert code_of(documents, Asked(document_id="a", query="{ other }")) == "BAD_REQUEST"


def test_only_documents_of_the_manifest_run_if_so_set() -> None:
    """By their ids, their hashes or their own text."""
    documents = Documents({"a": ASK}, only=DocumentsOnly.ALL, apq=True)

    for asked in (Asked(document_id="a"), by_hash(), Asked(query=ASK)):
        assert text_of(documents, asked) == ASK
    for asked in (Asked(query="{ other }"), by_hash(sha256("{ other }"), "{ other }"), Asked(query=ASK + " ")):
        assert code_of(documents, asked) == "DOCUMENT_NOT_TRUSTED"


@pytest.mark.parametrize("bound", [TOKEN, None], ids=["client token", "stranger"])
def test_manifest_can_bind_all_but_secret_keys(bound: Credential | None) -> None:
    """What a backend has sent, or added, is not a browser's to run; nor does a browser add anything."""
    documents = Documents({"a": ASK}, only=DocumentsOnly.CLIENT, apq=True)
    other = "{ other }"
    added = by_hash(sha256(other))

    assert code_of(documents, by_hash(sha256(other), other), bound) == "DOCUMENT_NOT_TRUSTED"
    assert code_of(documents, added, KEY) == "PERSISTED_QUERY_NOT_FOUND"
    assert text_of(documents, by_hash(sha256(other), other), KEY) == other
    assert text_of(documents, added, KEY) == other
    for asked in (Asked(query=other), added, Asked(document_id=f"sha256:{sha256(other)}")):
        assert code_of(documents, asked, bound) == "DOCUMENT_NOT_TRUSTED"
    for asked in (Asked(document_id="a"), by_hash(), Asked(query=ASK)):
        assert text_of(documents, asked, bound) == ASK


def test_a_name_and_an_empty_text_are_a_name() -> None:
    """The graphql-ws client sends a `query` with each message, an empty one if need be."""
    documents = Documents({"a": ASK}, only=DocumentsOnly.ALL)

    assert text_of(documents, Asked(document_id="a", query="")) == ASK
    assert code_of(documents, Asked(document_id="a", query="{ other }")) == "BAD_REQUEST"


# -- automatic persisted queries ------------------------------------------------------------------------------


def test_apq_is_off_unless_asked_for() -> None:
    """A client that sends text and hash is served; one that sends the hash alone is told to send the text."""
    documents = Documents()

    assert code_of(documents, by_hash()) == "PERSISTED_QUERY_NOT_SUPPORTED"
    assert text_of(documents, by_hash(query=ASK)) == ASK
    assert code_of(documents, by_hash()) == "PERSISTED_QUERY_NOT_SUPPORTED"


def test_apq_knows_a_document_once_it_was_sent() -> None:
    documents = Documents(apq=True)

    assert code_of(documents, by_hash()) == "PERSISTED_QUERY_NOT_FOUND"
    assert text_of(documents, by_hash(query=ASK)) == ASK
    assert text_of(documents, by_hash()) == ASK
    assert text_of(documents, Asked(document_id=f"sha256:{HASH}")) == ASK


def test_strangers_add_nothing() -> None:
    documents = Documents(apq=True)

    assert text_of(documents, by_hash(query=ASK), None) == ASK
    assert code_of(documents, by_hash()) == "PERSISTED_QUERY_NOT_FOUND"


def test_what_is_added_is_bounded() -> None:
    """The oldest goes; what is long is not kept at all."""
    documents = Documents(apq=True)
    texts = [f"{{ a{number} }}" for number in range(501)] + ["{ a } #" + "x" * 20_000]
    for text in texts:
        documents.resolve(by_hash(sha256(text), text), KEY)

    assert code_of(documents, by_hash(sha256(texts[0]))) == "PERSISTED_QUERY_NOT_FOUND"
    assert text_of(documents, by_hash(sha256(texts[1]))) == texts[1]
    assert code_of(documents, by_hash(sha256(texts[-1]))) == "PERSISTED_QUERY_NOT_FOUND"


@pytest.mark.parametrize(
    "asked",
    [
        by_hash(query="{ other }"),
        by_hash(version=2),
        by_hash(version=None),
        by_hash(1),
        by_hash(None),
        Asked(extensions={"persistedQuery": []}),
        Asked(extensions={"persistedQuery": "x"}),
    ],
    ids=str,
)
def test_a_wrong_hash_is_refused(asked: Asked) -> None:
    assert code_of(Documents(apq=True), asked) == "BAD_REQUEST"


# -- manifests ------------------------------------------------------------------------------------------------

MANIFESTS = {
    "Apollo's": {
        "format": "apollo-persisted-query-manifest",
        "version": 1,
        "operations": [{"id": HASH, "name": "Ask", "type": "query", "body": ASK}],
    },
    "Relay's": {"0123456789abcdef0123456789abcdef": ASK},
    "by hash": {f"sha256:{HASH}": ASK},
    "empty": {},
}


@pytest.mark.parametrize("manifest", MANIFESTS.values(), ids=MANIFESTS.keys())
def test_manifests_are_read(manifest: Any, tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(manifest))

    assert set(read_manifest(path).values()) <= {ASK}
    assert len(read_manifest(path)) == bool(manifest)


@pytest.mark.parametrize("text", ["", "x", "[]", "1", '{"a": 1}', '{"operations": [1]}', '{"sha256:00": "{ a }"}'])
def test_what_is_no_manifest_stops_the_start(text: str, tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(text)
    for wrong in (path, tmp_path / "missing.json", tmp_path):
        with pytest.raises(ConfigurationError, match="GQL_EPOINT_DOCUMENTS: names a"):
            read_manifest(wrong)


# -- the service ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trusting(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from tests.service import start_service

    directory = tmp_path_factory.mktemp("documents")
    manifest = directory / "manifest.json"
    manifest.write_text(json.dumps({"ask": ASK, "watch": WATCH}))
    service = start_service(directory, GQL_EPOINT_DOCUMENTS=str(manifest), GQL_EPOINT_PERSISTED_QUERIES="1")
    yield service
    service.close()


async def test_documents_are_named_on_every_transport(trusting: Service) -> None:
    expected = {"data": {"__typename": "Query"}}
    async with trusting.client() as client:
        _, posted, _ = await client.post(b'{"documentId": "ask"}')
        async with client.session.get(
            f"{client.graphql}?documentId=sha256:{HASH}", headers=client.authorization
        ) as got:
            by_get = await got.json()
        async with client.socket() as socket:
            await socket.send_json({"id": "1", "type": "subscribe", "payload": {"documentId": "ask"}})
            over_socket = (await socket.receive_json())["payload"]

    assert posted == by_get == over_socket == expected


async def test_apollo_s_dance_over_http(trusting: Service) -> None:
    """The hash alone, then hash and text, then the hash alone."""
    query = "{ dance: __typename }"
    extensions = {"persistedQuery": {"version": 1, "sha256Hash": sha256(query)}}
    async with trusting.client() as client:
        answers = [
            await client.post(json.dumps({"extensions": extensions, **extra}).encode())
            for extra in ({}, {"query": query}, {})
        ]

    assert [status for status, _, _ in answers] == [200, 200, 200]
    assert answers[0][1]["errors"][0]["message"] == "PersistedQueryNotFound"
    assert answers[1][1] == answers[2][1] == {"data": {"dance": "Query"}}


async def test_an_unknown_document_is_an_error_of_its_operation(client: Client) -> None:
    _, answer, _ = await client.post(b'{"documentId": "x"}')

    assert answer["errors"][0]["extensions"]["code"] == "PERSISTED_DOCUMENT_NOT_FOUND"


MANIFEST = {"ask": ASK, "mine": "query Mine { checkout { status } }", "confirm": CONFIRM, "see": WATCH_CHECKOUT}


def serve_manifest(start_service: Any, tmp_path: Path, only: str) -> Service:
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps(MANIFEST))
    service: Service = start_service(GQL_EPOINT_DOCUMENTS=str(manifest), GQL_EPOINT_DOCUMENTS_ONLY=only)
    return service


async def test_client_tokens_run_the_manifest_and_secret_keys_run_anything(
    start_service: Any, tmp_path: Path
) -> None:
    """On every transport, for each kind of operation; the document of a backend is not in the manifest."""
    service = serve_manifest(start_service, tmp_path, "client")
    untrusted = {"query": "{ checkout { id status } }"}
    async with service.client() as backend:
        secret = (await create(backend))["clientToken"]["secret"]
        async with service.client(secret) as page, service.client(None) as stranger:
            for name, ask in TRANSPORTS.items():
                assert (await ask(page, {"documentId": "mine"})).answer == {
                    "data": {"checkout": {"status": "OPEN"}}
                }
                assert (await ask(page, untrusted)).codes == ["DOCUMENT_NOT_TRUSTED"], name
                assert (await ask(backend, VIEWER)).answer == {"data": {"viewer": {"level": "SECRET_KEY"}}}
                if name != "SSE single connection":  # which is reserved with a credential
                    assert (await ask(stranger, VIEWER)).codes == ["DOCUMENT_NOT_TRUSTED"], name
            for name in ("WebSocket", "SSE", "SSE single connection", "multipart"):
                seen = await TRANSPORTS[name](page, {"documentId": "see"})
                assert seen.answer["data"]["checkoutUpdated"]["kind"] == "SNAPSHOT"
                assert (await TRANSPORTS[name](page, {"query": f"{WATCH_CHECKOUT} "})).codes == [
                    "DOCUMENT_NOT_TRUSTED"
                ]
            variables = {"input": {"idempotencyKey": "key-of-the-manifest", "method": {"hostedPage": {}}}}
            confirmed = await TRANSPORTS["POST"](page, {"documentId": "confirm", "variables": variables})
            assert confirmed.answer["data"]["confirmCheckout"]["errors"] == []


async def test_explorer_says_that_only_the_manifest_runs(start_service: Any, tmp_path: Path) -> None:
    """With `client`, the sandbox's explorer works by its key; with `all` it opens, and is told why nothing runs."""
    for only in ("client", "all"):
        service = serve_manifest(start_service, tmp_path, only)
        async with service.client() as explorer:
            async with explorer.session.get(explorer.graphql, headers={"Accept": "text/html"}) as page:
                assert (page.status, page.content_type) == (200, "text/html")
            heard = await TRANSPORTS["POST graphql-response"](explorer, {"query": get_introspection_query()})
            assert heard.codes == ([] if only == "client" else ["DOCUMENT_NOT_TRUSTED"])
            if only == "all":
                assert heard.messages == ["Only documents of the manifest run here (GQL_EPOINT_DOCUMENTS_ONLY)."]
