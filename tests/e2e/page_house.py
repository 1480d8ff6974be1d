"""The chat page in Chromium, with a real server and a scripted upstream behind it. Import the fixtures to use them.

What an upstream plays is chosen by the model: ``waits-NAME`` says ``One `` and goes on when NAME is released.
"""

import asyncio
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect
from tests.e2e.browser import browser, requests_elsewhere  # noqa: F401 - a fixture
from tests.e2e.page_server import CuttingProxy
from tests.e2e.scripted import UpstreamThread, model_of
from tests.e2e.server import HeadraceServer, upstream_toml

from headrace.testing.scripted_upstream import Received, Script, Stall, answer, head, sse, whole

#: What an answer that waits says in the end.
WHOLE = "One two three"

#: Milliseconds in which the page must show what a test waits for.
SHOWN = 8000

#: Milliseconds in which it must have found a server that is back: it looks for it in pauses that grow to 15 seconds.
BACK = 20_000


class PageHouse(NamedTuple):
    """Where pages come from, and what their answers come from."""

    server: HeadraceServer
    upstream: UpstreamThread

    def open(self, context: BrowserContext, model: str = "hello", conversation: str = "", *, at: str = "") -> "Chat":
        """The page in a new tab, with a model chosen. ``at`` is another origin by which the server is reached."""
        page = context.new_page()
        page.set_default_timeout(SHOWN)
        page.goto(f"{at or self.server.url}/{conversation}")
        chat = Chat(page)
        if not conversation:
            chat.choose(model)
        return chat


class Cable(CuttingProxy):
    """A network between a page and its server that can be pulled out."""

    def __init__(self, port: int) -> None:
        super().__init__(port, b"", cuts=0)

    def pull(self) -> None:
        """Cut every connection."""
        for one in list(self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


class Chat:
    """The page as its user sees it, by the names that a screen reader has for its parts."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.box = page.locator("#message")
        self.answers = page.locator("article.answer")
        self.said = page.locator("article.said")
        self.stop = page.get_by_role("button", name="Stop", exact=True)
        self.list = page.locator("aside .row")

    @property
    def prose(self) -> Locator:
        """The last answer's text."""
        return self.answers.last.locator(".prose")

    @property
    def address(self) -> str:
        """The conversation's part of the address."""
        return self.page.url.rpartition("/")[2]

    def choose(self, model: str) -> None:
        """Choose a model."""
        self.page.get_by_label("Model", exact=True).select_option(model)

    def send(self, text: str) -> None:
        """Type a message and press Enter."""
        self.box.fill(text)
        self.box.press("Enter")

    def shows(self, text: str | re.Pattern[str], *, timeout: int = SHOWN) -> None:
        """Wait until the last answer says exactly this, and grows no more."""
        expect(self.prose).to_have_text(text, timeout=timeout)
        expect(self.answers.last).to_have_attribute("aria-busy", "false", timeout=timeout)

    def grows(self, text: str = "One") -> None:
        """Wait until the last answer says this, and grows still."""
        expect(self.prose).to_have_text(text, timeout=SHOWN)
        expect(self.answers.last).to_have_attribute("aria-busy", "true")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageHouse]:
    """A server and its upstream, for all tests of a file."""
    with UpstreamThread(_play) as upstream:
        with server_with(upstream, tmp_path_factory.mktemp("page")) as server:
            yield PageHouse(server, upstream)


def server_with(upstream: UpstreamThread, folder: Path) -> HeadraceServer:
    """A server that knows this upstream; its user starts it."""
    models = '["hello", "waits", "stalls", "cut", "busy"]'
    return HeadraceServer(folder, upstream_toml(f"{upstream.url}/v1", models=models))


@pytest.fixture
def context(browser: Browser, house: PageHouse) -> Iterator[BrowserContext]:  # noqa: F811 - the fixture
    """A browser that has never been here. What its pages ask of others, or throw, fails the test."""
    context = browser.new_context(locale="en-US", viewport={"width": 1280, "height": 800})
    elsewhere = requests_elsewhere(context, house.server.url)
    errors: list[str] = []
    context.on("weberror", lambda error: errors.append(str(error.error)))
    yield context
    context.close()
    assert (elsewhere, errors) == ([], [])


def _play(request: Received, released: Callable[[str], asyncio.Event]) -> Script:
    model, body = model_of(request), request.json()
    assert isinstance(body, dict)
    if not body.get("stream"):
        return [Stall()] if model == "stalls" else [whole("Hello", usage=(3, 4))]
    match model:
        case "waits":
            last = body["messages"][-1]["content"]
            return [
                head(),
                sse("One "),
                released(last),
                sse("two ", "three", finish_reason="stop", usage=(3, 4), done=True),
            ]
        case "stalls":
            return [head(), sse("One "), Stall()]
        case "cut":
            return [head(), sse("One ", "two ", finish_reason="length", usage=(3, 2), done=True)]
        case "busy":
            return [head(429, type="application/json", body="2"), b"{}"]
    turns = len([turn for turn in body["messages"] if turn["role"] == "user"])
    return [answer(f"Hello {turns}", usage=(3, 4))]
