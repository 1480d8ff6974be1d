"""Conversations and their answers in SQL: on both databases the same, and whatever is done twice is done once."""

import asyncio

import pytest

from headrace.errors import NameTaken, NotFound, RequestError
from headrace.model.outcome import Outcome, State, Usage
from headrace.records.answers import Answers, Asked, Ended, Open, Written
from headrace.records.conversations import Conversations
from headrace.testing.clock import FakeClock, settle
from headrace.wire.said import Said


@pytest.fixture
async def kept(database):
    """Both sides of what is kept, on a fresh database, with a conversation ``c``."""
    clock = FakeClock()
    conversations = Conversations(database, clock)
    await conversations.create("alice", "c", "", {})
    return conversations, Answers(database, clock, most=4), clock


def asked(answer="a1", parent=None, text="Hello\U0001f600", id="u1", **more):
    message = Written(id=id, text=text, parts=[{"type": "image", "data_url": "data:,x"}]) if text else None
    return Asked(answer=answer, parent=parent, message=message, model="m", **more)


def ended(answer="a1", stream="st_1", text="Hi", **more):
    usage = Usage(input=1 << 80, output=2, exact=False)
    outcome = Outcome(state=State.COMPLETED, reason="stop", ended_at=1.0, usage=usage)
    said = Said(text, [{"type": "reasoning", "text": "a\0b"}])
    return Ended(more.pop("owner", "alice"), "c", answer, stream, said, outcome)


async def texts(conversations):
    return {message.id: (message.text, message.state) for message in await conversations.messages("alice", "c")}


async def test_a_whole_life(kept):
    """Begun, bound, taken over; the list and the tree say so at each step."""
    conversations, answers, clock = kept
    begun = await answers.begin("alice", "c", asked(settings={"top_p": 0.5}))
    assert [message.id for message in begun.chain] == ["u1"]
    assert (begun.answer.stream, begun.answer.state) == (None, None)
    clock.step_wall(1)
    assert (await answers.bind("alice", begun, "st_1")).stream == "st_1"
    (listed,) = await conversations.list("alice", search="HELLO")
    assert (listed.open, listed.model, listed.updated) == (True, "m", clock.time())
    clock.step_wall(1)
    await answers.take(ended(text="a\0b"))
    (listed,) = await conversations.list("alice")
    assert (listed.open, listed.updated) == (False, clock.time())
    user, answer = await conversations.messages("alice", "c")
    assert (user.text, user.parts[0]["type"], user.parent) == ("Hello\U0001f600", "image", None)
    assert (answer.text, answer.state, answer.parent) == ("ab", "completed", "u1")
    assert answer.usage == {"input": (1 << 63) - 1, "output": 2, "exact": False}
    found = await conversations.find("alice", "c")
    assert (found.title, found.leaf, found.settings) == ("Hello\U0001f600", "a1", {"top_p": 0.5, "model": "m"})
    assert await conversations.streams("alice", "c") == ["st_1"]
    assert await conversations.versions("alice") == {"c": clock.time()}


@pytest.mark.parametrize(
    ("search", "found"),
    [("ПРИВЕТ", 1), ("привет", 1), ("Grün", 1), ("GRÜN", 1), ("重要", 1), ("50%", 1), ("5_", 0), ("%", 1), ("none", 0)],
)
async def test_search_knows_the_letters_of_all_languages(kept, search, found):
    """And takes none of them for a pattern."""
    conversations, answers, _ = kept
    await answers.begin("alice", "c", asked(text="Привет, grün 重要 50%"))
    assert len(await conversations.list("alice", search=search)) == found


async def test_each_step_may_be_done_again(kept):
    """After a crash, by another worker, or because nobody knows whether the database did it."""
    conversations, answers, clock = kept
    for _ in range(2):
        begun = await answers.begin("alice", "c", asked())
    assert begun.fresh == []
    for _ in range(2):
        await answers.bind("alice", begun, "st_1")
    await answers.bind("alice", begun, "st_2")
    await answers.take(ended())
    before = await conversations.versions("alice")
    clock.step_wall(5)
    await answers.take(ended(text="Other"))
    await answers.interrupt(Open("c", "a1", "st_1", 0.0))
    assert await texts(conversations) == {"u1": ("Hello\U0001f600", None), "a1": ("Hi", "completed")}
    assert await conversations.versions("alice") == before
    assert (await answers.begin("alice", "c", asked())).chain == ()


async def test_an_answer_that_does_not_know_its_stream_is_taken_over(kept):
    conversations, answers, _ = kept
    await answers.begin("alice", "c", asked())
    await answers.interrupt((await answers.open_in("alice", ["c"]))[0])
    await answers.take(ended())
    assert (await texts(conversations))["a1"] == ("Hi", "completed")


