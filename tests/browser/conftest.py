"""A real Chromium, and a page that notices what a careful reader would find in its developer tools."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

# Whoever runs all tests without the browser extra still runs all others.
collect_ignore_glob = [] if find_spec("playwright") else ["test_*.py"]

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, ConsoleMessage, Page, Request, WebSocket

# Nothing in the browser itself may talk to anybody: the tests count requests.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]

# Runs before any script of the page. A violation inside a worker never reaches the document; the console has it.
COLLECT_VIOLATIONS = """
window.__violations = [];
document.addEventListener('securitypolicyviolation', (event) => {
  const { effectiveDirective, blockedURI, sourceFile, lineNumber } = event;
  window.__violations.push(`${effectiveDirective} ${blockedURI} ${sourceFile}:${lineNumber}`);
});
"""


def find_chromium() -> str | None:
    """Return the browser to drive: CHROMIUM if set, else the first known name on PATH."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    return os.environ.get("CHROMIUM") or next((found for name in names if (found := shutil.which(name))), None)


@dataclass(kw_only=True)
class Watched:
    """A page and what went on in it."""

    page: Page
    origin: str
    screenshots: Path
    requests: list[str] = field(default_factory=list)
    sockets: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def foreign(self) -> list[str]:
        """Requests and sockets that left the service's own origin."""
        host = urlsplit(self.origin).netloc
        return [
            url
            for url in self.requests + self.sockets
            if urlsplit(url).scheme not in ("data", "blob") and urlsplit(url).netloc != host
        ]

    async def violations(self) -> list[str]:
        """What the content security policy refused, in the document."""
        found: list[str] = await self.page.evaluate("window.__violations")
        return found

    async def screenshot(self, name: str) -> Path:
        """Keep a picture for people to look at; its folder is SCREENSHOTS, or pytest's temporary one."""
        path = self.screenshots / f"{name}.png"
        await self.page.screenshot(path=path)
        return path

    async def assert_clean(self) -> None:
        """Nothing was refused, nothing failed, nobody else was asked."""
        assert await self.violations() == []
        assert self.problems == []
        assert self.foreign == []


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    """A Chromium that drove no other module's pages."""
    from playwright.async_api import async_playwright, expect

    expect.set_options(timeout=15_000)
    executable = find_chromium()
    if executable is None:
        pytest.fail("No Chromium was found: install one, or name it in CHROMIUM.")
    async with async_playwright() as driver:
        chromium = await driver.chromium.launch(executable_path=executable, args=ARGUMENTS, headless=True)
        yield chromium
        await chromium.close()


@pytest.fixture
async def watched(browser: Browser, service_url: str, tmp_path: Path) -> AsyncIterator[Watched]:
    """A fresh profile's page, not yet opened; `service_url` says which service it is for."""
    context = await browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-GB")
    page = await context.new_page()
    watched = Watched(page=page, origin=service_url, screenshots=Path(os.environ.get("SCREENSHOTS", tmp_path)))

    def on_request(request: Request) -> None:
        watched.requests.append(request.url)

    def on_socket(socket: WebSocket) -> None:
        watched.sockets.append(socket.url)

    def on_console(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            watched.problems.append(f"{message.type}: {message.text}")

    def on_page_error(error: Exception) -> None:
        watched.problems.append(f"exception: {error}")

    # Of the context: workers' requests are seen there and not at the page.
    context.on("request", on_request)
    page.on("websocket", on_socket)
    context.on("console", on_console)
    page.on("pageerror", on_page_error)
    await page.add_init_script(COLLECT_VIOLATIONS)
    yield watched
    await context.close()
