"""The explorer in a real browser, under its own content security policy."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator  # strawberry reads it at run time
from typing import TYPE_CHECKING, Any

import pytest
import strawberry
import uvicorn
from playwright.async_api import expect
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route, WebSocketRoute
from strawberry.asgi import GraphQL
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL

from gql_epoint.web.explorer_page import EXPLORER_HEADERS, explorer_assets, explorer_page, explorer_tabs

if TYPE_CHECKING:
    from playwright.async_api import Page
    from starlette.requests import Request

    from tests.browser.conftest import Watched

pytestmark = pytest.mark.browser

KEY = "sk_sandbox_development"


@strawberry.type
class Query:
    """What can be read."""

    @strawberry.field(description="Says what it was sent.")
    def authorization(self, info: strawberry.Info) -> str | None:
        return info.context["request"].headers.get("authorization")


@strawberry.type
class Subscription:
    """What can be watched."""

    @strawberry.subscription(description="Counts, and says with which credential.")
    async def count(self, info: strawberry.Info, to: int) -> AsyncIterator[str]:
        for number in range(1, to + 1):
            yield f"{number} {info.context['connection_params'].get('authorization')}"
            await asyncio.sleep(0.02)

    @strawberry.subscription(description="Ends with an error.")
    async def broken(self) -> AsyncIterator[str]:
        yield "one"
        raise ValueError("the till is stuck")


def application() -> Starlette:
    """As much of a service as the page needs."""
    graphql: GraphQL[Any, Any] = GraphQL(
        strawberry.Schema(Query, subscription=Subscription),
        graphql_ide=None,
        subscription_protocols=[GRAPHQL_TRANSPORT_WS_PROTOCOL],
    )

    async def page(request: Request) -> Response:
        sandbox = "production" not in request.query_params
        headers = {"Authorization": f"Bearer {KEY}"} if sandbox else {}
        text = explorer_page(endpoint="/graphql", headers=headers, sandbox=sandbox)
        return HTMLResponse(text, headers=EXPLORER_HEADERS)

    return Starlette(
        routes=[
            Route("/graphql", page, methods=["GET"]),
            Route("/graphql", graphql, methods=["POST"]),
            WebSocketRoute("/graphql", graphql),
            explorer_assets(),
        ]
    )


@pytest.fixture(scope="module")
async def service_url() -> AsyncIterator[str]:
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(application(), log_level="warning", ws="websockets-sansio")
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve(sockets=[listening]))
    yield "http://{}:{}".format(*listening.getsockname())
    server.should_exit = True
    await running


async def open_explorer(watched: Watched, query: str = "") -> Page:
    await watched.page.goto(f"{watched.origin}/graphql{query}")
    await expect(watched.page.locator(".graphiql-query-editor .view-line").first).to_be_visible()
    return watched.page


# The page's editors, by the end of their model's name.
MODEL = "globalThis.__MONACO.editor.getModels().find(({ uri }) => uri.path.endsWith(name))"


async def fill(page: Page, editor: str, text: str) -> None:
    """Put text into one of the editors, as a paste does."""
    await page.evaluate(f"([name, text]) => {MODEL}.setValue(text)", [editor, text])


async def read(page: Page, editor: str) -> str:
    """Return an editor's text."""
    text: str = await page.evaluate(f"(name) => {MODEL}.getValue()", editor)
    return text


async def wait_for(page: Page, editor: str, pattern: str) -> str:
    """Wait until an editor's text matches, and return it."""
    predicate = f"([name, pattern]) => new RegExp(pattern).test({MODEL}.getValue())"
    await page.wait_for_function(predicate, arg=[editor, pattern])
    return await read(page, editor)


async def run(page: Page, query: str, pattern: str, variables: str = "") -> Any:
    await fill(page, "operation.graphql", query)
    await fill(page, "variables.json", variables)
    # The editor finds the operation's name a moment after the text has changed.
    await page.wait_for_timeout(300)
    await page.get_by_role("button", name=re.compile("Execute query")).click()
    return json.loads(await wait_for(page, "response.json", pattern))


async def test_the_page_opens_with_the_example_tabs(watched: Watched) -> None:
    """The first tab comes with its variables and the sandbox's header; nobody else is asked for anything."""
    page = await open_explorer(watched)
    first = explorer_tabs(sandbox=True)[0]

    await expect(page.get_by_role("tab")).to_have_count(len(explorer_tabs(sandbox=True)))
    await expect(page.locator(".explorer-sandbox")).to_be_visible()
    assert await read(page, "operation.graphql") == first.query
    assert await read(page, "variables.json") == first.variables
    assert json.loads(await read(page, "request-headers.json")) == {"Authorization": f"Bearer {KEY}"}
    await page.wait_for_load_state("networkidle")
    await watched.screenshot("opened")
    await watched.assert_clean()