async def test_what_is_somebody_elses_is_not_there(kept):
    """In reading and in writing, by ids that are right."""
    conversations, answers, _ = kept
    begun = await answers.begin("alice", "c", asked())
    for work in (
        conversations.find("bob", "c"),
        conversations.change("bob", "c", title="x"),
        conversations.streams("bob", "c"),
        answers.begin("bob", "c", asked("a2")),
        answers.bind("bob", begun, "st_1"),
    ):
        with pytest.raises(NotFound):
            await work
    with pytest.raises(NameTaken):
        await conversations.create("bob", "c", "", {})
    await answers.take(ended(owner="bob"))
    await conversations.delete("bob", "c")
    await answers.forget("bob", "st_1")
    assert await conversations.messages("bob", "c") == []
    assert await conversations.list("bob") == []
    assert await answers.open_in("bob", ["c"]) == []
    assert (await texts(conversations))["a1"] == ("", None)


async def test_a_chain_is_the_branch_and_nothing_else(kept):
    _, answers, _ = kept
    await answers.begin("alice", "c", asked())
    on = await answers.begin("alice", "c", asked("a2", "a1", text="", goes_on=True))
    assert [message.id for message in on.chain] == ["u1", "a1"]
    beside = await answers.begin("alice", "c", asked("a3", "u1", text=""))
    assert [message.id for message in beside.chain] == ["u1"]


async def test_what_was_undone_is_gone_unless_others_stand_on_it(kept):
    conversations, answers, _ = kept
    begun = await answers.begin("alice", "c", asked())
    await answers.begin("alice", "c", asked("a2", "u1", text=""))
    await answers.undo(begun)
    assert set(await texts(conversations)) == {"u1", "a2"}
    await answers.undo(await answers.begin("alice", "c", asked("a3", "a2", id="u3")))
    assert set(await texts(conversations)) == {"u1", "a2"}


@pytest.mark.parametrize(("parent", "goes_on"), [(None, False), (None, True), ("a1", False), ("u1", True)])
async def test_an_answer_stands_below_what_it_answers(kept, parent, goes_on):
    conversations, answers, _ = kept
    await answers.begin("alice", "c", asked())
    with pytest.raises(RequestError) as refused:
        await answers.begin("alice", "c", asked("a2", parent, text="", goes_on=goes_on))
    assert refused.value.param == "parent"
    assert set(await texts(conversations)) == {"u1", "a1"}


async def test_a_conversation_does_not_grow_for_ever(kept):
    conversations, answers, _ = kept
    await answers.begin("alice", "c", asked())
    await answers.begin("alice", "c", asked("a2", "u1", text=""))
    with pytest.raises(RequestError):
        await answers.begin("alice", "c", asked("a3", "a1", id="u3"))
    await answers.begin("alice", "c", asked("a3", "u1", text=""))
    assert len(await texts(conversations)) == 4


async def test_a_conversation_is_bounded_in_characters_too(database):
    """A few messages may be as large as thousands; images count. What was refused leaves nothing."""
    conversations = Conversations(database, FakeClock())
    answers = Answers(database, FakeClock(), longest=1_000)
    await conversations.create("alice", "c", "", {})
    await answers.begin("alice", "c", asked(text="重" * 950))
    with pytest.raises(RequestError, match="1000 characters"):
        await answers.begin("alice", "c", asked("a2", "a1", id="u2"))
    assert set(await texts(conversations)) == {"u1", "a1"}


async def test_one_search_at_a_time_leaves_a_thread_for_others(database):
    """Searches read all that an owner has; a key is looked up meanwhile."""
    reading = asyncio.Semaphore(0)
    running: list[int] = []

    class Slow:
        async def read(self, work):
            running.append(len(running))
            await reading.acquire()
            running.pop()
            return await database.read(work)

    conversations = Conversations(Slow(), FakeClock())
    searches = [asyncio.create_task(conversations.list("alice", search="x")) for _ in range(5)]
    await settle()
    assert len(running) == 1
    other = asyncio.create_task(conversations.list("alice"))
    await settle()
    assert len(running) == 2
    for _ in range(6):
        reading.release()
    await asyncio.gather(other, *searches)


async def test_deleting_removes_every_row(kept):
    conversations, answers, _ = kept
    begun = await answers.begin("alice", "c", asked())
    await answers.bind("alice", begun, "st_1")
    await conversations.delete("alice", "c")
    await conversations.delete("alice", "c")
    await answers.take(ended())
    await conversations.create("alice", "c", "", {})
    assert await conversations.messages("alice", "c") == []
    await conversations.delete("alice", "c")
    with pytest.raises(NotFound):
        await answers.bind("alice", begun, "st_1")
