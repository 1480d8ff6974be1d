"""Taking over: what a stream has said becomes its answer's text, before retention may let go of the stream.

The process that started an answer takes it over as soon as its stream has ended. Where that died, the recorder of any
other process does, which sees every closed stream; and whoever looks at a conversation has what is still open there
settled, so that no answer stays open that nobody writes.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from headrace.core.clock import Clock
from headrace.core.log import Head, Log
from headrace.core.registry import Registry
from headrace.core.replay import all_records
from headrace.errors import RequestError, StoreCorrupt, StoreError
from headrace.records.answers import Answers, Ended, Open, name_of
from headrace.wire.said import said

logger = logging.getLogger(__name__)

#: Seconds in which an answer may stand in its tree before it has a stream; then nobody is starting it.
STARTING = 30.0


class Taker:
    """One for each process. ``take`` and ``forget`` are what a recorder asks of it."""

    def __init__(self, log: Log, answers: Answers, clock: Clock) -> None:
        self._log = log
        self._answers = answers
        self._clock = clock
        self._following: set[asyncio.Task[None]] = set()

    async def take(self, heads: Sequence[Head]) -> None:
        """Take over those of these closed streams that are answers of conversations. Raises StoreError.

        One by one: any of them may be as long as a stream.
        """
        for head in heads:
            if _answer_of(head) and (ended := await self._ended(head)) is not None:
                await self._answers.take(ended)

    async def forget(self, owner: str, id: str) -> None:
        """Remove what was taken over from a stream. Raises StoreError."""
        await self._answers.forget(owner, id)

    def follow(self, registry: Registry, id: str, record: Callable[[], Awaitable[object]]) -> None:
        """Have closed streams recorded as soon as this one of ours has ended; one task for each answer in writing."""
        task = asyncio.get_running_loop().create_task(_follow(registry, id, record), name=f"taking {id}")
        self._following.add(task)
        task.add_done_callback(self._following.discard)

    async def settle(self, owner: str, conversations: Sequence[str]) -> bool:
        """End what nobody writes among the open answers of these conversations. True where anything has changed.

        Raises StoreError.
        """
        found = await self._answers.open_in(owner, conversations)
        return any([await self._settle(owner, open) for open in found])

    async def close(self) -> None:
        """Follow nothing any more."""
        for task in self._following:
            task.cancel()
        await asyncio.gather(*self._following, return_exceptions=True)

    async def _settle(self, owner: str, open: Open) -> bool:
        head = await self._head(owner, open)
        if head is None:
            if open.stream is None and self._clock.time() < open.created + STARTING:
                return False
            await self._answers.interrupt(open)
        elif head.outcome is not None:
            await self.take([head])
        elif open.stream is None:
            await self._answers.learn(open, head.id)
        else:
            return False
        return True

    async def _head(self, owner: str, open: Open) -> Head | None:
        """The stream of an open answer; None where there is none, or none any more."""
        id = open.stream
        if id is None:
            name = name_of(open.conversation, open.id)
            bound = await self._log.resolve(owner, name.name, (name.kind,))
            id = bound.id if bound else ""
        head = await self._log.head(id) if id else None
        return None if head is None or head.gone else head

    async def _ended(self, head: Head) -> Ended | None:
        """What a closed stream said; None where it is open, or was removed meanwhile."""
        if head.outcome is None:
            return None
        try:
            records = await all_records(self._log, head.id) if head.tail else ()
        except RequestError:
            return None
        except StoreCorrupt:
            records = ()  # it will not be better later, and its end is known
        whole = await asyncio.to_thread(said, records, head.format)  # so long that it may take a while
        return Ended(head.meta.owner, head.meta.conversation, _answer_of(head), head.id, whole, head.outcome)


async def _follow(registry: Registry, id: str, record: Callable[[], Awaitable[object]]) -> None:
    try:
        await registry.finished(id)
        await record()
    except StoreError as error:
        logger.warning("stream %s: not taken over yet (%s)", id, error.code)


def _answer_of(head: Head) -> str:
    """The answer whose stream this is; empty where it is none of a conversation of ours."""
    return str(head.meta.echo.get("answer", "")) if head.meta.conversation else ""
