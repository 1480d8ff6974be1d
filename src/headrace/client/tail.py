"""Following topics and streams from a shell: what comes, as it comes, over however many connections it takes."""

from collections.abc import Iterator
from urllib.parse import quote

import msgspec

from headrace.client.server import Refused, Reply, Server
from headrace.wire import sse

#: How the ids and names of streams begin that may be asked for like a topic.
_STREAMS = ("st_", "chatcmpl-", "resp_", "msg_")
_TOPICS = "/v1/topics/"


class Unfinished(Exception):
    """The stream has ended, and not as completed."""


class _Said(msgspec.Struct):
    """What the events of a stream say."""

    token: str = ""
    message: str = ""
    reason: str = ""


def is_stream(name: str) -> bool:
    """Whether a name is a stream's; all others are topics' paths."""
    return name.startswith(_STREAMS) and "/" not in name


def url_of(path: str) -> str:
    """The path of a topic's URL; the topic may be named by that already."""
    return _TOPICS + quote(path.removeprefix(_TOPICS), safe="/")


def topic(server: Server, path: str, offset: str = "-1") -> Iterator[bytes]:
    """A topic after an offset, until it is closed: its bytes, or its JSON values a line each.

    Raises Refused and Unreachable.
    """
    target = url_of(path)
    reply = server.ask("GET", f"{target}?offset={quote(offset)}")
    while True:
        if shown := _shown(reply):
            yield shown
        if reply.headers.get("stream-closed") == "true":
            return
        place = reply.headers.get("stream-next-offset", "")
        if not place:
            raise Refused("What answers there serves no topics.")
        cursor = reply.headers.get("stream-cursor", "")
        query = f"offset={quote(place)}&live=long-poll" + (f"&cursor={quote(cursor)}" if cursor else "")
        reply = server.ask("GET", f"{target}?{query}")


def stream(server: Server, id: str) -> Iterator[bytes]:
    """An answer's text from its start to its end. Raises Unfinished, Refused and Unreachable."""
    target, last = f"/v1/streams/{quote(id, safe='')}?as=named", ""
    while True:
        pieces = server.listen(target, {"last-event-id": last} if last else {})
        if pieces is None:
            return
        decoder = sse.Decoder()
        for frame in (frame for piece in pieces for frame in decoder.feed(piece)):
            last = frame.id or last
            if frame.event == "done":
                return
            if shown := _text(frame):
                yield shown
        server.patience.pause()


def _text(frame: sse.Frame) -> bytes:
    if frame.event not in ("token", "error", "cancelled"):
        return b""
    said = msgspec.json.decode(frame.data, type=_Said)
    if frame.event == "token":
        return said.token.encode(errors="replace")
    raise Unfinished(said.message or f"The answer was {frame.event} ({said.reason}).")


def _shown(reply: Reply) -> bytes:
    """What a page of a topic holds, for a terminal or a pipe."""
    kind = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" or not reply.body:
        return reply.body
    return b"".join(bytes(value) + b"\n" for value in msgspec.json.decode(reply.body, type=list[msgspec.Raw]))
