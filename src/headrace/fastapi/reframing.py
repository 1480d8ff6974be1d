"""Re-framing: JSON values out of chunks, blocks of one size, text with its progress.

Each is fed what comes and gives what is complete. ``of`` does that with a whole generator, and is a generator of the
same kind: an asynchronous one of an asynchronous one, so that an ordinary one that blocks still runs in a thread.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterable, Generator, Iterable, Iterator
from typing import Any, Generic, TypeVar, overload

from headrace.fastapi.forms import Event
from headrace.wire.bounds import MAX_EVENT_SIZE
from headrace.wire.ndjson import Errors, Values

I = TypeVar("I")  # noqa: E741  (what goes in)
O = TypeVar("O")  # noqa: E741  (what comes out)


class Reframing(ABC, Generic[I, O]):
    """One way from what comes in to what goes out. Made for one stream."""

    @abstractmethod
    def feed(self, item: I) -> Iterator[O]:
        """What is complete with this."""

    @abstractmethod
    def close(self) -> Iterator[O]:
        """What is left at the end."""

    @overload
    def of(self, items: AsyncIterable[I]) -> AsyncGenerator[O, None]: ...

    @overload
    def of(self, items: Iterable[I]) -> Generator[O, None, None]: ...

    def of(self, items: AsyncIterable[I] | Iterable[I]) -> AsyncGenerator[O, None] | Generator[O, None, None]:
        """All of a stream. Closing it closes that too."""
        return self._of_async(items) if isinstance(items, AsyncIterable) else self._of_plain(items)

    async def _of_async(self, items: AsyncIterable[I]) -> AsyncGenerator[O, None]:
        try:
            async for item in items:
                for made in self.feed(item):
                    yield made
            for made in self.close():
                yield made
        finally:
            if isinstance(items, AsyncGenerator):
                await items.aclose()

    def _of_plain(self, items: Iterable[I]) -> Generator[O, None, None]:
        try:
            for item in items:
                yield from self.feed(item)
            yield from self.close()
        finally:
            if isinstance(items, Generator):
                items.close()


class JsonLines(Reframing[bytes | str, Any]):
    """JSON values, one a line (NDJSON), out of chunks that end anywhere; a last line needs no line end.

    ``errors`` is what becomes of a line that is not JSON: ``raise`` raises MalformedLine after the values before it,
    ``skip`` leaves it out, ``pass`` hands it on as bytes; ``malformed`` counts them. A line of more than ``max_line``
    bytes always raises, because it would have to be held.
    """

    def __init__(self, errors: Errors = "raise", *, max_line: int = MAX_EVENT_SIZE) -> None:
        self._values = Values(errors, max_line=max_line)

    @property
    def malformed(self) -> int:
        """Lines so far that were not JSON."""
        return self._values.malformed

    def feed(self, item: bytes | str) -> Iterator[Any]:
        """The values that are complete with this chunk."""
        return self._values.feed(item.encode() if isinstance(item, str) else item)

    def close(self) -> Iterator[Any]:
        """The last line."""
        return self._values.close()


class Blocks(Reframing[bytes, bytes]):
    """Blocks of exactly ``chunk_size`` bytes, but for the last, out of chunks of any size. Holds less than two."""

    def __init__(self, chunk_size: int) -> None:
        if chunk_size < 1:
            raise ValueError("chunk_size is in bytes, and at least 1")
        self._size = chunk_size
        self._held = bytearray()

    def feed(self, item: bytes) -> Iterator[bytes]:
        """The blocks that are full with this chunk."""
        size, held = self._size, self._held
        view = memoryview(item)
        start = 0
        while len(held) + len(view) - start >= size:
            end = start + size - len(held)
            yield bytes(held) + view[start:end]
            held.clear()
            start = end
        held += view[start:]

    def close(self) -> Iterator[bytes]:
        """The last block, where there is a rest."""
        if self._held:
            yield bytes(self._held)


class Progress(Reframing[str, Event]):
    """Pieces of text, gathered: each ``every`` of them an event with ``token`` and ``total_so_far``, then ``complete``.

    ``token`` is the text since the event before, so that no piece is missing between two, and ``total_so_far`` how many
    pieces there were. The last event is named ``complete`` and has ``done`` (true), ``full_text`` and ``tokens``, their
    number. Holds the whole text.
    """

    def __init__(self, every: int = 10) -> None:
        if every < 1:
            raise ValueError("every is a number of tokens, and at least 1")
        self._every = every
        self._pieces: list[str] = []

    def feed(self, item: str) -> Iterator[Event]:
        """An event, where enough have come."""
        pieces = self._pieces
        pieces.append(item)
        if len(pieces) % self._every == 0:
            yield Event({"token": "".join(pieces[-self._every :]), "total_so_far": len(pieces)})

    def close(self) -> Iterator[Event]:
        """All of it."""
        pieces = self._pieces
        yield Event({"done": True, "full_text": "".join(pieces), "tokens": len(pieces)}, event="complete")
