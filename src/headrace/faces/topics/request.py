"""What a request says of a topic: its path, its place, and what to create or append, as Durable Streams' headers."""

from collections.abc import Mapping
from urllib.parse import unquote

from starlette.requests import Request

from headrace.core.topic_append import Append, Producer
from headrace.core.topic_log import Offset, essence
from headrace.core.topics import Create, ForkPlace
from headrace.errors import RequestError
from headrace.wire import durable

ROOT = "/v1/topics/"
#: The longest path of a topic, in characters.
LONGEST = 512
_MAX_TEXT = 256


def path_of(path: str, param: str = "path") -> str:
    """A topic's path, decoded. Raises RequestError for one that a proxy or a log may take for another."""
    printable = path.isprintable() and "\ufffd" not in path  # which stands for what is no UTF-8
    if not 0 < len(path) <= LONGEST or not printable or {"", ".", ".."} & set(path.split("/")):
        raise RequestError(
            f"A topic's path is 1 to {LONGEST} printable characters, and none of its parts is empty, '.' or '..'.",
            param=param,
        )
    return path


def offset_of(request: Request) -> str | None:
    """The offset that a read shows: ``Last-Event-ID``, because a browser repeats its first query, or ``offset``.

    None where it shows none. Raises RequestError.
    """
    event_id = request.headers.get("last-event-id")
    if event_id:
        return event_id
    shown = request.query_params.getlist("offset")
    if len(shown) > 1 or shown == [""]:
        raise RequestError("There must be one offset.", param="offset")
    return shown[0] if shown else None


def live_of(request: Request) -> str:
    """How a read goes on at the tail: not at all, ``long-poll`` or ``sse``. Raises RequestError."""
    live = request.query_params.get("live")
    if live is None:
        # The browser's EventSource, without any query.
        return "sse" if request.headers.get("accept") == "text/event-stream" else ""
    if live not in ("long-poll", "sse"):
        raise RequestError("A live read is long-poll or sse.", param="live")
    return live


def create_of(request: Request, owner: str, path: str) -> Create:
    """What a request asks to create. Raises RequestError."""
    headers = request.headers
    ttl, expires = headers.get("stream-ttl"), headers.get("stream-expires-at")
    if ttl is not None and expires is not None:
        raise RequestError("A topic has a TTL or a time at which it expires, not both.", param="Stream-TTL")
    kind = headers.get("content-type")
    return Create(
        owner,
        path_of(path),
        None if kind is None else durable.content_type(kind),
        None if ttl is None else durable.natural(ttl, "Stream-TTL", 10 * 366 * 86_400),
        None if expires is None else durable.timestamp(expires, "Stream-Expires-At"),
        closing(headers),
        _fork(headers, request.scope.get("root_path", "")),
    )


def _fork(headers: Mapping[str, str], root: str) -> ForkPlace | None:
    source, at, sub = (headers.get(f"stream-{name}") for name in ("forked-from", "fork-offset", "fork-sub-offset"))
    if source is None:
        if at is not None or sub is not None:
            raise RequestError("A fork needs the topic that it comes from.", param="Stream-Forked-From")
        return None
    beyond = 0 if sub is None else durable.natural(sub, "Stream-Fork-Sub-Offset")
    place = None if at is None else Offset.parse(at, "Stream-Fork-Offset")
    return ForkPlace(_source(source, root), place, beyond)


def _source(text: str, root: str) -> str:
    """The path of a topic that a header names by its URL's path, or by its own."""
    try:
        path = unquote(text, errors="strict")
    except ValueError:
        path = ""
    return path_of(path.removeprefix(root).removeprefix(ROOT).removeprefix("/"), "Stream-Forked-From")


def append_of(request: Request, body: bytes) -> Append:
    """What a request asks to append. Raises RequestError."""
    headers, closed = request.headers, closing(request.headers)
    sequence = headers.get("stream-seq", "")
    if len(sequence) > _MAX_TEXT:
        raise RequestError("A sequence is at most 256 characters.", param="Stream-Seq")
    asked = Append(closed=closed, producer=_producer(headers), sequence=sequence)
    if not body:
        if not closed:
            raise RequestError("There is nothing to append.")
        return asked
    kind = essence(headers.get("content-type", ""))
    if not kind:
        raise RequestError("An append names its content type.", param="Content-Type")
    records = records_of(body, kind)
    if not records:
        raise RequestError("There is nothing to append.")
    return asked._replace(kind=kind, records=records)


def records_of(body: bytes, content_type: str) -> list[bytes]:
    """A body as records of a topic of this type. Raises RequestError."""
    if not body:
        return []
    return durable.json_values(body) if essence(content_type) == durable.JSON else durable.pieces(body)


def _producer(headers: Mapping[str, str]) -> Producer | None:
    id, epoch, sequence = (headers.get(f"producer-{name}") for name in ("id", "epoch", "seq"))
    if id is None and epoch is None and sequence is None:
        return None
    if not id or epoch is None or sequence is None or len(id) > _MAX_TEXT:
        raise RequestError("A producer has an id, an epoch and a sequence.", param="Producer-Id")
    return Producer(id, durable.natural(epoch, "Producer-Epoch"), durable.natural(sequence, "Producer-Seq"))


def closing(headers: Mapping[str, str]) -> bool:
    """Whether a request closes the topic."""
    return headers.get("stream-closed", "").lower() == "true"
