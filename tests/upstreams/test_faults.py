"""The whole fault table, and every way of cutting a stream, on real sockets."""

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.upstreams.kit import AT_ONCE, Client, ask, drain, text_of

from headrace.errors import (
    HeadraceError,
    UpstreamError,
)
from headrace.model.outcome import Usage
from headrace.model.record import Record
from headrace.testing.faults import FAULTS, Fault
from headrace.testing.scripted_upstream import (
    Next,
    Script,
    ScriptedUpstream,
    chunked,
    head,
    sse,
)


def ended(*faults: Fault) -> list[Any]:
    return [pytest.param(fault, id=fault.id) for fault in faults]


@pytest.mark.parametrize("fault", ended(*(fault for fault in FAULTS if not fault.endless)))
async def test_fault(fault: Fault):
    """Each fault of the table has the outcome that the table names, and no word of the upstream's leaks."""
    records: list[Record] = []
    error: HeadraceError | None = None
    async with ScriptedUpstream(fault.script) as server, Client(server) as upstream:
        try:
            one = await upstream.open(ask())
        except UpstreamError as refused:
            error = refused
        else:
            records, error = await drain(one)
            one.close()
            assert one.ended is (fault.error is None)
            assert fault.ignored in {None, one.ignored}
        if fault.error is not None:
            await asyncio.wait_for(server.connections[0].closed.wait(), 1) if fault.script[-1] != Next() else None
    assert text_of(records) == fault.text
    assert type(error) is (fault.error or type(None))
    if isinstance(error, UpstreamError):
        assert error.accepted is fault.accepted
        assert error.retry_after == fault.retry_after
        assert error.status == fault.status
        assert not fault.code or error.code == fault.code
        assert "canary" not in f"{error!r}{error.detail}{error.__cause__}"


@pytest.mark.parametrize("fault", ended(*(fault for fault in FAULTS if fault.endless)))
async def test_endless_fault(fault: Fault):
    """Without a deadline these go on; whoever cancels them leaves no connection behind."""

    async def read_on() -> None:
        one = await upstream.open(ask())
        while not one.ended:
            await one.read()

    async with ScriptedUpstream(fault.script) as server, Client(server) as upstream:
        reading = asyncio.ensure_future(read_on())
        await asyncio.wait_for(server.asked.wait(), 1)
        await asyncio.sleep(0.02)
        assert not reading.done()
        reading.cancel()
        await asyncio.wait({reading})
        for one in upstream.answers:
            one.close()
        await asyncio.wait_for(server.connections[0].closed.wait(), AT_ONCE)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(min_value=1, max_value=60), max_size=40))
def test_any_cutting_gives_the_same_records(cuts: list[int]):
    """Where the bytes are cut on their way changes nothing of what is logged (U11)."""
    stream = sse("Hé", "👋🏽\r\n", "\u2028", finish_reason="stop", done=True, usage=(3, 4)).replace(
        b"\n\n", b"\r\n\r\n"
    )

    async def records_of(pieces: list[bytes]) -> tuple[list[Record], Usage | None]:
        # Chunks of their own are pieces of their own, whatever the kernel makes of them.
        script: Script = [head(body="chunked"), chunked(*pieces)]
        async with ScriptedUpstream(script) as server, Client(server) as upstream:
            one = await upstream.open(ask(stream_options={"include_usage": True}))
            records, error = await drain(one)
            assert error is None
            return records, one.usage

    pieces, rest = [], stream
    for cut in cuts:
        if rest[:cut]:
            pieces.append(rest[:cut])
        rest = rest[cut:]
    pieces += [rest] if rest else []
    assert asyncio.run(records_of(pieces)) == asyncio.run(records_of([stream]))