async def test_a_reload_keeps_the_tab_and_its_variables(watched: Watched) -> None:
    page = await open_explorer(watched)
    await page.get_by_role("tab").nth(2).click()
    await page.wait_for_timeout(1000)  # tabs are stored half a second after a change
    await page.reload()
    await expect(page.locator(".graphiql-query-editor .view-line").first).to_be_visible()

    await expect(page.get_by_role("tab")).to_have_count(len(explorer_tabs(sandbox=True)))
    assert await read(page, "operation.graphql") == explorer_tabs(sandbox=True)[2].query
    assert await read(page, "variables.json") == explorer_tabs(sandbox=True)[2].variables
    assert json.loads(await read(page, "request-headers.json")) == {"Authorization": f"Bearer {KEY}"}
    await watched.assert_clean()


async def test_a_query_runs_with_the_header(watched: Watched) -> None:
    page = await open_explorer(watched)
    result = await run(page, "query Mine { authorization }", "data")

    assert result == {"data": {"authorization": f"Bearer {KEY}"}}
    await watched.screenshot("query")
    await watched.assert_clean()


async def test_a_subscription_shows_its_messages_newest_first(watched: Watched) -> None:
    page = await open_explorer(watched)
    result = await run(page, "subscription Count { count(to: 3) }", "complete")

    assert result == {
        "stream": "complete",
        "received": 3,
        "newestFirst": [{"data": {"count": f"{number} Bearer {KEY}"}} for number in (3, 2, 1)],
    }
    assert len(watched.sockets) == 1
    await expect(page.get_by_role("button", name=re.compile("Execute query"))).to_be_visible()
    await watched.screenshot("subscription")
    await watched.assert_clean()


async def test_a_long_stream_is_cut_to_its_newest_messages(watched: Watched) -> None:
    page = await open_explorer(watched)
    result = await run(page, "subscription Count { count(to: 60) }", "complete")

    assert result["received"] == 60
    assert len(result["newestFirst"]) == 50
    assert result["newestFirst"][0] == {"data": {"count": f"60 Bearer {KEY}"}}


async def test_a_changed_header_is_used_by_the_next_socket(watched: Watched) -> None:
    page = await open_explorer(watched)
    await run(page, "subscription Count { count(to: 1) }", "complete")
    await fill(page, "request-headers.json", '{"authorization": "Bearer sk_other"}')
    result = await run(page, "subscription Count { count(to: 2) }", '"received": 2(.|\\n)*Bearer sk_other')

    assert result["newestFirst"][-1] == {"data": {"count": "1 Bearer sk_other"}}
    assert len(watched.sockets) == 2


async def test_a_stopped_subscription_closes_its_socket(watched: Watched) -> None:
    page = await open_explorer(watched)
    async with page.expect_websocket() as opened:
        await run(page, "subscription Count { count(to: 100000) }", '"stream": "open"')
    socket = await opened.value
    async with socket.expect_event("close"):
        await page.get_by_role("button", name=re.compile("Stop query")).click()

    assert socket.is_closed()
    await watched.assert_clean()


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("query Unknown { nothing }", "Cannot query field 'nothing' on type 'Query'."),
        ("subscription Broken { broken }", "the till is stuck"),
        ("subscription Unknown { nothing }", "Cannot query field 'nothing' on type 'Subscription'."),
    ],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_errors_are_shown_in_words(watched: Watched, query: str, sentence: str) -> None:
    page = await open_explorer(watched)
    result = await run(page, query, re.escape(sentence))
    shown = result["newestFirst"][0] if "newestFirst" in result else result

    assert shown["errors"][0]["message"] == sentence


async def test_an_absent_service_is_said_to_be_absent(watched: Watched) -> None:
    page = await open_explorer(watched)
    await page.wait_for_load_state("networkidle")
    await page.route("**/graphql", lambda route: route.abort())
    result = await run(page, "query Mine { authorization }", "errors")

    assert result["errors"][0]["message"].startswith("The service could not be reached at /graphql:")


async def test_an_answer_that_is_not_json_is_shown(watched: Watched) -> None:
    page = await open_explorer(watched)
    await page.wait_for_load_state("networkidle")
    await page.route("**/graphql", lambda route: route.fulfill(status=502, body="<h1>Bad gateway</h1>"))
    result = await run(page, "query Mine { authorization }", "errors")

    assert "HTTP 502" in result["errors"][0]["message"]
    assert result["errors"][0]["extensions"] == {"body": "<h1>Bad gateway</h1>"}


