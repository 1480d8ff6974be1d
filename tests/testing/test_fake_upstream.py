"""The fake upstream plays its script, no more and no less."""

import asyncio

import pytest

from headrace.core.routing import Call, Upstream
from headrace.errors import UpstreamFault, UpstreamRefused, UpstreamTruncated
from headrace.model.outcome import Usage
from headrace.testing.clock import settle
from headrace.testing.fake_upstream import End, FakeUpstream, KeepAlive, chunk

CALL = Call(dialect="openai.chat", body={}, model="fake", stream=True)


async def test_steps_are_played_in_order():
    """Records, batches, keep-alives and the end come as written."""
    usage = Usage(input=1, output=2)
    upstream: Upstream = FakeUpstream([chunk("a"), [chunk("b"), chunk("c")], KeepAlive(), End("length", usage)])
    answer = await upstream.open(CALL)

    assert [await answer.read() for _ in range(4)] == [[chunk("a")], [chunk("b"), chunk("c")], [], []]
    assert (answer.ended, answer.finish_reason, answer.usage) == (True, "length", usage)


async def test_an_event_holds_the_answer_until_it_is_set():
    gate = asyncio.Event()
    upstream = FakeUpstream([gate, chunk("a")])
    answer = await upstream.open(CALL)
    reading = asyncio.ensure_future(answer.read())
    await settle()
    assert answer.waiting
    assert not reading.done()

    gate.set()
    assert await reading == [chunk("a")]
    assert not answer.waiting


async def test_errors_are_raised_where_they_stand():
    """An error in the head refuses the call, one in the steps fails the answer, and no end is a truncation."""
    with pytest.raises(UpstreamRefused):
        await FakeUpstream(head=[UpstreamRefused()]).open(CALL)

    answer = await FakeUpstream(lambda call: [chunk(call.model), UpstreamFault()]).open(CALL)
    assert await answer.read() == [chunk("fake")]
    with pytest.raises(UpstreamFault):
        await answer.read()
    with pytest.raises(UpstreamTruncated):
        await answer.read()
