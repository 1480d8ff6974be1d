"""Every parser of what strangers send: what it is given, and by what it may refuse.

Each takes bytes as they would come and asserts what holds of whatever it makes of them. Whatever else it raises is a
finding. A header comes as Latin-1, a path after its percent signs were read.
"""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from headrace.config import load
from headrace.config.fields import base_url
from headrace.config.key_text import is_new_key
from headrace.core.stream import parse_event_id
from headrace.core.topic_log import Offset
from headrace.errors import ConfigError, RequestError, Unauthorized, UpstreamError
from headrace.faces.access.auth import _shown, _ticket
from headrace.faces.access.sessions import COOKIE, Sessions
from headrace.faces.access.tickets import Tickets
from headrace.faces.arrival import _trace
from headrace.model.leave import LeavePolicy
from headrace.testing.clock import FakeClock
from headrace.upstreams.http_public import is_public
from headrace.upstreams.http_response import Response
from headrace.upstreams.inflate import Inflater
from headrace.upstreams.target import ProxyTarget
from headrace.wire import data_url, disposition, durable, file_path, json_object, ndjson, ranges, scrub, sse
from headrace.wire.bounds import SizeExceeded
from headrace.wire.preconditions import Validator, judged, range_counts

_SECRET = b"s" * 32
_SIZE = 1000
_SMALL = 4096


class Parser(NamedTuple):
    """What reads, and the errors by which it may refuse."""

    read: Callable[[bytes], object]
    refuses: tuple[type[Exception], ...] = ()


def _sse(data: bytes) -> None:
    """In one piece as byte by byte; what is written again reads the same."""

    def frames(step: int) -> tuple[list[sse.Frame], str]:
        decoder = sse.Decoder(_SMALL)
        found = [frame for at in range(0, len(data), step) for frame in decoder.feed(data[at : at + step])]
        decoder.close()
        return found, decoder.last_event_id

    whole = frames(max(1, len(data)))
    assert frames(1) == whole
    for frame in whole[0]:
        decoder = sse.Decoder()
        again = decoder.feed(sse.encode(frame.event, frame.data))
        assert [(one.event, one.data) for one in again] == [(frame.event, frame.data)]


def _ndjson(data: bytes) -> None:
    values = ndjson.Values("skip", max_line=_SMALL)
    for at in range(0, len(data), 7):
        list(values.feed(data[at : at + 7]))
    list(values.close())


def _json(data: bytes) -> None:
    """What is read can be said again."""
    json_object.lenient(data)
    json_object.encode(json_object.settled(json_object.parse(data)))


def _range(data: bytes) -> None:
    for size in (0, 1, _SIZE):
        for one in ranges.asked(_header(data), size):
            assert 0 <= one.start < one.stop <= size


def _conditions(data: bytes) -> None:
    """Lines of names and values."""
    lines = (line.partition(":") for line in _header(data).split("\n"))
    headers = {name.strip().lower(): value.strip() for name, _, value in lines}
    there = Validator('"a"', 1_800_000_000, weak=False)
    judged(headers, there)
    judged(headers, None)
    range_counts(headers.get("if-range"), there)


def _file_path(data: bytes) -> None:
    for name in file_path.names_in(data.decode("utf-8", "replace")):
        assert name not in ("", ".", "..")
        assert not set(name) & set("/\\\0")


def _session(data: bytes) -> None:
    sessions = Sessions(_SECRET, FakeClock())
    assert sessions.of([(b"cookie", data)]) is None
    assert sessions.of([(b"cookie", f"{COOKIE}=".encode() + data)]) is None


def _key(data: bytes) -> None:
    """Nothing that was not made here has a good checksum, and no header is too strange to be looked at."""
    assert not is_new_key(data) or (data.startswith(b"hr_") and data.isascii())
    list(_shown([(b"authorization", data), (b"x-api-key", data), (b"authorization", b"Bearer " + data)]))


def _query(data: bytes) -> None:
    shown = _ticket(data)
    if shown is not None:
        Tickets(_SECRET, FakeClock()).check(shown)


def _proxied(data: bytes) -> None:
    """Nothing leads away from the target's origin and base, in a path, a query or a redirect."""
    path, _, query = _header(data).partition("?")
    target = ProxyTarget("https://up.example/base", {}, ("GET",), None)  # type: ignore[arg-type]
    url = target.url(path if path.startswith("/") else f"/{path}", query)
    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc, parts.fragment) == ("https", "up.example", "")
    assert parts.path.startswith("/base/")
    assert not {".", ".."} & set(unquote(parts.path).split("/"))
    assert "\\" not in unquote(parts.path)


