"""Conversations on the chat page: written, edited, branched, listed, searched, renamed, exported and deleted."""

import base64

import pytest
from playwright.sync_api import BrowserContext, expect
from tests.e2e.browser import browser  # noqa: F401 - a fixture
from tests.e2e.page_house import Chat, PageHouse, context, house  # noqa: F401 - fixtures

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.timeout(60)]

#: The smallest picture: one pixel.
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.fixture
def chat(house: PageHouse, context: BrowserContext) -> Chat:  # noqa: F811
    """A new conversation."""
    return house.open(context)


def test_edited_message_is_branch(chat: Chat) -> None:
    """ArrowUp edits the last message; both versions stay, with their answers, after a reload too."""
    chat.send("first")
    chat.shows("Hello 1")
    chat.box.press("ArrowUp")
    editor = chat.page.get_by_label("Edit your message")
    expect(editor).to_be_focused()
    editor.fill("second")
    editor.press("Enter")
    chat.shows("Hello 1")
    expect(chat.said).to_contain_text("second")
    expect(chat.said).to_contain_text("2/2")
    chat.said.hover()
    chat.page.get_by_label("Previous version").click()
    expect(chat.said).to_contain_text("first")
    expect(chat.page.get_by_label("Previous version")).to_be_disabled()
    chat.page.reload()
    expect(chat.said).to_contain_text("first")
    expect(chat.said).to_contain_text("1/2")


def test_answer_is_repeated_and_branched(chat: Chat) -> None:
    """Answering again keeps the first answer beside the second; what follows belongs to its branch."""
    chat.send("again")
    chat.shows("Hello 1")
    chat.page.get_by_role("button", name="Answer again").click()
    expect(chat.answers).to_contain_text("2/2")
    chat.shows("Hello 1")
    chat.send("and then")
    chat.shows("Hello 2")
    chat.answers.first.hover()
    chat.answers.first.get_by_label("Previous version").click()
    expect(chat.answers).to_have_count(1)
    expect(chat.answers).to_contain_text("1/2")


def test_answer_over_its_limit_goes_on(chat: Chat) -> None:
    """An answer that was cut by its limit says so, and is one with what continues it."""
    chat.choose("cut")
    chat.send("long")
    expect(chat.answers.last).to_contain_text("The answer reached its limit of tokens.")
    chat.choose("hello")
    chat.page.get_by_role("button", name="Continue").click()
    expect(chat.prose).to_contain_text("Hello")
    expect(chat.prose).to_contain_text("One two")
    expect(chat.answers).to_have_count(1)


def test_list_is_searched_renamed_and_shortened(house: PageHouse, context: BrowserContext, chat: Chat) -> None:  # noqa: F811
    """Ctrl+K searches what was said; a name that is given, and a deletion, are seen by another tab."""
    chat.send("the wheel of the mill")
    chat.shows("Hello 1")
    chat.page.keyboard.press("Control+k")
    search = chat.page.get_by_role("searchbox")
    expect(search).to_be_focused()
    search.fill("wheel")
    expect(chat.list).to_have_count(1)
    search.press("Escape")
    other = house.open(context, conversation=chat.address)
    chat.page.bring_to_front()  # a tab behind another has no frames
    _menu(chat, "Rename")
    chat.page.keyboard.type("Mills")
    chat.page.keyboard.press("Enter")
    for each in (chat, other):
        expect(each.page.locator(".row[data-current]")).to_contain_text("Mills")
    _menu(chat, "Delete")
    chat.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(chat.page.get_by_role("heading", name="What shall we talk about?")).to_be_visible()
    expect(other.page.get_by_role("heading", name="What shall we talk about?")).to_be_visible()


def test_conversation_is_exported(chat: Chat) -> None:
    """The menu gives it away as a file."""
    chat.send("to be kept")
    chat.shows("Hello 1")
    with chat.page.expect_download() as download:
        _menu(chat, "Export as Markdown")
    assert "to be kept" in download.value.path().read_text(encoding="utf-8")


def test_picture_is_sent(house: PageHouse, chat: Chat) -> None:  # noqa: F811
    """A chosen picture is shown before and after it is sent, and reaches the upstream."""
    chat.page.locator("input[type=file]").set_input_files({"name": "p.png", "mimeType": "image/png", "buffer": PIXEL})
    expect(chat.page.locator(".pictures img")).to_be_visible()
    chat.send("what is it")
    chat.shows("Hello 1")
    expect(chat.said.locator("img")).to_be_visible()
    assert base64.b64encode(PIXEL) in house.upstream.requests[-1].body


def test_settings_reach_upstream(house: PageHouse, chat: Chat) -> None:  # noqa: F811
    """The system prompt and the sampling of a conversation are sent with its next message."""
    chat.page.get_by_role("button", name="Settings").click()
    chat.page.get_by_label("System prompt").fill("Be brief.")
    chat.page.get_by_label("Temperature").fill("0.5")
    chat.page.keyboard.press("Escape")
    chat.send("set")
    chat.shows("Hello 1")
    asked = house.upstream.requests[-1].json()
    assert isinstance(asked, dict)
    assert asked["temperature"] == 0.5
    assert asked["messages"][0] == {"role": "system", "content": "Be brief."}


def _menu(chat: Chat, choice: str) -> None:
    row = chat.page.locator(".row[data-current]")
    row.hover()
    row.get_by_label("Actions for", exact=False).click()
    chat.page.locator(".menu:popover-open").get_by_text(choice, exact=True).click()
