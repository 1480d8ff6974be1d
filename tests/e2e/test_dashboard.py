"""The dashboard in Chromium, on a real server: it shows what goes on, as it goes on, and comes back by itself."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from tests.e2e.browser import browser, requests_elsewhere, violations_of_axe  # noqa: F401 - a fixture
from tests.e2e.scripted import UpstreamThread, model_of, soon
from tests.e2e.server import HeadraceServer, upstream_toml

from headrace.testing.scripted_upstream import Received, Script, Stall, head, sse

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.timeout(60)]

#: Milliseconds in which a page must show what a test waits for.
SHOWN = 10_000

KEYS = """
[keys.ann]
secret = "hr-ann-0123456789abcdef0123456789"
[keys.root]
secret = "hr-root-0123456789abcdef0123456789"
admin = true
"""


def _play(request: Received, released: object) -> Script:
    if model_of(request) == "cut":
        return [head(), sse("One")]
    return [head(), sse("Some ", "**words**", " and"), Stall()]


@pytest.fixture(scope="module")
def upstream() -> Iterator[UpstreamThread]:
    with UpstreamThread(_play) as started:
        yield started


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, upstream: UpstreamThread) -> Iterator[HeadraceServer]:
    toml = upstream_toml(f"{upstream.url}/v1", models='["stalls", "cut"]') + "\n[server]\ndrain = 1\n"
    with HeadraceServer(tmp_path_factory.mktemp("dashboard"), toml) as started:
        yield started


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:  # noqa: F811 - the fixture
    """A browser that has never been here. What its pages ask of others, or throw, fails the test."""
    context = browser.new_context(locale="en-US", viewport={"width": 1280, "height": 800})
    context.set_default_timeout(SHOWN)
    elsewhere = requests_elsewhere(context, "http://127.0.0.1")
    errors: list[str] = []
    context.on("weberror", lambda error: errors.append(str(error.error)))
    yield context
    context.close()
    assert (elsewhere, errors) == ([], [])


@pytest.fixture
def page(context: BrowserContext, server: HeadraceServer) -> Page:
    page = context.new_page()
    page.goto(f"{server.url}/dashboard")
    return page


def ask(server: HeadraceServer, model: str, key: str = "") -> str:
    """Start an answer that nobody waits for; its stream's id."""
    headers = {"headrace-on-leave": "keep"} | ({"authorization": f"Bearer {key}"} if key else {})
    body = {"model": model, "background": True, "input": "hi"}
    _, told, _ = server.request("POST", "/v1/responses", body, headers)
    return told["headrace-stream-id"]


def row(page: Page, stream: str):  # type: ignore[no-untyped-def]
    """The row of one stream."""
    return page.locator("tbody tr", has_text=stream)


def test_a_stream_is_shown_watched_and_stopped(page: Page, server: HeadraceServer, upstream: UpstreamThread) -> None:
    """From its first token to its end, without a reload; Stop closes the upstream's connection."""
    stream = ask(server, "up/stalls")
    shown = row(page, stream)
    expect(shown).to_contain_text("open", timeout=SHOWN)
    expect(shown.locator("th")).to_contain_text("stalls")
    shown.get_by_role("button", name=re.compile("^Watch: ")).click()
    panel = page.get_by_role("complementary", name="Watching")
    expect(panel.locator("strong")).to_have_text("words", timeout=SHOWN)
    expect(panel).to_be_focused()
    connection = upstream.server.connections[-1]
    shown.get_by_role("button", name=re.compile("^Stop: ")).click()
    expect(shown).to_contain_text("cancelled", timeout=SHOWN)
    expect(panel).to_contain_text("cancelled")
    assert soon(lambda: connection.left)
    page.keyboard.press("Escape")
    expect(panel).to_have_count(0)


def test_errors_are_counted_by_their_cause(page: Page, server: HeadraceServer) -> None:
    stream = ask(server, "up/cut")
    expect(row(page, stream)).to_contain_text("upstream_truncated", timeout=SHOWN)
    expect(page.get_by_role("region", name="Errors by cause")).to_contain_text("upstream_truncated")
    expect(page.get_by_role("region", name="Stores")).to_contain_text("healthy")
    page.get_by_role("button", name="Open", exact=True).click()
    expect(row(page, stream)).to_have_count(0)


def test_it_comes_back_after_the_server(context: BrowserContext, tmp_path: Path) -> None:
    with HeadraceServer(tmp_path) as server:
        page = context.new_page()
        page.goto(f"{server.url}/dashboard")
        status = page.get_by_role("status")
        expect(status).to_have_text("Live")
        server.kill()
        expect(status).to_have_text("Reconnecting…", timeout=SHOWN)
        server.start()
        expect(status).to_have_text("Live", timeout=20_000)
        stream = ask(server, "demo/stall")
        expect(row(page, stream)).to_contain_text("open", timeout=SHOWN)
        server.kill()


