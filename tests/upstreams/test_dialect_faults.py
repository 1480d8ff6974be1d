"""The faults that every dialect has, on real sockets: each fails or completes in the same way."""

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.upstreams.kit import ask, drain, speaking, told

from headrace.errors import HeadraceError, UpstreamError
from headrace.model.record import Record
from headrace.testing.dialect_faults import dialect_faults
from headrace.testing.faults import Fault
from headrace.testing.scripted_upstream import Next, Script, ScriptedUpstream, chunked, head
from headrace.testing.spoken import UPSTREAMS, Said, Use, spoken


def table(*, endless: bool) -> list[Any]:
    return [
        pytest.param(dialect, fault, id=f"{dialect}-{fault.id}")
        for dialect in UPSTREAMS
        for fault in dialect_faults(dialect)
        if fault.endless is endless
    ]


@pytest.mark.parametrize(("dialect", "fault"), table(endless=False))
async def test_fault(dialect: str, fault: Fault):
    """The outcome is the table's, whatever the dialect, and no word of the upstream's leaks."""
    records: list[Record] = []
    error: HeadraceError | None = None
    text = ""
    async with ScriptedUpstream(fault.script) as server, speaking(dialect, server) as upstream:
        try:
            one = await upstream.open(ask(dialect))
        except UpstreamError as refused:
            error = refused
        else:
            records, error = await drain(one)
            one.close()
            text = told(one.format, records)
            assert one.ended is (fault.error is None)
            assert fault.ignored in {None, one.ignored}
            if one.ended:
                assert one.finish_reason == "stop"
                assert one.usage is not None
        if fault.error is not None and fault.script[-1] != Next():
            await asyncio.wait_for(server.connections[0].closed.wait(), 1)
    assert text == fault.text
    assert type(error) is (fault.error or type(None))
    if isinstance(error, UpstreamError):
        assert (error.accepted, error.retry_after, error.status) == (fault.accepted, fault.retry_after, fault.status)
        assert error.code == fault.code
        assert "canary" not in f"{error!r}{error.detail}{error.__cause__}"


@pytest.mark.parametrize(("dialect", "fault"), table(endless=True))
async def test_endless_fault(dialect: str, fault: Fault):
    """Without a deadline these go on; whoever closes the answer leaves no connection behind."""
    async with ScriptedUpstream(fault.script) as server, speaking(dialect, server) as upstream:
        one = await upstream.open(ask(dialect))
        records: list[Record] = []
        while told(one.format, records) != fault.text:
            records += await one.read()
        reading = asyncio.ensure_future(drain(one))
        done, _ = await asyncio.wait({reading}, timeout=0.02)
        assert not done
        reading.cancel()
        await asyncio.wait({reading})
        one.close()
        await asyncio.wait_for(server.connections[0].closed.wait(), 1)


@pytest.mark.parametrize("dialect", UPSTREAMS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(min_value=1, max_value=200), max_size=40))
def test_any_cutting_gives_the_same_records(dialect: str, cuts: list[int]):
    """Where the bytes are cut on their way changes nothing of what is logged (U11)."""
    calls = (Use(id="c", name="f", arguments=('{"a":"é', '👋🏽"', "}")),)
    frames = spoken(dialect, Said(texts=("Hé", "👋🏽\r\n", "\u2028"), reasoning=("hm",), calls=calls))
    stream = b"".join(frames)

    async def outcome_of(pieces: list[bytes]) -> tuple[list[Record], object, str]:
        # Chunks of their own are pieces of their own, whatever the kernel makes of them.
        script: Script = [head(body="chunked"), chunked(*pieces)]
        async with ScriptedUpstream(script) as server, speaking(dialect, server) as upstream:
            one = await upstream.open(ask(dialect))
            records, error = await drain(one)
            assert error is None
            return records, one.usage, one.finish_reason

    pieces, rest = [], stream
    for cut in cuts:
        if rest[:cut]:
            pieces.append(rest[:cut])
        rest = rest[cut:]
    pieces += [rest] if rest else []
    assert asyncio.run(outcome_of(pieces)) == asyncio.run(outcome_of([stream]))
