"""How the chat page meets its user: languages, input methods, screen readers, themes, and who may come in."""

# ruff: noqa: RUF001 - Chinese has signs of its own

import json
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from tests.e2e.browser import browser, violations_of_axe  # noqa: F401 - a fixture
from tests.e2e.page_house import SHOWN, PageHouse, context, house  # noqa: F401 - fixtures
from tests.e2e.server import HeadraceServer

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.node, pytest.mark.timeout(60)]

BOLD = "**重要：**这是测试。"
KEY = "sk-page-0123456789abcdef"


def test_enter_does_not_send_while_composing(house: PageHouse, context: BrowserContext) -> None:  # noqa: F811
    """Enter belongs to the input method until it has finished; then it sends. Shift+Enter never does."""
    chat = house.open(context)
    chat.box.focus()
    devtools = context.new_cdp_session(chat.page)
    devtools.send("Input.imeSetComposition", {"text": "你好", "selectionStart": 2, "selectionEnd": 2})
    enter = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 229}
    devtools.send("Input.dispatchKeyEvent", {"type": "rawKeyDown", **enter})
    devtools.send("Input.dispatchKeyEvent", {"type": "keyUp", **enter})
    expect(chat.said).to_have_count(0)
    devtools.send("Input.insertText", {"text": "你好"})
    chat.box.press("Shift+Enter")
    chat.box.type("世界")
    expect(chat.said).to_have_count(0)
    chat.box.press("Enter")
    expect(chat.said.locator(".bubble")).to_have_text("你好\n世界", use_inner_text=True)


def test_page_in_chinese(house: PageHouse, browser: Browser) -> None:  # noqa: F811
    """A Chinese browser gets a Chinese page, and Markdown's signs work beside Chinese punctuation."""
    context = browser.new_context(locale="zh-CN")  # noqa: F811
    page = context.new_page()
    page.goto(house.server.url)
    expect(page.get_by_role("heading", name="想聊点什么？")).to_be_visible()
    assert page.locator("html").get_attribute("lang") == "zh-CN"
    page.get_by_label("模型", exact=True).select_option("demo/echo")
    page.locator("#message").fill(BOLD)
    page.locator("#message").press("Enter")
    expect(page.locator("article.answer strong")).to_have_text("重要：", timeout=SHOWN)
    page.get_by_role("button", name="设置").click()
    page.get_by_label("语言").select_option("en")
    expect(page.get_by_role("heading", name="Settings")).to_be_visible()
    context.close()


def test_named_characters_are_shown(house: PageHouse, context: BrowserContext) -> None:  # noqa: F811
    """The browser knows their names; what only begins like one, or is none, stays as it was written."""
    chat = house.open(context, "demo/echo")
    chat.send("&rarr; &amp;lt; &notit; &nothing; `&copy;` &NotEqualTilde;")
    chat.shows("→ &lt; &notit; &nothing; &copy; ≂̸")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_views_are_accessible(house: PageHouse, browser: Browser, scheme: str) -> None:  # noqa: F811
    """Axe finds nothing wrong with the empty page, a conversation, its settings, a deletion, and a phone's list."""
    context = browser.new_context(color_scheme=scheme, locale="en-US", reduced_motion="reduce")  # type: ignore[arg-type]  # noqa: F811
    chat = house.open(context, "demo/reasoning")
    assert violations_of_axe(chat.page) == []
    chat.send("Hello")
    expect(chat.answers.last).to_have_attribute("aria-busy", "false", timeout=SHOWN)
    chat.choose("busy")
    chat.send("Hello again")
    expect(chat.answers.last).to_contain_text("takes no more requests", timeout=SHOWN)
    assert violations_of_axe(chat.page) == []
    chat.page.get_by_role("button", name="Settings").click()
    assert violations_of_axe(chat.page) == []
    chat.page.keyboard.press("Escape")
    chat.page.set_viewport_size({"width": 390, "height": 844})
    chat.page.get_by_role("button", name="Show conversations").click()
    assert violations_of_axe(chat.page) == []
    context.close()


