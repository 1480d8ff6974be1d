"""Raw streams: records in no dialect, shown as they were recorded, in the media type that they came in.

Events are shown as events, lines as lines, all else as the bytes that it is. The end has no words here: a stream that
did not complete is cut.
"""

from collections.abc import Callable, Mapping, Sequence

from starlette.responses import Response

from headrace.core.log import Head
from headrace.core.reader import Reader
from headrace.core.rendering import View
from headrace.core.stream import NOTHING_SEEN, Cursor, past_end
from headrace.errors import StreamOpen
from headrace.faces.failures import OPENAI, of_outcome
from headrace.faces.reply import NO_BUFFERING, StreamReply
from headrace.faces.service import Service
from headrace.model.media import BYTES, EVENTS, LINES, essence
from headrace.model.outcome import Outcome, State
from headrace.model.record import Record
from headrace.wire import sse

#: A page that somebody else wrote is nobody's page here: its scripts and forms are dead, its origin is none.
SANDBOX = {"content-security-policy": "sandbox"}


class Raw:
    """The fold that changes nothing."""

    stateless = True

    def start(self) -> Sequence[Record]:
        """Nothing is said before the first record."""
        return ()

    def open(self, format: str) -> None:
        """Any format will do."""

    def record(self, record: Record) -> Sequence[Record]:
        """The record itself."""
        return (record,)

    def end(self, _: Outcome) -> Sequence[Record]:
        """The end is not told."""
        return ()


def _event(record: Record, cursor: str) -> bytes:
    return sse.encode(record.event, record.data, cursor)


def _line(record: Record, _: str) -> bytes:
    return record.data + b"\n"


def _bytes(record: Record, _: str) -> bytes:
    return record.data


_FRAMES: Mapping[str, Callable[[Record, str], bytes]] = {EVENTS: _event, **dict.fromkeys(LINES, _line)}
_PING = b": ping\n\n"


def raw_view(format: str, stream: str = "") -> View:
    """How to show records of a media type; with ``stream``, event ids name it, because the URL does not."""
    kind = essence(format)
    frame = _FRAMES.get(kind, _bytes)
    prefix = f"{stream}:" if stream else ""
    return View(
        f"raw {frame.__name__} {bool(prefix)}", lambda _: Raw(), frame, prefix, _PING if kind == EVENTS else b""
    )


async def rejoin(at: Service, head: Head, cursor: Cursor, *, participant: bool, named: bool = True) -> Response:
    """The records after a cursor; 204 where all have been seen. ``named`` where the URL says which stream it is.

    Raises StreamOpen where nothing has come yet, so that nobody knows what it will be.
    """
    ended = head.outcome is not None and head.outcome.state is State.COMPLETED and cursor.step == head.tail
    if past_end(head, cursor) or (ended and cursor is not NOTHING_SEEN):
        return Response(status_code=204)
    head = await _begun(at, head, participant=participant)
    if head.outcome is not None and head.outcome.state is not State.COMPLETED and not head.tail:
        return of_outcome(head.outcome, OPENAI, headers={"headrace-stream-id": head.id})
    reader = at.registry.read(head, raw_view(head.format, "" if named else head.id), cursor, participant=participant)
    return raw_reply(at, head.id, reader, head.format or BYTES)


def raw_reply(
    at: Service, id: str, reader: Reader, format: str, headers: Mapping[str, str] = NO_BUFFERING
) -> StreamReply:
    """A reply that sends what a reader of a raw stream reads."""
    return StreamReply(
        at.registry,
        reader,
        media_type=format,
        headers={
            **headers,
            **SANDBOX,
            "content-type": format,
            "headrace-stream-id": id,
            "location": f"/v1/streams/{id}",
        },
        send_timeout=at.manners.send_timeout,
        retry=essence(format) == EVENTS,
    )


async def _begun(at: Service, head: Head, *, participant: bool) -> Head:
    """The stream, once its format is known: it comes with the first record."""
    if head.format or head.outcome is not None:
        return head
    reader = at.registry.read(head, raw_view(""), NOTHING_SEEN, participant=participant)
    try:
        await reader.settle(at.manners.gate)
    finally:
        reader.close()
    now = await at.registry.find(head.meta.owner, head.id)
    if not now.format and now.outcome is None:
        raise StreamOpen("Nothing has come of this stream yet; ask again.")
    return now
