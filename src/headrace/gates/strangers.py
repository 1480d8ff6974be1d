"""Strangers: clients that show cursors, event ids and offsets which nobody has given them (P2, P6).

Each gets a tail of a stream of its own or a refusal: never a failure of ours, and never a word of somebody else's.
"""

import asyncio
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import quote

import msgspec

from headrace.app import create_app
from headrace.config import Settings
from headrace.gates.gate import Run
from headrace.testing.asgi import AppDriver, Response
from headrace.testing.scripted_upstream import Received, ScriptedUpstream, Step, answer

#: Seconds that an answer may take.
PATIENCE = 30.0

_KEYS = {"alice": "alice-key-0123456789", "bob": "bob-key-0123456789ab"}
_WORDS = {owner: f"the-words-of-{owner} " for owner in _KEYS}

#: What is read, and the query parameter that has the cursor there; where there is none a ``Last-Event-ID`` has it.
_ROUTES = (
    ("GET", "/v1/streams/{chat}", "after"),
    ("GET", "/v1/streams/{chat}?as=ui", "after"),
    ("GET", "/v1/streams/{messages}?as=plain", "after"),
    ("GET", "/v1/streams/{responses}?as=ndjson", "after"),
    ("GET", "/v1/chat/completions/{chat}?stream=true", "starting_after"),
    ("GET", "/v1/responses/{responses}?stream=true", "starting_after"),
    ("GET", "/v1/messages/{messages}?stream=true", "starting_after"),
    ("GET", "/api/chat/{owner}/stream", ""),
    ("GET", "/chat/stream?message=x", ""),
    ("POST", "/chat", ""),
    ("POST", "/v1/chat/completions", ""),
    ("GET", "/v1/topics/{owner}", "offset"),
    ("GET", "/v1/topics/{owner}?live=long-poll", "offset"),
    ("GET", "/v1/topics/{owner}?live=sse", "offset"),
)

_SPELLED = (
    *("", "-1", "-0", "+1", " 1", "1 ", "1.", ".1", "0.0", "0.1", "1.0", "1.1.1", "1e3", "0x1", "007", "1_0", "1_1"),
    *("٣", "\uff11", "½", "²", "NaN", "inf", "now", "true", "*", ":", "::", ":1", "1:", "st_:1", "-1:1", "{}", "[]"),
    *("9" * 15, "9" * 16, "9" * 5000, str(2**31), str(2**63), str(2**64), "0" * 40, "A" * 70_000),
    *("1;DROP TABLE streams", "' OR 1=1--", "../../etc/passwd", "%00", "%0d%0a", "\x7f", "\t1", "1\u2028", "💩:1"),
    *("\x00", "1\x00", "\r\n", "1\nX: y", "\ud800".encode("utf-8", "surrogatepass").decode("latin-1")),
)
_RETRY = re.compile(rb"retry: \d+\n")


class Owner(NamedTuple):
    """Somebody with streams: their ids by what started them, and what was replied then."""

    name: str
    ids: Mapping[str, str]
    told: Mapping[str, bytes]


@dataclass
class Tally:
    """What was counted."""

    shown: int = 0
    tails: int = 0
    refused: int = 0
    failures: int = 0
    foreign: int = 0
    jumps: int = 0
    unanswered: int = 0
    wholes: dict[str, bytes] = field(default_factory=dict, repr=False)


async def examine(run: Run, count: int) -> None:
    """Show so many made-up cursors to an app with two owners, and leave the figures in the run."""
    tally = Tally()
    async with ScriptedUpstream(_words) as upstream:
        connected = {"base_url": f"{upstream.url}/v1", "api_key": "sk-of-the-gates-0123456789", "models": ["m"]}
        asked = {"store": {"data": "memory:"}, "upstreams": {"up": connected}, "keys": _KEYS}
        settings = Settings.model_validate(asked)
        async with AppDriver(create_app(settings)) as driver:
            owners = [await _fill(driver, name) for name in _KEYS]
            for _ in range(count):
                await _show(driver, run.random, owners, tally)
    run.figure("made-up cursors shown", tally.shown, least=count)
    run.figure("of them refused", tally.refused, least=1)
    run.figure("of them answered with the tail of a stream", tally.tails, least=1)
    run.zero("failures of ours (5xx)", tally.failures)
    run.zero("replies with somebody else's words", tally.foreign)
    run.zero("replies that are no tail of what was asked for", tally.jumps)
    run.zero("made-up cursors without an answer", tally.unanswered)


def _words(received: Received) -> list[Step]:
    """An answer with the words of whoever asks: their name is in the request."""
    name = next((name for name in _KEYS if name.encode() in received.body), "")
    return [answer(*(f"{number} {_WORDS.get(name, '')}" for number in range(6)), usage=(1, 2))]


def _authority(name: str) -> dict[str, str]:
    return {"authorization": f"Bearer {_KEYS[name]}"}


def _starts(name: str) -> dict[str, tuple[str, dict[str, object]]]:
    message = [{"role": "user", "content": name}]
    parts = [{"id": "1", "role": "user", "parts": [{"type": "text", "text": name}]}]
    return {
        "chat": ("/v1/chat/completions", {"model": "m", "stream": True, "messages": message}),
        "responses": ("/v1/responses", {"model": "m", "stream": True, "input": name}),
        "messages": ("/v1/messages", {"model": "m", "stream": True, "max_tokens": 9, "messages": message}),
        "ui": ("/api/chat", {"id": name, "messages": parts}),
        "named": ("/chat", {"message": name, "stream": True}),
    }


