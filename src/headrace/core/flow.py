"""The flow: an answer's records on their way into a log as they come, with no task that wakes for each."""

import asyncio
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import TypeGuard

from headrace.core.log import Appended
from headrace.core.routing import Answer, Flowing, FlowingAnswer
from headrace.errors import HeadraceError
from headrace.model.record import Record


class Stopped(Exception):
    """The generation was told to stop."""


class Flow:
    """Moves what an answer brings. ``over`` is done with the records that come with its end, or fails as it does.

    ``put`` takes records; where an append must be committed first, it takes none and returns that.
    """

    __slots__ = ("_answer", "_put", "_waits", "over")

    def __init__(
        self, answer: FlowingAnswer, put: Callable[[Sequence[Record]], "asyncio.Future[Appended] | None"]
    ) -> None:
        self._answer = answer
        self._put = put
        #: A commit is waited for; what comes meanwhile stays with the answer.
        self._waits = False
        self.over: asyncio.Future[Sequence[Record]] = asyncio.get_running_loop().create_future()
        answer.listen(self._move)
        self._move()

    def _move(self, records: Sequence[Record] = ()) -> None:
        """Move what there is. Where that breaks in a way that nobody foresaw, the answer has failed all the same."""
        if self._waits or self.over.done():
            return
        whole = False
        try:
            found = self._take_in(records)
            if found is not None:
                self.over.set_result(found)
            whole = True
        except (HeadraceError, Stopped) as error:
            self.over.set_exception(error)
        finally:
            if not (whole or self.over.done()):
                self.over.set_exception(HeadraceError())
            if self.over.done():
                self._answer.listen(None)

    def _take_in(self, records: Sequence[Record]) -> Sequence[Record] | None:
        """The records that came with the end; None where that is still to come."""
        answer = self._answer
        while not answer.ended:
            if records and (appending := self._put(records)) is not None:
                self._waits = True
                appending.add_done_callback(partial(self._go_on, records))
                return None
            found = answer.take()
            if found is None:
                return None
            records = found
        return records

    def _go_on(self, records: Sequence[Record], _: "asyncio.Future[Appended]") -> None:
        self._waits = False
        self._move(records)


def flows(answer: Answer) -> TypeGuard[FlowingAnswer]:
    """Whether an answer tells of what comes."""
    return _flows(type(answer))


@cache
def _flows(kind: type) -> bool:
    """Asked once for each kind: to look for the methods takes 30 us."""
    return issubclass(kind, Flowing)