async def test_the_documentation_opens(watched: Watched) -> None:
    page = await open_explorer(watched)
    await page.get_by_role("button", name="Show Documentation Explorer").click()
    await page.locator(".graphiql-doc-explorer").get_by_role("link", name="Query").click()

    await expect(page.get_by_text("Says what it was sent.")).to_be_visible()
    await watched.screenshot("documentation")
    await watched.assert_clean()


async def test_the_query_builder_opens_and_writes_a_query(watched: Watched) -> None:
    page = await open_explorer(watched)
    await fill(page, "operation.graphql", "query Mine { __typename }")
    await page.wait_for_timeout(300)
    await page.get_by_role("button", name="Show GraphiQL Explorer").click()
    await page.locator(".graphiql-explorer-root").get_by_text("authorization").click()

    await wait_for(page, "operation.graphql", "authorization")
    await watched.screenshot("builder")
    await watched.assert_clean()


async def test_prettifying_keeps_the_comments(watched: Watched) -> None:
    """It loads the formatter and its parsers, which must be in the bundle as well."""
    page = await open_explorer(watched)
    await fill(page, "operation.graphql", "# why\nquery Mine{authorization}")
    await fill(page, "variables.json", '{"a":1}')
    await page.get_by_role("button", name=re.compile("Prettify query")).click()
    await wait_for(page, "operation.graphql", "  authorization")

    assert await read(page, "operation.graphql") == "# why\nquery Mine {\n  authorization\n}\n"
    await watched.assert_clean()


async def test_the_editor_knows_the_schema(watched: Watched) -> None:
    """The graphql worker runs: it underlines a field that does not exist."""
    page = await open_explorer(watched)
    await page.wait_for_load_state("networkidle")
    await fill(page, "operation.graphql", "query Mine { nothing }")

    await page.wait_for_function(
        "() => globalThis.__MONACO.editor.getModelMarkers({}).some(({ message }) => message.includes('nothing'))"
    )
    await watched.assert_clean()


async def test_no_key_is_ever_stored(watched: Watched) -> None:
    """Neither tabs nor the history keep a header; a run from the history gets the page's own."""
    page = await open_explorer(watched)
    secret = "sk_live_very_secret"
    await fill(page, "request-headers.json", json.dumps({"Authorization": f"Bearer {secret}"}))
    await run(page, "query Mine { authorization }", secret)
    await page.wait_for_timeout(1000)
    stored = await page.evaluate("JSON.stringify({...localStorage}) + JSON.stringify({...sessionStorage})")

    assert "query Mine" in stored
    assert "sk_" not in stored

    await page.reload()
    await page.get_by_role("button", name="Show History").click()
    await page.locator(".graphiql-history-item-label").first.click()

    assert json.loads(await read(page, "request-headers.json")) == {"Authorization": f"Bearer {KEY}"}
    await watched.assert_clean()


async def test_nothing_is_shared_with_another_graphiql_on_the_same_origin(watched: Watched) -> None:
    await watched.page.add_init_script("localStorage.setItem('graphiql:query', '{ other }')")
    page = await open_explorer(watched)

    assert await read(page, "operation.graphql") == explorer_tabs(sandbox=True)[0].query


async def test_the_example_tabs_can_be_had_back(watched: Watched) -> None:
    page = await open_explorer(watched)
    await fill(page, "operation.graphql", "query Mine { authorization }")
    await page.wait_for_timeout(1000)
    page.on("dialog", lambda dialog: asyncio.ensure_future(dialog.accept()))
    async with page.expect_navigation():
        await page.get_by_role("button", name="Open the example tabs again").click()
    await expect(page.locator(".graphiql-query-editor .view-line").first).to_be_visible()

    assert await read(page, "operation.graphql") == explorer_tabs(sandbox=True)[0].query
    assert await read(page, "variables.json") == explorer_tabs(sandbox=True)[0].variables


async def test_outside_the_sandbox_no_header_is_sent_until_it_is_completed(watched: Watched) -> None:
    page = await open_explorer(watched, "?production=1")
    result = await run(page, "query Mine { authorization }", "data")

    assert json.loads(await read(page, "request-headers.json")) == {"Authorization": "Bearer "}
    assert result == {"data": {"authorization": None}}
    await expect(page.locator(".explorer-sandbox")).to_have_count(0)
    await watched.assert_clean()
