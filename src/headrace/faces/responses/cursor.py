"""The cursor of a Responses client: ``starting_after``, which is that dialect's own sequence number.

A number is turned into a cursor of ours by looking for its frame, so that it is right wherever an upstream begins to
count, and among the frames that we make ourselves.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from starlette.requests import Request

from headrace.core.log import Head, Log
from headrace.core.stream import Cursor
from headrace.errors import OffsetAhead, RequestError
from headrace.faces.dialects import view
from headrace.faces.requests import cursor_of
from headrace.model.dialect import RESPONSES
from headrace.model.record import Record
from headrace.wire.responses.whole import sequence_of

#: Bytes of records that are folded before others get their turn.
PIECE = 16384

_PARAM = "starting_after"
_MAX_DIGITS = 15


async def cursor_in(log: Log, request: Request, head: Head) -> Cursor:
    """Where a reader of the response in the URL goes on: ``Last-Event-ID`` is ours, ``starting_after`` the dialect's.

    Raises RequestError for what is no number, and OffsetAhead for one that no frame has yet.
    """
    asked = request.query_params.get(_PARAM)
    if asked is None or request.headers.get("last-event-id"):
        return cursor_of(request, head)
    if not (asked.isascii() and asked.isdigit() and len(asked) <= _MAX_DIGITS):
        raise RequestError(f"'{_PARAM}' is the sequence_number of the last event that was seen.", param=_PARAM)
    return await cursor_after(log, head, int(asked))


async def cursor_after(log: Log, head: Head, number: int) -> Cursor:
    """The place after the frame with this sequence number. Raises OffsetAhead where there is none yet.

    The numbers of a verbatim stream are mostly those of its records, less one: then one look is enough.
    """
    if head.format == RESPONSES and number < head.tail:
        batch = await log.read(head.id, number, max_bytes=1)
        if sequence_of(batch.records[0]) == number:
            return Cursor(number + 1)
    search = _Search(number)
    async with aclosing(_steps(log, head)) as pieces:
        async for piece in pieces:
            for frames in piece:
                if (found := search.found_in(frames)) is not None:
                    return found
    return search.at_the_end()


class _Search:
    """Looks for the place before the first frame that a client has not seen, step by step."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._last = -1
        self._step = -1

    def found_in(self, frames: Sequence[Record]) -> Cursor | None:
        """The place, if it is in the next step. A frame without a number is one further than that before it."""
        for part, frame in enumerate(frames):
            told = sequence_of(frame)
            number = self._last + 1 if told is None else told
            if number > self._number:
                return Cursor(self._step, part)
            self._last = number
        self._step += 1
        return None

    def at_the_end(self) -> Cursor:
        """The place after all there is. Raises OffsetAhead where the number is beyond that."""
        if self._number > self._last:
            raise OffsetAhead(param=_PARAM)
        return Cursor(self._step)


async def _steps(log: Log, head: Head) -> AsyncGenerator[list[Sequence[Record]]]:
    """The frames of all steps that ``head`` knows of, in pieces; nothing that came after it."""
    fold = view(RESPONSES).fold(head)
    yield [fold.start()]
    if head.format:
        fold.open(head.format)
    after = 0
    while after < head.tail:
        batch = await log.read(head.id, after, max_bytes=PIECE)
        records = batch.records[: head.tail - after]
        yield [fold.record(record) for record in records]
        after += len(records)
        # What is in memory, or in a cache, is read without a wait.
        await asyncio.sleep(0)
    if head.outcome is not None:
        yield [fold.end(head.outcome)]