def test_answer_is_read_out(house: PageHouse, context: BrowserContext) -> None:  # noqa: F811
    """A screen reader is told that an answer begins, what it says, and that it is complete, each once."""
    chat = house.open(context)
    chat.send("aloud")
    chat.shows("Hello 1")
    told = chat.page.locator("[role=log] p")
    expect(told).to_have_text(["The answer begins.", "Hello 1", "The answer is complete."])


def test_page_keeps_only_preferences(house: PageHouse, context: BrowserContext) -> None:  # noqa: F811
    """Nothing of a conversation is in the browser's storage, whatever was said."""
    chat = house.open(context)
    chat.send("a secret")
    chat.shows("Hello 1")
    kept = context.storage_state()["origins"]
    assert "secret" not in json.dumps(kept)
    assert [item["name"] for origin in kept for item in origin["localStorage"]] == ["headrace"]


def test_odd_preferences_and_addresses_do_no_harm(house: PageHouse, context: BrowserContext) -> None:  # noqa: F811
    """What an older page, or somebody's hand, has left there is passed over."""
    kept = '{"timeout": "soon", "theme": 7, "language": {}, "x": 1}'
    context.add_init_script(f"if (origin !== 'null') localStorage.setItem('headrace', {kept!r})")
    chat = house.open(context, conversation="#%")
    expect(chat.page.get_by_role("heading", name="What shall we talk about?")).to_be_visible()
    chat.choose("hello")
    chat.send("odd")
    chat.shows("Hello 1")


def test_theme_is_remembered(house: PageHouse, context: BrowserContext) -> None:  # noqa: F811
    """What was chosen holds after a reload, whatever the system says."""
    chat = house.open(context)
    light = _paper(chat.page)
    chat.page.get_by_role("button", name="Settings").click()
    chat.page.get_by_label("Appearance").select_option("dark")
    assert _paper(chat.page) != light
    chat.page.reload()
    expect(chat.box).to_be_visible()
    assert _paper(chat.page) != light


def test_escape_ends_a_composition_and_leaves_the_search(house: PageHouse, context: BrowserContext) -> None:  # noqa: F811
    """While an input method composes, Escape is its own; otherwise it clears what is searched for."""
    search = house.open(context).page.get_by_role("searchbox")
    search.fill("重要")
    search.dispatch_event("keydown", {"key": "Escape", "isComposing": True})
    expect(search).to_have_value("重要")
    search.dispatch_event("keydown", {"key": "Escape"})
    expect(search).to_have_value("")


def test_protected_server_asks_for_key(browser: Browser, tmp_path: Path) -> None:  # noqa: F811
    """A key is exchanged for a session that scripts cannot read; it is in no address and no storage."""
    with HeadraceServer(tmp_path, f'[keys]\nme = "{KEY}"\n') as server:
        context = browser.new_context(locale="en-US")
        page = context.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(server.url)
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        assert violations_of_axe(page) == []
        page.get_by_label("Key").fill("sk-wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_have_text("This key is not known here.")
        sessions = f"{server.url}/api/session"
        page.route(
            sessions, lambda route: route.fulfill(status=204) if route.request.method == "POST" else route.continue_()
        )
        page.get_by_label("Key").fill(KEY)
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("This browser does not keep this server's cookies.")
        page.unroute(sessions)
        page.get_by_role("button", name="Sign in").click()
        expect(page.locator("#message")).to_be_visible()
        page.reload()
        expect(page.locator("#message")).to_be_visible()
        assert KEY not in page.evaluate("document.cookie + JSON.stringify(localStorage)")
        assert not [url for url in asked if KEY in url]
        page.route(sessions, lambda route: route.abort() if route.request.method == "DELETE" else route.continue_())
        page.get_by_role("button", name="Settings").click()
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("alert")).to_contain_text("The server cannot be reached.")
        page.unroute(sessions)
        page.get_by_role("button", name="Try again").click()
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        context.close()


def _paper(page: Page) -> object:
    return page.evaluate("getComputedStyle(document.body).backgroundColor")
