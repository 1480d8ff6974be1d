"""Markdown in Chromium, under the page's own policy: nothing hostile runs or loads, and what grows stays smooth."""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from tests.e2e.browser import browser, requests_elsewhere, serve_folder, violations_of_axe  # noqa: F401 - a fixture
from tests.e2e.hostile_markdown import ALL, CANARY
from tests.e2e.long_markdown import long_text
from tests.e2e.node_process import node

from headrace.web.assets import POLICY

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.node]

ROOT = Path(__file__).parents[2]
HARNESS = Path(__file__).parent / "markdown"
ORIGIN = "https://page.example"

#: Notes down what the page's policy has stopped, and every dialog's question.
WATCH = """
window.stopped = [];
addEventListener("securitypolicyviolation", ({violatedDirective, blockedURI, sample}) =>
  window.stopped.push(`${violatedDirective} ${blockedURI} ${sample}`));
for (const name of ["alert", "confirm", "prompt"]) window[name] = () => { window.ran = name; };
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rendering as a page of its own."""
    out = tmp_path_factory.mktemp("built")
    vite = ROOT / "page/node_modules/vite/bin/vite.js"
    assert vite.exists(), "this test needs the page's packages: type scripts/install-node page"
    command = [node(), str(vite), "build", str(HARNESS), "--outDir", str(out), "--logLevel", "warn"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture
def page(browser: Browser, built: Path) -> Iterator[Page]:  # noqa: F811 - the fixture
    """That page, which may talk to itself alone. Whatever it asks of others fails the test."""
    context = browser.new_context()
    elsewhere = requests_elsewhere(context, ORIGIN)
    serve_folder(context, ORIGIN, built, {"content-security-policy": POLICY})
    page = context.new_page()
    page.add_init_script(WATCH)
    page.goto(ORIGIN)
    page.wait_for_function("() => Boolean(window.Rendering)")
    yield page
    assert elsewhere == []
    assert page.evaluate("window.stopped") == [], "the policy is the second line, and was needed"
    assert page.evaluate("window.ran") is None
    assert page.url.rstrip("/") == ORIGIN
    context.close()


def grown(page: Page, text: str, step: int = 1) -> str:
    """The HTML that a text has become in the end."""
    return page.evaluate("async ([text, step]) => (await grow(text, step)).host.innerHTML", [text, step])


# -- hostile answers -------------------------------------------------------------------------------------------------

#: Shows each text and says what is in it that should not be.
INSPECT = """
async ([texts, step]) => {
  const elements = new Set(("A BDI BLOCKQUOTE BR BUTTON CODE DEL DIV EM FIGCAPTION FIGURE H3 H4 H5 H6 HR " +
    "LI OL P PRE S SPAN STRONG TABLE TBODY TD TH THEAD TR UL").split(" "));
  const attributes = new Set(["class", "data-language", "href", "rel", "start", "tabindex", "target", "title", "type"]);
  const wrong = [];
  hurry(true);
  for (const text of texts) {
    const {host} = await grow(text, step);
    for (const element of host.querySelectorAll("*")) {
      if (!elements.has(element.tagName)) wrong.push([text, element.tagName]);
      for (const {name} of element.attributes) if (!attributes.has(name)) wrong.push([text, name]);
    }
    for (const link of host.querySelectorAll("a")) {
      const good = /^(https?|mailto):/.test(link.href) && link.origin !== location.origin &&
        link.target === "_blank" && link.rel === "noopener noreferrer";
      if (!good) wrong.push([text, link.outerHTML]);
    }
    clear();
  }
  hurry(false);
  await new Promise((resolve) => setTimeout(resolve, 100));
  return wrong;
}
"""

PLACES = [
    "- {}",
    "> {}",
    "| a |\n|---|\n| {} |",
    "[{}](https://a.example)",
    "![{}](" + CANARY + "/place)",
    "# {}",
    "**{}",
    "```\n{}",
]


@pytest.mark.timeout(60)
def test_no_hostile_answer_does_anything_at_whatever_character_it_is_split(page: Page) -> None:
    assert len(set(ALL)) >= 60
    assert page.evaluate(INSPECT, [ALL, 1]) == []


@pytest.mark.timeout(60)
def test_no_hostile_answer_does_anything_wherever_it_stands(page: Page) -> None:
    texts = [place.format(text) for place in PLACES for text in ALL]
    assert page.evaluate(INSPECT, [texts, 50]) == []


def test_the_inspection_finds_what_it_looks_for(browser: Browser, built: Path) -> None:  # noqa: F811
    """Without the sanitizer there would be findings: the same text as HTML runs and loads."""
    context = browser.new_context()
    elsewhere = requests_elsewhere(context, ORIGIN)
    serve_folder(context, ORIGIN, built, {})
    page = context.new_page()
    page.goto(ORIGIN)
    page.evaluate(f"document.body.innerHTML = `<img src='{CANARY}/x' onerror='window.ran=1'>`")
    page.wait_for_function("() => window.ran === 1")
    assert elsewhere == [f"{CANARY}/x"]
    context.close()


def test_a_link_shows_its_host_unless_its_text_does(page: Page) -> None:
    shown = page.evaluate(
        """async (text) => [...(await grow(text, 9)).host.querySelectorAll("a")].map((link) => link.textContent)""",
        "[here](https://a.example/x) https://a.example/y [https://bank.example](https://\u0430.example) "
        "[\u202egpj](https://b.example) ![cat](https://c.example/cat.png) main.py",
    )
    assert shown == [
        "here a.example",
        "https://a.example/y",
        "https://bank.example xn--80a.example",
        "\u202egpj b.example",
        "Open image “cat” from c.example",
    ]


def test_a_picture_is_opened_in_a_page_of_its_own_by_a_click(page: Page) -> None:
    grown(page, "![cat](https://c.example/cat.png)")
    page.evaluate(
        "addEventListener('click', (click) => { click.preventDefault(); window.clicked = click.target.href; })"
    )
    page.click("a.image")
    assert page.evaluate("window.clicked") == "https://c.example/cat.png"


# -- what is shown ---------------------------------------------------------------------------------------------------


def test_chinese_is_bold(page: Page) -> None:
    assert grown(page, "**重要：**这是测试。") == "<p><strong>重要：</strong>这是测试。</p>"  # noqa: RUF001


def test_a_text_that_has_grown_is_the_text_that_is_shown_at_once(page: Page) -> None:
    page.evaluate("hurry(true)")
    text = long_text(1200)
    assert grown(page, text, 7) == grown(page, text, len(text))


def test_what_is_finished_is_never_touched_again(page: Page) -> None:
    """The nodes stay the same ones, and nobody changes them."""
    changed = page.evaluate(
        """async (texts) => {
          const host = document.querySelector("main").appendChild(document.createElement("article"));
          const rendering = new Rendering(host);
          rendering.set(texts[0], false);
          await settled();
          const [list, code] = [host.querySelector("ul"), host.querySelector("figure")];
          const changes = [];
          const observer = new MutationObserver((records) => changes.push(...records.map((r) => r.target.nodeName)));
          const all = {subtree: true, childList: true, characterData: true};
          for (const node of [list.children[0], code]) observer.observe(node, all);
          for (const text of texts) { rendering.set(text, false); await settled(); }
          return [changes, list.isConnected, code.isConnected, list.children.length];
        }""",
        [
            "```\nx\n```\n\n- a\n- b\n- c",
            "```\nx\n```\n\n- a\n- b\n- c\n- d **e",
            "```\nx\n```\n\n- a\n- b\n- c\n- d **e**\n\nand on",
        ],
    )
    assert changed == [[], True, True, 4]


def test_marks_that_are_not_closed_yet_are_not_seen(page: Page) -> None:
    """Nothing flickers: at no step is there a star, a bracket or a row of dashes."""
    page.evaluate("hurry(true)")
    text = (
        "Some **bold *text* here** and `code` in a [link](https://a.example/path).\n\n"
        "## Head\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n- one\n- two\n"
    )
    seen = page.evaluate("async (text) => (await grow(text, 1)).seen", text)
    shown = [re.sub(r"<[^>]*>", "", html) for html in seen]
    assert [one for one in shown if re.search(r"[*`#|()\[\]]|--", one)] == []


def test_code_is_coloured_when_it_is_finished_and_copied_by_a_button(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    grown(page, "```python\ndef f(): return 1  # <b>\n```\n\nend", 5)
    page.wait_for_selector(".hljs-keyword")
    assert page.text_content("pre") == "def f(): return 1  # <b>\n"
    page.click("button.copy")
    page.wait_for_selector("button.copy:text('Copied')")
    assert page.evaluate("navigator.clipboard.readText()") == "def f(): return 1  # <b>"


def test_another_text_takes_the_place_of_the_first(page: Page) -> None:
    shown = page.evaluate(
        """async () => {
          const host = document.querySelector("main").appendChild(document.createElement("article"));
          const rendering = new Rendering(host);
          rendering.set("# one\\n\\ntwo\\n\\nthree\\n", true);
          await settled();
          rendering.set("another", true);
          await settled();
          return host.innerHTML;
        }"""
    )
    assert shown == "<p>another</p>"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_answer_is_accessible(page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.set_viewport_size({"width": 360, "height": 800})
    grown(page, "# A\n\n" + long_text(800) + "\n[x](https://a.example) ![y](https://b.example)", 10_000)
    page.wait_for_selector(".hljs-keyword")
    assert violations_of_axe(page, "article") == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "wide things scroll by themselves"


# -- how fast --------------------------------------------------------------------------------------------------------


@pytest.mark.timeout(60)
@pytest.mark.parametrize("pace", [800, 1_000_000], ids=["while it grows", "at once"])
def test_an_answer_of_20000_tokens_holds_up_no_frame(
    browser: Browser,  # noqa: F811
    page: Page,
    pace: int,
    record_property: Callable[[str, object], None],
) -> None:
    """By the time that the page's own thread has worked: how long it was kept waiting by others is not ours."""
    browser.start_tracing(page=page, categories=["devtools.timeline"])
    told: dict[str, Any] = page.evaluate("([text, pace]) => timed(text, pace)", [long_text(20_000), pace])
    events = json.loads(browser.stop_tracing())["traceEvents"]
    named = [event for event in events if event["name"] == "FireAnimationFrame"]
    frames = sorted(event["tdur"] / 1000 for event in named if "tdur" in event)
    middle, high, clock = frames[len(frames) // 2], frames[int(len(frames) * 0.99)], max(told["frames"])
    record_property("milliseconds", f"p50 {middle:.1f}, p99 {high:.1f}, max {frames[-1]:.1f}, by the clock {clock:.0f}")
    assert told["characters"] > 60_000
    assert frames[-1] < 50
