"""Chromium for tests, driven by Playwright.

One for each file of tests and not for all of them: while it runs, so does an event loop of Playwright's in this thread,
in which no asynchronous test could run. Use :func:`browser` by importing it.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, sync_playwright
from tests.e2e.page_server import chromium

AXE = Path(__file__).parents[2] / "page/node_modules/axe-core/axe.min.js"

_OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]

_TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, without a window."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium(), args=_OPTIONS)
        yield started
        started.close()


def requests_elsewhere(context: BrowserContext, *origins: str) -> list[str]:
    """What pages of this context ask of others than these from now on; none of it leaves the machine."""
    asked: list[str] = []

    def stop(route: Route) -> None:
        url = route.request.url
        if url.startswith(origins):
            route.fallback()
        else:
            asked.append(url)
            route.abort()

    context.route(re.compile("^(http|ws)"), stop)
    return asked


def serve_folder(context: BrowserContext, origin: str, folder: Path, headers: Mapping[str, str]) -> None:
    """Answer this origin's requests with the files of a folder, without a server."""

    def answer(route: Route) -> None:
        path = folder / (route.request.url.removeprefix(origin).partition("?")[0].lstrip("/") or "index.html")
        if path.is_file():
            route.fulfill(path=path, headers={**headers, "content-type": _TYPES.get(path.suffix, "text/plain")})
        else:
            route.fulfill(status=404)

    context.route(f"{origin}/**", answer)


def violations_of_axe(page: Page, within: str = "body") -> list[str]:
    """What axe finds wrong with a page as it is shown, one line each."""
    source = AXE.read_text(encoding="utf-8")
    page.evaluate(source)  # past the page's policy, which allows no script but its own
    found = page.evaluate("(within) => axe.run(within)", within)
    return [
        f"{one['id']}: {one['help']}: {[' '.join(map(str, node['target'])) for node in one['nodes']][:5]}"
        for one in found["violations"]
    ]
