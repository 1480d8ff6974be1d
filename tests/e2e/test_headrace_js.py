"""headrace.js as it is served: its size, its documentation's examples, and networks that break, in Chromium."""

import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page
from tests.e2e.browser import browser  # noqa: F401 - a fixture
from tests.e2e.page_server import CuttingProxy
from tests.e2e.server import HeadraceServer

from headrace.web.assets import STATIC

pytestmark = [pytest.mark.slow, pytest.mark.browser]

DOCS = Path(__file__).parents[2] / "docs/browser.md"
EXAMPLES = re.findall(r"^```js\n(.*?)^```", DOCS.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)

#: What each example shows, in their order.
COUNTED = " ".join(map(str, range(1, 21)))
SHOWN = [COUNTED, "12 13 14 15 16 17 18 19 20", None, "1 one"]

#: Follows a counter, and tells what came and where the follower was. ``hasty`` ends each pause as a network does that
#: comes back, so that the answer is still being written then.
COUNT = """
async ({most, hasty, ...options}) => {
  const {start} = await import("/headrace.js");
  const [tokens, states] = [[], []];
  const question = {model: "demo/counter", max_tokens: most, messages: [{role: "user", content: "Count!"}]};
  const onstate = (state) => {
    states.push(state);
    if (hasty && state === "waiting") setTimeout(() => dispatchEvent(new Event("online")), 100);
  };
  for await (const {event, data} of start(question, {...options, onstate})) {
    if (event === "token") tokens.push(JSON.parse(data).token);
    window.seen = tokens.length;
  }
  return [tokens.join(""), states];
}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HeadraceServer]:
    with HeadraceServer(tmp_path_factory.mktemp("client"), "[on_leave]\ndefault = 'linger=20'\n") as started:
        yield started


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:  # noqa: F811 - the fixture
    context = browser.new_context()
    context.set_default_timeout(15_000)
    yield context
    context.close()


def opened(context: BrowserContext, url: str) -> Page:
    """A page of the server that does nothing by itself."""
    page = context.new_page()
    page.goto(f"{url}/health")
    return page


def counted(page: Page, most: int, **options: Any) -> tuple[str, list[str]]:
    text, states = page.evaluate(COUNT, {"most": most, **options})
    return text, states


def numbers(most: int) -> str:
    return " ".join(map(str, range(1, most + 1)))


def test_it_is_small_and_needs_nothing() -> None:
    code = (STATIC / "headrace.js").read_bytes()
    assert len(gzip.compress(code, 9)) <= 2048
    assert not re.search(rb"\bimport\b", code)
    assert set(re.findall(rb"as (\w+)", code)) == {
        b"Parser",
        b"Refused",
        b"Unreachable",
        b"cancel",
        b"follow",
        b"start",
        b"token",
    }


@pytest.mark.parametrize("number", range(len(SHOWN)))
def test_examples_of_its_documentation_work(context: BrowserContext, server: HeadraceServer, number: int) -> None:
    assert len(EXAMPLES) == len(SHOWN)
    code = re.sub(r'import (\{.*?\}) from ("/headrace.js");', r"const \1 = await import(\2);", EXAMPLES[number])
    page = opened(context, server.url)
    shown = page.evaluate(
        f"async () => {{ const all = []; const show = (text) => all.push(text); {code}; return all; }}"
    )
    if SHOWN[number] is None:
        assert shown[-1] == "stopped"
    else:
        assert "".join(shown).strip() == SHOWN[number]


def test_each_event_comes_once_over_a_connection_that_is_cut_twice(
    context: BrowserContext, server: HeadraceServer
) -> None:
    before = len(server.json("GET", "/v1/streams")["data"])
    with CuttingProxy(server.port, b'" 20"') as first, CuttingProxy(first.port, b'" 60"') as second:
        page = opened(context, second.url)
        text, states = counted(page, 120, hasty=True)
    assert text == numbers(120)
    assert states.count("waiting") == 2
    streams = server.json("GET", "/v1/streams")["data"]
    assert (len(streams), streams[0]["state"]) == (before + 1, "completed")


def test_it_waits_while_there_is_no_network_and_goes_on_when_it_is_back(
    context: BrowserContext, server: HeadraceServer
) -> None:
    with CuttingProxy(server.port, b'" 100"') as proxy:
        page = opened(context, proxy.url)
        page.evaluate(f"void (window.counting = ({COUNT})({{most: 130, patience: 1}}))")
        page.wait_for_function("() => window.seen > 3")
        context.set_offline(True)
        page.wait_for_function("() => window.seen > 97")
        page.wait_for_timeout(1500)
        context.set_offline(False)
        text, states = page.evaluate("window.counting")
    assert text == numbers(130)
    assert "offline" in states


@pytest.mark.timeout(60)
def test_an_answer_goes_to_its_end_as_far_as_a_killed_server_has_it(context: BrowserContext, tmp_path: Path) -> None:
    """What was seen stays so, nothing comes twice, and the end is told."""
    with HeadraceServer(tmp_path) as server:
        page = opened(context, server.url)
        page.evaluate(f"void (window.counting = ({COUNT})({{most: 300, hasty: true}}))")
        page.wait_for_function("() => window.seen > 30")
        server.kill()
        seen = page.evaluate("window.seen")
        server.start()
        text, states = page.evaluate("window.counting")
    told = len(text.split())
    assert text == numbers(told)
    assert seen <= told < 300
    assert "waiting" in states


def test_refusals_are_named_and_final(context: BrowserContext, server: HeadraceServer) -> None:
    page = opened(context, server.url)
    follow = """async (url) => {
      const {follow} = await import("/headrace.js");
      try {
        for await (const _ of follow(url, {patience: 0}));
      } catch (error) {
        return [error.name, error.status ?? null];
      }
    }"""
    assert page.evaluate(follow, "/v1/streams/st_nobody") == ["NotFound", 404]
    assert page.evaluate(follow, "http://127.0.0.1:9/") == ["Unreachable", None]
