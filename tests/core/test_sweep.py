"""The sweep: who is late is asked, but not for the time for which the loop itself was held up."""

import asyncio
import socket
import time

import pytest
import uvloop

from headrace.core.clock import SystemClock
from headrace.core.deadlines import INTERVAL, LATE, Sweep
from headrace.testing.clock import FakeClock


class Asked:
    """Keeps when it was asked."""

    def __init__(self) -> None:
        self.at: list[float] = []

    def tick(self, now: float) -> None:
        self.at.append(now)


class Held(FakeClock):
    """A clock of a loop that is held up: what is due rings only after so long."""

    async def hold(self, seconds: float) -> None:
        self._move(self._monotonic + seconds)
        await self.advance(0)


async def test_everybody_is_asked_at_each_look():
    clock, one, other = FakeClock(), Asked(), Asked()
    sweep = Sweep(clock)
    sweep.add(one)
    sweep.add(other)
    await clock.advance(4 * INTERVAL)
    assert [now - 1000.0 for now in one.at] == [INTERVAL * number for number in range(1, 5)]
    assert other.at == one.at
    sweep.discard(one)
    await clock.advance(INTERVAL)
    assert len(other.at) == len(one.at) + 1
    sweep.discard(other)
    await clock.advance(INTERVAL)
    assert clock.pending() == 0


async def test_a_look_that_comes_late_asks_nobody_and_the_next_one_does():
    """However long the loop was held up; where that goes on, everybody is asked every other time."""
    clock, asked = Held(), Asked()
    sweep = Sweep(clock)
    sweep.add(asked)
    await clock.hold(100.0)
    assert not asked.at
    await clock.advance(INTERVAL)
    assert len(asked.at) == 1
    for _ in range(6):
        await clock.hold(2 * LATE)
    assert len(asked.at) == 4
    sweep.close()


@pytest.fixture
def anyio_backend():
    return "asyncio", {"loop_factory": uvloop.new_event_loop}


class Reading(asyncio.Protocol):
    """Is late where it is asked before it has read anything."""

    def __init__(self) -> None:
        self.read = False
        self.late: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.read = True

    def tick(self, now: float) -> None:
        if not self.late.done():
            self.late.set_result(not self.read)


class HoldingUp(asyncio.Protocol):
    """Holds the loop up for long, and meanwhile something comes for somebody else."""

    def __init__(self, other: socket.socket) -> None:
        self.other = other

    def data_received(self, data: bytes) -> None:
        self.other.send(b"in time")
        time.sleep(INTERVAL + LATE)


async def test_what_came_while_the_loop_was_held_up_counts_before_its_deadline():
    """The loop looks at its timers before it looks at its sockets again."""
    loop = asyncio.get_running_loop()
    pairs = [socket.socketpair() for _ in range(2)]
    (_, theirs), (_, holding) = pairs
    first, reading = await loop.create_connection(Reading, sock=pairs[0][0])
    second, _ = await loop.create_connection(lambda: HoldingUp(theirs), sock=pairs[1][0])
    sweep = Sweep(SystemClock())
    sweep.add(reading)
    try:
        holding.send(b"now")
        assert await reading.late is False
    finally:
        sweep.close()
        for connection in (first, second, theirs, holding):
            connection.close()
