"""Upstreams are asked for their models where nobody else would tell a name's."""

from headrace.core.routing import ModelCard
from headrace.testing.clock import FakeClock, settle
from headrace.testing.fake_upstream import FakeUpstream
from headrace.upstreams.lookout import Lookout


class Counting(FakeUpstream):
    """How often it was asked."""

    asked = 0

    async def models(self) -> list[ModelCard]:
        """Count."""
        self.asked += 1
        return []


async def test_several_are_asked_at_once_and_again():
    """At the start, and whenever a list may have grown old, until it is closed."""
    one, two, clock = Counting(), Counting(), FakeClock()
    lookout = Lookout([one, two], clock)
    lookout.start()
    await settle()
    assert (one.asked, two.asked) == (1, 1)
    await clock.advance(31)
    assert (one.asked, two.asked) == (2, 2)
    await lookout.close()
    await clock.advance(31)
    assert (one.asked, two.asked, clock.pending()) == (2, 2, 0)


async def test_one_alone_is_not_asked():
    """It takes any name."""
    one, clock = Counting(), FakeClock()
    lookout = Lookout([one], clock)
    lookout.start()
    await settle()
    await lookout.close()
    assert one.asked == 0
