"""Answers on the chat page: they are sent, stopped, left and rejoined by somebody who uses a browser."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, expect
from tests.e2e.browser import browser  # noqa: F401 - a fixture
from tests.e2e.page_house import BACK, SHOWN, WHOLE, Cable, Chat, PageHouse, context, house, server_with  # noqa: F401 - fixtures
from tests.e2e.scripted import soon

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.timeout(60)]


def test_answer_streams(house: PageHouse, context: BrowserContext) -> None:  # noqa: F811
    """It is shown as it grows, says when it is whole, and the focus stays where one writes."""
    chat = house.open(context, "waits")
    chat.send("streams")
    chat.grows()
    expect(chat.stop).to_be_visible()
    house.upstream.release("streams")
    chat.shows(WHOLE)
    expect(chat.stop).to_have_count(0)
    expect(chat.box).to_be_focused()
    expect(chat.answers.last).to_contain_text("3 in, 4 out")
    expect(chat.list.first).to_contain_text("streams")


@pytest.mark.parametrize("way", ["button", "Escape"])
def test_stop_ends_upstream_call(house: PageHouse, context: BrowserContext, way: str) -> None:  # noqa: F811
    """Stop and Esc close the upstream's connection; what had come stays, and can be gone on from."""
    chat = house.open(context, "stalls")
    chat.send(f"stop by {way}")
    chat.grows()
    connection = house.upstream.server.connections[-1]
    if way == "button":
        chat.stop.click()
    else:
        chat.page.keyboard.press("Escape")
    chat.shows("One")
    expect(chat.answers.last).to_contain_text("You stopped this answer.")
    expect(chat.page.get_by_role("button", name="Continue")).to_be_visible()
    assert soon(lambda: connection.left)


def test_reload_in_the_middle_twice(house: PageHouse, context: BrowserContext) -> None:  # noqa: F811
    """A page that is loaded again finds its answer, again and again; the model is asked once."""
    chat = house.open(context, "waits")
    chat.send("reloads")
    for _ in range(2):
        chat.grows()
        chat.page.reload()
    chat.grows()
    house.upstream.release("reloads")
    chat.shows(WHOLE)
    asked = [each for each in house.upstream.requests if b"reloads" in each.body]
    assert len(asked) == 1


def test_two_tabs_follow_one_answer(house: PageHouse, context: BrowserContext) -> None:  # noqa: F811
    """A second tab shows the same answer as it grows, and what is sent in one appears in the other."""
    one = house.open(context, "waits")
    one.send("tabs")
    one.grows()
    other = house.open(context, conversation=one.address)
    other.grows()
    house.upstream.release("tabs")
    for chat in (one, other):
        chat.shows(WHOLE)
    other.choose("hello")
    other.send("from the other tab")
    for chat in (other, one):
        chat.shows("Hello 2")


def test_offline_and_online_again(house: PageHouse, context: BrowserContext) -> None:  # noqa: F811
    """Without a network the page says so; with it, it has what came meanwhile, and follows what comes."""
    context.unroute_all()
    with Cable(house.server.port) as cable:
        chat = house.open(context, "waits", at=cable.url)
        chat.send("offline")
        chat.grows()
        context.set_offline(True)
        cable.pull()
        expect(chat.answers.last).to_contain_text("This device is offline.")
        house.upstream.release("offline")
        context.set_offline(False)
        chat.shows(WHOLE)
        expect(chat.answers.last).not_to_contain_text("offline")


def test_server_killed_and_restarted(house: PageHouse, context: BrowserContext, tmp_path: Path) -> None:  # noqa: F811
    """The page waits for the server, says that the answer was interrupted, and goes on from where it was cut."""
    context.unroute_all()
    with server_with(house.upstream, tmp_path) as server:
        chat = house._replace(server=server).open(context, "stalls")
        chat.send("killed")
        chat.grows()
        server.kill()
        expect(chat.answers.last).to_contain_text("The connection is lost.")
        server.start()
        chat.shows("One", timeout=BACK)
        expect(chat.answers.last).to_contain_text("The server stopped in the middle of this answer.")
        chat.choose("hello")
        chat.page.get_by_role("button", name="Continue").click()
        chat.shows(re.compile(r"^One\s*Hello"))
        expect(chat.answers).to_have_count(1)
        server.kill()


def test_send_waits_for_server(house: PageHouse, context: BrowserContext) -> None:  # noqa: F811
    """A message that is sent without a network is sent once there is one, and once."""
    chat = house.open(context)
    context.set_offline(True)
    chat.send("patience")
    expect(chat.answers.last).to_contain_text("The server cannot be reached.")
    context.set_offline(False)
    chat.shows("Hello 1")
    assert len([each for each in house.upstream.requests if b"patience" in each.body]) == 1


def test_unsent_message_is_given_back(house: PageHouse, context: BrowserContext) -> None:  # noqa: F811
    """Who stops a message that has not been sent has its text again, and nobody was asked."""
    chat = house.open(context)
    context.set_offline(True)
    chat.send("never mind")
    expect(chat.answers.last).to_contain_text("The server cannot be reached.")
    chat.page.keyboard.press("Escape")
    expect(chat.box).to_have_value("never mind")
    expect(chat.answers).to_have_count(0)
    context.set_offline(False)
    assert not [each for each in house.upstream.requests if b"never mind" in each.body]


def test_normal_mode_shows_whole_answer(house: PageHouse, context: BrowserContext) -> None:  # noqa: F811
    """With streaming off, the upstream is asked for the whole, which appears at once."""
    chat = _in_normal_mode(house.open(context))
    chat.send("whole")
    chat.shows("Hello")
    [asked] = [each for each in house.upstream.requests if b'"whole"' in each.body]
    assert not asked.json()["stream"]  # type: ignore[index]


def test_stop_in_normal_mode(house: PageHouse, context: BrowserContext) -> None:  # noqa: F811
    """An answer of which nothing is shown yet can be stopped too."""
    chat = _in_normal_mode(house.open(context, "stalls"))
    asked = len(house.upstream.requests)
    chat.send("stop the whole")
    expect(chat.list.first).to_contain_text("stop the whole")
    assert soon(lambda: len(house.upstream.requests) > asked)  # the list has it before the upstream has
    assert len(house.upstream.requests) == asked + 1
    chat.stop.click()
    expect(chat.answers.last).to_contain_text("You stopped this answer.", timeout=SHOWN)
    assert soon(lambda: house.upstream.server.connections[-1].left)


def test_failure_is_explained(house: PageHouse, context: BrowserContext) -> None:  # noqa: F811
    """An upstream's refusal is told in words, with a way on."""
    chat = house.open(context, "busy")
    chat.send("busy")
    expect(chat.answers.last).to_contain_text("takes no more requests now", timeout=SHOWN)
    chat.choose("hello")
    chat.page.get_by_role("button", name="Try again").click()
    chat.shows("Hello 1")


def _in_normal_mode(chat: Chat) -> Chat:
    chat.page.get_by_role("button", name="Settings").click()
    chat.page.get_by_role("switch", name="Show answers as they are written").uncheck()
    chat.page.keyboard.press("Escape")
    return chat
