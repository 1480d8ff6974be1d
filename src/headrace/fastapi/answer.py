"""A generator of one's own as an upstream: what the core pulls an answer from."""

from collections.abc import Callable, Sequence

from headrace.core.routing import Attempt, Call, ModelCard
from headrace.fastapi.source import Source
from headrace.model.outcome import Usage
from headrace.model.record import Record


class Made:
    """An answer that this process makes itself. It has no deadlines: nobody else is waited for."""

    upstream_id = ""
    model = ""
    finish_reason = ""
    usage: Usage | None = None
    ignored = 0

    def __init__(self, format: str, source: Source[Record]) -> None:
        self.format = format
        self.ended = False
        self._source = source

    async def read(self) -> Sequence[Record]:
        """What the generator has made; it has ended where that is nothing. Raises Fault."""
        records = await self._source.read()
        self.ended = not records
        return records

    def close(self) -> None:
        """End the generator."""
        self._source.close()


class Local:
    """The upstream of one stream."""

    name = "local"

    def __init__(self, format: str, open_source: Callable[[], Source[Record]]) -> None:
        self._format = format
        self._open = open_source

    def attempt(self) -> Attempt:
        """The one call that it takes."""
        return Attempt(self, Call(dialect=self._format, body={}, model="", stream=True))

    def prepare(self, call: Call) -> Call:
        """Every call is for its generator."""
        return call

    async def open(self, call: Call) -> Made:  # noqa: ARG002  (the port's)
        """Begin."""
        return Made(self._format, self._open())

    async def models(self) -> Sequence[ModelCard]:
        """It has none."""
        return ()

    async def close(self) -> None:
        """There is nothing to let go of."""
