"""The loop of its own time: it never waits, draws what runs first, and sees where nothing will ever happen."""

import asyncio
import random
import time

import pytest

from headrace.testing.simulated_loop import Deadlock, LoopClock, SimulatedLoop


def run(seed, work):
    loop = SimulatedLoop(random.Random(seed))
    try:
        return loop.run_until_complete(work(loop))
    finally:
        loop.close()


async def order(_):
    seen = []

    async def note(n):
        await asyncio.sleep(0)
        seen.append(n)

    await asyncio.gather(*map(note, range(10)))
    return seen


def test_the_order_is_that_of_the_seed():
    assert run(1, order) == run(1, order)
    assert len({tuple(run(seed, order)) for seed in range(5)}) > 1
    assert sorted(run(3, order)) == list(range(10))


def test_an_hour_is_over_at_once():
    async def hour(loop):
        clock = LoopClock(loop)
        begun, wall = clock.monotonic(), clock.time()
        rung = []
        clock.call_later(1800.0, lambda: rung.append(clock.monotonic() - begun))
        await asyncio.sleep(3600.0)
        return clock.monotonic() - begun, clock.time() - wall, rung, loop.alarms()

    begun = time.monotonic()
    assert run(1, hour) == (pytest.approx(3600.0), pytest.approx(3600.0), [pytest.approx(1800.0)], 0)
    assert time.monotonic() - begun < 1.0


def test_where_everybody_waits_it_does_not():
    with pytest.raises(Deadlock):
        run(1, lambda loop: loop.create_future())
