"""What owners have spent, also on answers that are deleted."""

import pytest
from sqlalchemy import func, select
from tests.records.test_recorder import Closed, closed

from headrace.config import Price
from headrace.records.conversations import Conversations
from headrace.records.recorder import Recorder
from headrace.records.spending import PERIOD, spent
from headrace.records.tables import costs, messages
from headrace.testing.clock import FakeClock

PRICES = {"gpt-2026": Price(input=100_000, output=0, cached=100_000)}
COST = 1.0


async def kept(database):
    """How many costs are kept of deleted answers."""
    return await database.read(lambda connection: connection.execute(select(func.count()).select_from(costs)).scalar())


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
async def recorder(database, clock):
    """Of three answers of alice's, a dollar each, and one of bob's."""
    heads = [closed(f"s{number}", created=clock.time()) for number in range(3)]
    made = Recorder(Closed(*heads, closed("b", "bob", created=clock.time())), database, clock, PRICES)
    await made.settle()
    return made


async def test_what_a_deleted_answer_has_cost_still_counts(database, clock, recorder):
    """Once, however often it is deleted; and nobody else's."""
    assert await spent(database, clock, ["alice", "bob"]) == {"alice": pytest.approx(3 * COST), "bob": COST}
    for owner, id in (("alice", "s0"), ("alice", "s1"), ("alice", "s1"), ("alice", "b"), ("bob", "s2")):
        await recorder.forget(owner, id)
    assert await recorder.generation("alice", "s0") is None
    assert await spent(database, clock, ["alice", "bob"]) == {"alice": pytest.approx(3 * COST), "bob": COST}
    assert await kept(database) == 2


async def test_so_does_what_a_deleted_conversation_has_cost(database, clock, recorder):
    conversations = Conversations(database, clock)
    made, _ = await conversations.create("alice", "c", "A conversation", {})
    answer = {
        "conversation": made.id,
        "id": "m",
        "role": "assistant",
        "text": "",
        "parts": [],
        "model": "gpt",
        "stream": "s1",
        "created": clock.time(),
    }
    await database.run(lambda connection: connection.execute(messages.insert().values(answer)))
    await conversations.delete("bob", made.id)
    assert await recorder.generation("alice", "s1") is not None
    await conversations.delete("alice", made.id)
    assert await recorder.generation("alice", "s1") is None
    assert await spent(database, clock, ["alice"]) == {"alice": pytest.approx(3 * COST)}
    assert await kept(database) == 1


async def test_what_no_budget_looks_at_any_more_goes(database, clock, recorder):
    """With the next deletion, and is not kept from the start where it is as old."""
    await recorder.forget("alice", "s0")
    await clock.advance(PERIOD + 1)
    assert await spent(database, clock, ["alice"]) == {}
    assert await kept(database) == 1
    await recorder.forget("alice", "s1")
    assert await kept(database) == 0


async def test_an_answer_without_a_price_leaves_nothing(database, clock):
    recorder = Recorder(Closed(closed("s", created=clock.time())), database, clock)
    await recorder.settle()
    await recorder.forget("alice", "s")
    assert await kept(database) == 0
