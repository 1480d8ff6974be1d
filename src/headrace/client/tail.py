"""Following topics: what comes, as it comes, over however many connections it takes."""

from collections.abc import Iterator
from urllib.parse import quote

import msgspec

from headrace.client.exchange import Asked, Reply, stranger
from headrace.client.server import Server

#: How the ids and names of streams begin that may be asked for like a topic.
_STREAMS = ("st_", "chatcmpl-", "resp_", "msg_")
_TOPICS = "/v1/topics/"


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
    reply = server.ask(Asked("GET", f"{target}?offset={quote(offset)}"))
    while True:
        if shown := _shown(reply):
            yield shown
        if reply.headers.get("stream-closed") == "true":
            return
        place = reply.headers.get("stream-next-offset", "")
        if not place:
            raise stranger(reply.status)
        cursor = reply.headers.get("stream-cursor", "")
        query = f"offset={quote(place)}&live=long-poll" + (f"&cursor={quote(cursor)}" if cursor else "")
        reply = server.ask(Asked("GET", f"{target}?{query}", waits=True))


def _shown(reply: Reply) -> bytes:
    """What a page of a topic holds, for a terminal or a pipe."""
    kind = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" or not reply.body:
        return reply.body
    return b"".join(bytes(value) + b"\n" for value in msgspec.json.decode(reply.body, type=list[msgspec.Raw]))
