"""A target's answer as an upstream's: what succeeds becomes records, by event, by line or by piece."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from headrace.core.routing import Answer, Call, ModelCard
from headrace.errors import UpstreamProtocol, UpstreamRefused
from headrace.model.media import EVENTS, LINES, checked, essence
from headrace.model.outcome import Usage
from headrace.model.record import Record
from headrace.upstreams.http import Exchange
from headrace.upstreams.target import Asked, ProxyTarget
from headrace.wire import ndjson, sse
from headrace.wire.bounds import SizeExceeded

#: Bytes of a record, where nothing but the reads divide the body.
PIECE = 65536
#: Successes without a body, or with a part of it only.
_NOT_WHOLE = frozenset({204, 205, 206})


class Cutter(Protocol):
    """Bytes in any pieces to records. Raises SizeExceeded for one that is too large."""

    def feed(self, data: bytes) -> Sequence[Record]:
        """The records that these bytes complete."""

    def close(self) -> Sequence[Record]:
        """What is left at the end."""


class _Events:
    def __init__(self) -> None:
        self._decoder = sse.Decoder()

    def feed(self, data: bytes) -> Sequence[Record]:
        return [Record(frame.event, frame.data) for frame in self._decoder.feed(data)]

    def close(self) -> Sequence[Record]:
        self._decoder.close()
        return ()


class _Lines:
    def __init__(self) -> None:
        self._decoder = ndjson.Decoder()

    def feed(self, data: bytes) -> Sequence[Record]:
        return [Record("", line) for line in self._decoder.feed(data)]

    def close(self) -> Sequence[Record]:
        return [Record("", line) for line in self._decoder.close()]


class _Pieces:
    def feed(self, data: bytes) -> Sequence[Record]:
        return [Record("", data[start : start + PIECE]) for start in range(0, len(data), PIECE)]

    def close(self) -> Sequence[Record]:
        return ()


def cutter(media_type: str) -> Cutter:
    """What divides a body of this type."""
    kind = essence(media_type)
    if kind == EVENTS:
        return _Events()
    return _Lines() if kind in LINES else _Pieces()


class RawAnswer:
    """A target's answer while it comes in. See :class:`~headrace.core.routing.Answer`."""

    def __init__(self, exchange: Exchange) -> None:
        self.format = checked(exchange.headers.get("content-type", ""))
        self.upstream_id = self.model = self.finish_reason = ""
        self.usage: Usage | None = None
        self.ignored = 0
        self.ended = False
        self._exchange = exchange
        self._cutter = cutter(self.format)

    async def read(self) -> Sequence[Record]:
        """The records of the bytes that have come. Raises UpstreamProtocol for one that is too large."""
        data = await self._exchange.read_some()
        try:
            if data:
                return self._cutter.feed(data)
            self.ended = True
            return self._cutter.close()
        except SizeExceeded:
            raise UpstreamProtocol from None

    def close(self) -> None:
        """Close the connection at once, or keep it for others where the answer was read."""
        self._exchange.release()


class Recording:
    """One request to a target, as an upstream that is asked once.

    An answer that is not a success, or has no whole body, is not recorded: it is left in ``refused``, for the caller
    to pass on, who says when it is of no more use, and the stream ends as refused before anything was accepted.
    """

    def __init__(self, name: str, target: ProxyTarget, asked: Asked) -> None:
        self.name = name
        #: Done when the head of the answer has come, or will not.
        self.headed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        #: The answer that is being recorded.
        self.recorded: Exchange | None = None
        self.refused: Exchange | None = None
        self._target = target
        self._asked = asked
        self._left = False

    def prepare(self, call: Call) -> Call:
        """The call as it is: what is asked was said when this was made."""
        return call

    async def open(self, _: Call) -> Answer:
        """Ask. Raises UpstreamError, RequestError."""
        try:
            exchange = await self._target.ask(self._asked)
            if self._asked.method == "HEAD" or exchange.status in _NOT_WHOLE or not 200 <= exchange.status < 300:
                self.refused = exchange
                if self._left:
                    exchange.release()
                raise UpstreamRefused(accepted=False, status=exchange.status)
            self.recorded = exchange
            return RawAnswer(exchange)
        finally:
            if not self.headed.done():
                self.headed.set_result(None)

    def leave(self) -> None:
        """Nobody is there any more for what is not recorded."""
        self._left = True
        if self.refused is not None:
            self.refused.release()

    async def models(self) -> Sequence[ModelCard]:
        """None."""
        return ()

    async def close(self) -> None:
        """Nothing: the connections are the target's."""