async def _fill(driver: AppDriver, name: str) -> Owner:
    """An owner's streams and topic."""
    ids, told = {}, {}
    for kind, (path, body) in _starts(name).items():
        reply = await driver.ask("POST", path, msgspec.json.encode(body), _authority(name))
        if reply.status != 200 or not reply.complete:
            raise AssertionError((path, reply))
        ids[kind] = reply.headers["headrace-stream-id"]
        told[ids[kind]] = _RETRY.sub(b"", reply.body)
    headers = {**_authority(name), "content-type": "text/plain"}
    await driver.ask("PUT", f"/v1/topics/{name}", _WORDS[name].encode(), headers)
    for last in ("", "true"):
        reply = await driver.ask(
            "POST", f"/v1/topics/{name}", _WORDS[name].encode(), {**headers, "stream-closed": last}
        )
    return Owner(name, {**ids, "owner": name, "offset": reply.headers["stream-next-offset"]}, told)


async def _show(driver: AppDriver, chance: random.Random, owners: list[Owner], tally: Tally) -> None:
    mine, other = chance.sample(owners, 2)
    method, route, param = chance.choice(_ROUTES)
    asked = route.format_map((mine if chance.random() < 0.7 else other).ids)
    own = asked == route.format_map(mine.ids)
    target, headers = _with_cursor(chance, asked, param, _value(chance, mine, other))
    body = b""
    if method == "POST":
        body = msgspec.json.encode(_starts(mine.name)["named" if route == "/chat" else "chat"][1])
    tally.shown += 1
    try:
        async with asyncio.timeout(PATIENCE):
            reply = await driver.ask(method, target, body, {**headers, **_authority(mine.name)})
            whole = await _whole(driver, mine, asked, tally) if own and method == "GET" else b""
    except TimeoutError:
        tally.unanswered += 1
        return
    _judge(reply, other, whole or _told(reply, mine, asked), tally)


def _with_cursor(chance: random.Random, asked: str, param: str, value: str) -> tuple[str, dict[str, str]]:
    """The target and the headers that have the cursor in them."""
    joined = f"{asked}{'&' if '?' in asked else '?'}"
    if param and chance.random() < 0.6:
        return f"{joined}{param}={quote(value.encode('utf-8', 'replace'))}", {}
    header = re.sub(r"[\r\n\0]", "", value).encode("utf-8", "replace").decode("latin-1")
    return f"{joined}offset=-1" if param == "offset" else asked, {"last-event-id": header}


async def _whole(driver: AppDriver, mine: Owner, asked: str, tally: Tally) -> bytes:
    """What is read there without a cursor; nothing where that starts something, or is framed by where it begins."""
    if asked.startswith(("/chat/", "/api/")) or "live=" in asked:
        return b""
    if asked not in tally.wholes:
        reply = await driver.ask("GET", asked, b"", _authority(mine.name))
        tally.wholes[asked] = _RETRY.sub(b"", reply.body)
    return tally.wholes[asked]


def _told(reply: Response, mine: Owner, asked: str) -> bytes:
    """What was replied when the stream was started, where that is in the words of the route that was asked now."""
    stream = reply.headers.get("headrace-stream-id", "")
    kind = {"/v1/chat/completions": "chat", f"/api/chat/{mine.name}/stream": "ui"}.get(asked, "")
    own_words = asked.startswith("/chat") or mine.ids.get(kind) == stream
    return mine.told.get(stream, b"") if own_words else b""


def _judge(reply: Response, other: Owner, whole: bytes, tally: Tally) -> None:
    tally.failures += reply.status >= 500
    tally.refused += 400 <= reply.status < 500
    words = reply.body + repr(reply.headers).encode()
    tally.foreign += _WORDS[other.name].strip().encode() in words
    if reply.status != 200:
        return
    tally.unanswered += not reply.complete
    tally.tails += bool(whole)
    tally.jumps += bool(whole) and not whole.endswith(_RETRY.sub(b"", reply.body))


def _value(chance: random.Random, mine: Owner, other: Owner) -> str:
    """A cursor: spelled as none is, made of ids that there are, or a good one with a letter changed."""
    kind = chance.random()
    if kind < 0.25:
        return chance.choice(_SPELLED)
    if kind < 0.5:
        return str(chance.randrange(12) if kind < 0.4 else chance.getrandbits(chance.choice((8, 32, 64, 200))))
    owner = mine if chance.random() < 0.6 else other
    id = chance.choice(list(owner.ids.values()))
    place = chance.choice((str(chance.randrange(12)), f"{chance.randrange(12)}.{chance.randrange(4)}", "-1", ""))
    value = owner.ids["offset"] if chance.random() < 0.2 else f"{id}:{place}"
    return value if kind < 0.8 else _changed(chance, value)


def _changed(chance: random.Random, value: str) -> str:
    at = chance.randrange(len(value) + 1)
    letter = chance.choice(("", "\x00", ":", ".", "_", "-", "0", "9", "ä", chr(chance.randrange(32, 127))))
    return value[:at] + letter + value[at + chance.randrange(2) :]