def test_plots_are_drawn(page: Page, server: HeadraceServer) -> None:
    """There is something on each canvas, in the colours of its legend."""
    ask(server, "up/cut")
    expect(page.locator(".plot canvas")).to_have_count(3)
    page.wait_for_function(
        """() => [...document.querySelectorAll(".plot canvas")].every((canvas) => {
          const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          const colours = new Set();
          for (let at = 0; at < data.length; at += 4)
            if (data[at + 3] > 200) colours.add(data.slice(at, at + 3).join());
          return colours.size > 3;
        })"""
    )


#: How much of its width the first line of the last plot leaves open, at its widest.
GAP = """() => {
  const plot = [...document.querySelectorAll(".plot")].at(-1);
  const canvas = plot?.querySelector("canvas");
  if (!canvas?.width) return 0;
  const pixels = (one) => one.getContext("2d").getImageData(0, 0, one.width, one.height).data;
  const ink = new OffscreenCanvas(1, 1);
  const fillStyle = getComputedStyle(plot.querySelector("dl > div")).color;
  Object.assign(ink.getContext("2d"), {fillStyle}).fillRect(0, 0, 1, 1);
  const [data, colour] = [pixels(canvas), pixels(ink)];
  const drawn = (at) => data[at + 3] > 100 && [0, 1, 2].every((part) => Math.abs(data[at + part] - colour[part]) < 6);
  const columns = new Set();
  for (let at = 0; at < data.length; at += 4) if (drawn(at)) columns.add((at / 4) % canvas.width);
  const sorted = [...columns].sort((one, other) => one - other);
  const widest = Math.max(0, ...sorted.slice(1).map((column, index) => column - sorted[index]));
  return sorted.length && widest / (sorted.at(-1) - sorted[0]);
}"""


def _told(second: int) -> str:
    """What a server tells that has five streams open."""
    nothing = {"upstream": None, "added": None, "ours": None}
    about = {"time": second, "version": "0", "uptime": second, "workers": 1, "memory": None}
    counts = {"open": 5, "readers": 0, "streams": [], "stores": [], "errors": [], "ended": {}}
    told = {**about, **counts, "first": nothing, "between": nothing, "loop_lag": {"p99": None}}
    return f"event: overview\ndata: {json.dumps(told)}\n\n"


def test_plots_leave_open_what_was_not_heard(context: BrowserContext, server: HeadraceServer) -> None:
    """Of a hundred seconds nothing was heard in the middle fifty: no line is drawn there."""
    page = context.new_page()
    heard = "".join(map(_told, [*range(1000, 1026), *range(1075, 1101)]))
    page.route("**/api/overview", lambda _: None)
    page.route("**/api/overview", lambda route: route.fulfill(content_type="text/event-stream", body=heard), times=1)
    page.goto(f"{server.url}/dashboard")
    page.wait_for_function(f"() => ({GAP})() > 0.4")


@pytest.mark.parametrize(
    ("width", "scheme", "locale"), [(1280, "light", "en-US"), (1280, "dark", "zh-CN"), (390, "light", "zh-CN")]
)
def test_it_is_accessible(
    browser: Browser,  # noqa: F811
    server: HeadraceServer,
    width: int,
    scheme: str,
    locale: str,
) -> None:
    stream = ask(server, "up/stalls")
    viewport = {"width": width, "height": 844}
    context = browser.new_context(viewport=viewport, color_scheme=scheme, locale=locale)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(f"{server.url}/dashboard")
    row(page, stream).locator("button").first.click(timeout=SHOWN)
    expect(page.locator(".watch strong")).to_have_text("words", timeout=SHOWN)
    assert violations_of_axe(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.documentElement.lang") == {"en-US": "en", "zh-CN": "zh-CN"}[locale]
    context.close()


def test_keys_see_their_own_and_an_admin_sees_all(
    context: BrowserContext, upstream: UpstreamThread, tmp_path: Path
) -> None:
    """Who has no key is asked for one; an admin stops what others started, and does not read it."""
    toml = upstream_toml(f"{upstream.url}/v1", models='["stalls"]') + KEYS
    ann, root = re.findall(r'secret = "(.*)"', KEYS)
    with HeadraceServer(tmp_path, toml) as protected:
        stream = ask(protected, "up/stalls", ann)
        page = context.new_page()
        page.goto(f"{protected.url}/dashboard")
        page.locator("input[type=password]").fill(root)
        page.keyboard.press("Enter")
        shown = row(page, stream)
        expect(shown).to_contain_text("ann", timeout=SHOWN)
        shown.get_by_role("button", name=re.compile("^Watch: ")).click()
        expect(page.locator(".watch")).to_contain_text("Only its owner can read this stream.")
        shown.get_by_role("button", name=re.compile("^Stop: ")).click()
        expect(shown).to_contain_text("cancelled", timeout=SHOWN)
        assert protected.json("GET", "/v1/streams", headers={"authorization": f"Bearer {ann}"})["data"][0]["state"] == (
            "cancelled"
        )