def _base(data: bytes) -> None:
    found = base_url(data.decode("utf-8", "replace"))
    parts = urlsplit(found)
    assert not found or (parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc)


def _disposition(data: bytes) -> None:
    """One line of ASCII, whose name opens no folder and no second parameter."""
    value = disposition.attachment(data.decode("utf-8", "surrogateescape"))
    assert value.isascii()
    assert value.isprintable()
    name = value.partition('filename="')[2].partition('"')[0]
    assert name
    assert not set(name) & set('/\\"%')
    assert value.count('"') == 2


def _data_url(data: bytes) -> None:
    found = data_url.parse(data.decode("utf-8", "replace"))
    if found is not None:
        assert data_url.parse(str(found)) is not None


def _durable(data: bytes) -> None:
    text = _header(data)
    for read in (
        lambda: durable.natural(text, "x"),
        lambda: durable.timestamp(text, "x"),
        lambda: durable.content_type(text),
        lambda: durable.cursor(1_800_000_000.0, text, 3),
        lambda: durable.json_values(data),
        lambda: Offset.parse(text),
    ):
        _or_refused(read, RequestError)


def _cursor(data: bytes) -> None:
    stream, cursor = parse_event_id(data.decode("utf-8", "replace"))
    assert parse_event_id(f"{stream}:{cursor}" if stream else str(cursor)) == (stream, cursor)


def _leave(data: bytes) -> None:
    policy = LeavePolicy.parse(_header(data))
    assert LeavePolicy.parse(str(policy)) == policy


def _traced(data: bytes) -> None:
    parent, state = _trace({"headers": [(b"traceparent", data), (b"tracestate", data)]})
    assert parent == "" or len(parent) == 55
    assert state.isprintable()


def _settings(data: bytes) -> None:
    """As a file, beside which nothing is said."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "headrace.toml").write_bytes(data)
        load(environ={}, folder=Path(folder))


def _answer(data: bytes) -> None:
    """An upstream's response: of one or several pieces the same, and never for ever."""
    for step in (max(1, len(data)), 3):
        response = Response("GET")
        for at in range(0, len(data), step):
            if not response.over:
                response.feed(data[at : at + step])
        if not response.over:
            response.close()
        _or_refused(lambda taken=response: _drained(taken.take), UpstreamError)


def _inflated(data: bytes) -> None:
    for coding in ("gzip", "deflate"):
        if data:
            _or_refused(lambda coding=coding: _inflate(Inflater(coding), data), UpstreamError)


def _inflate(inflater: Inflater, data: bytes) -> None:
    piece = inflater.feed(data)
    while piece:
        assert len(piece) <= 1 << 20
        piece = inflater.take()
    inflater.finish()


def _drained(take: Callable[[], bytes | None]) -> None:
    while take():
        pass


def _scrubbed(data: bytes) -> None:
    assert scrub.scrubbed(data.decode("utf-8", "replace"), 100).isprintable()


def _header(data: bytes) -> str:
    return data.decode("latin-1")


def _or_refused(read: Callable[[], object], *refuses: type[Exception]) -> None:
    try:
        read()
    except refuses:
        return


PARSERS: Mapping[str, Parser] = {
    "sse": Parser(_sse, (SizeExceeded,)),
    "ndjson": Parser(_ndjson, (SizeExceeded,)),
    "json": Parser(_json, (RequestError,)),
    "range": Parser(_range, (RequestError,)),
    "conditions": Parser(_conditions),
    "cursor": Parser(_cursor, (RequestError,)),
    "topic": Parser(_durable),
    "file_path": Parser(_file_path, (RequestError,)),
    "ticket": Parser(_query, (Unauthorized,)),
    "session": Parser(_session),
    "key": Parser(_key),
    "proxy": Parser(_proxied, (RequestError,)),
    "base_url": Parser(_base, (ValueError,)),
    "address": Parser(lambda data: is_public(_header(data))),
    "disposition": Parser(_disposition),
    "data_url": Parser(_data_url),
    "traceparent": Parser(_traced),
    "leave": Parser(_leave, (RequestError,)),
    "settings": Parser(_settings, (ConfigError,)),
    "upstream_response": Parser(_answer),
    "inflate": Parser(_inflated),
    "scrub": Parser(_scrubbed),
}


def finding(name: str, data: bytes) -> str:
    """What is wrong with a parser's reading of this; empty where nothing is."""
    parser = PARSERS[name]
    try:
        parser.read(data)
    except parser.refuses:
        return ""
    except Exception as error:  # noqa: BLE001 - whatever else comes is what is looked for
        return f"{type(error).__name__}: {error}"
    return ""
