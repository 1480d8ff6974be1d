"""The fake clock: alarms ring in order, at their own time, and settle in between."""

import asyncio

from headrace.core.clock import Clock
from headrace.testing.clock import FakeClock


async def test_alarms_ring_in_order_at_their_own_time():
    clock = FakeClock()
    seen = []
    clock.call_later(2.0, lambda: seen.append(("late", clock.monotonic())))
    clock.call_later(1.0, lambda: seen.append(("early", clock.monotonic())))
    await clock.advance(3.0)
    assert seen == [("early", 1001.0), ("late", 1002.0)]
    assert clock.monotonic() == 1003.0
    assert clock.time() == 1_800_000_003.0


async def test_an_alarm_set_while_time_goes_by_rings_in_the_same_advance():
    clock = FakeClock()
    seen = []

    def tick():
        seen.append(clock.monotonic())
        clock.call_later(1.0, tick)

    clock.call_later(1.0, tick)
    await clock.advance(3.5)
    assert seen == [1001.0, 1002.0, 1003.0]


async def test_tasks_that_an_alarm_wakes_run_before_the_next_alarm():
    clock = FakeClock()
    event = asyncio.Event()
    seen = []

    async def worker():
        await event.wait()
        seen.append(clock.monotonic())

    task = asyncio.create_task(worker())
    clock.call_later(1.0, event.set)
    clock.call_later(2.0, lambda: seen.append("second"))
    await clock.advance(2.0)
    await task
    assert seen == [1001.0, "second"]


async def test_a_cancelled_alarm_does_not_ring_and_cancelling_late_is_harmless():
    clock = FakeClock()
    seen = []
    timer = clock.call_later(1.0, lambda: seen.append("cancelled"))
    kept = clock.call_later(1.0, lambda: seen.append("kept"))
    timer.cancel()
    assert clock.pending() == 1
    await clock.advance(1.0)
    kept.cancel()
    assert seen == ["kept"]
    assert clock.pending() == 0


def test_a_wall_clock_step_moves_no_deadline():
    clock: Clock = FakeClock()
    before = clock.monotonic()
    clock.step_wall(3600.0)
    assert clock.monotonic() == before
    assert clock.time() == 1_800_003_600.0
