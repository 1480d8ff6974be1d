"""Who is on streams that other processes write."""

import asyncio

from headrace.core.tasks import Tasks
from headrace.core.visits import Visits
from headrace.errors import StoreUnavailable
from headrace.testing.clock import settle


class Slow:
    """Signals that take as long as a test wants; ``there`` is what has arrived."""

    def __init__(self):
        self.there = set()
        self.under_way = []

    async def set_presence(self, id, present):
        arrives = asyncio.get_running_loop().create_future()
        self.under_way.append(arrives)
        await arrives
        (self.there.add if present else self.there.discard)(id)

    async def arrive(self, error=None):
        """Let what was told last arrive first, as where the rest has to be sent again."""
        while self.under_way:
            arriving, self.under_way = self.under_way[::-1], []
            for future in arriving:
                future.set_exception(error) if error else future.set_result(None)
            error = None
            await settle()


async def test_what_is_told_last_is_how_it_is_whatever_arrives_late():
    """A telling that had to be sent again would leave a ghost behind, or have an answer stopped that is read."""
    signals, tasks = Slow(), Tasks("telling")
    visits = Visits(signals, tasks.spawn)
    visits.join("s")
    await settle()
    visits.leave("s")
    await settle()
    await signals.arrive()
    assert signals.there == set()
    visits.join("s")
    await settle()
    visits.leave("s")
    await settle()
    visits.join("s")
    await settle()
    await signals.arrive()
    assert signals.there == {"s"}
    await tasks.close(1)


async def test_a_telling_that_failed_does_not_keep_what_came_after_it_from_being_told():
    """It may have arrived in spite of that."""
    signals, tasks = Slow(), Tasks("telling")
    visits = Visits(signals, tasks.spawn)
    signals.there.add("s")
    visits.join("s")
    await settle()
    visits.leave("s")
    await signals.arrive(StoreUnavailable())
    assert signals.there == set()
    visits.join("s")
    await settle()
    await signals.arrive(StoreUnavailable())
    visits.leave("s")
    visits.join("s")
    await settle()
    await signals.arrive()
    assert signals.there == {"s"}
    await tasks.close(1)
