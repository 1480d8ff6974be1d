"""Mutations: what becomes of an answer on its way through bad memory, bad proxies and bad programs."""

import random
import re
from collections.abc import Callable, Sequence

from headrace.gates.answers import said
from headrace.model.dialect import CHAT
from headrace.testing.dialect_faults import dialect_faults
from headrace.testing.faults import FAULTS, Fault
from headrace.testing.scripted_upstream import Trickle
from headrace.testing.spoken import UPSTREAMS, fault, spoken

#: Bodies of faults that are larger than this (bombs, endless lines) have tests of their own.
_LARGEST = 20_000

_CONTROLS = (
    *(b"\0", b"\r", b"\n", b"\r\n", b"\n\n", b"\r\r", b"\x0b", b"\x1b", b"\x7f", b"\xff", b"\xfe\xff", b"\xc3", b"\\"),
    *(b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\xed\xa0\x80", b"\xc2\x85", b"\\ud800", b"\\u0000", b'"', b"}"),
)
_HUGE = (b"9" * 400, b"1e999", b"-1e999", b"-1", b"1.5", b"18446744073709551616", b"0" * 50, b"9" * 5000, b"NaN", b"-0")
_WRONG = (
    b"null",
    b"true",
    b"[]",
    b"{}",
    b'""',
    b'"x"',
    b"7",
    b"-1.5",
    b"[null]",
    b'{"a":[]}',
    b"[[]]",
    b'["x",1]',
    b"",
)
_GARBAGE = (
    *(b"data: {oops\n\n", b"data: []\n\n", b"data: {}\n\n", b"data\n\n", b"data: null\n\n", b"event: x\n\n", b":\n"),
    *(b"event: error\ndata: {}\n\n", b"event: message_stop\n\n", b"data: [DONE]\n\n", b"retry: 99999999999999999999\n"),
    *(b"id: \0\n", b"data: \xff\n\n", b"event: \0x\ndata: {}\n\n", b'data: {"choices":[]}\n\n', b"\n", b": ping\n\n"),
)
_NUMBER = re.compile(rb"\d+")
_VALUE = re.compile(rb'(?<=":)(?:"(?:[^"\\]|\\.)*"|-?[\d.]+|true|false|null|\[\]|\{\})')
_FRAME = re.compile(rb"(?<=\n\n)")

Mutation = Callable[[random.Random, bytes], bytes]


def _flip(chance: random.Random, body: bytes) -> bytes:
    """Some bits."""
    changed = bytearray(body)
    for _ in range(chance.choice((1, 1, 2, 8))):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _cut(chance: random.Random, body: bytes) -> bytes:
    """All from somewhere on."""
    return body[: chance.randrange(len(body))]


def _drop(chance: random.Random, body: bytes) -> bytes:
    """A piece."""
    start, end = _span(chance, body)
    return body[:start] + body[end:]


def _double(chance: random.Random, body: bytes) -> bytes:
    """A piece comes again, perhaps often."""
    start, end = _span(chance, body)
    return body[:end] + body[start:end] * chance.choice((1, 1, 2, 20)) + body[end:]


def _swap(chance: random.Random, body: bytes) -> bytes:
    """Two neighbours change places."""
    a, b = _span(chance, body)
    c = chance.randrange(b, len(body) + 1)
    return body[:a] + body[b:c] + body[a:b] + body[c:]


def _control(chance: random.Random, body: bytes) -> bytes:
    """Bytes that mean something to somebody."""
    return _insert(chance, body, chance.choice(_CONTROLS))


def _garbage(chance: random.Random, body: bytes) -> bytes:
    """Frames that are none, perhaps many."""
    return _between(chance, body, chance.choice(_GARBAGE) * chance.choice((1, 1, 1, 12, 60)))


def _error(chance: random.Random, body: bytes) -> bytes:
    """An error between two frames, in any dialect's words."""
    return _between(chance, body, fault(chance.choice(UPSTREAMS)))


def _huge(chance: random.Random, body: bytes) -> bytes:
    """A number that nobody would expect."""
    return _replace(chance, body, _NUMBER, chance.choice(_HUGE))


def _nest(chance: random.Random, body: bytes) -> bytes:
    """A value that nests deeply, closed or not."""
    depth = chance.choice((3, 63, 64, 65, 500, 5000))
    opening, closing = chance.choice(((b"[", b"]"), (b'{"a":', b"}")))
    return _replace(chance, body, _VALUE, opening * depth + b"1" + closing * chance.choice((depth, depth, 0)))


def _wrong(chance: random.Random, body: bytes) -> bytes:
    """A value of another type."""
    return _replace(chance, body, _VALUE, chance.choice(_WRONG))


def _frames(chance: random.Random, body: bytes) -> bytes:
    """Frames in another order, or without some."""
    frames = _FRAME.split(body)
    if chance.random() < 0.5:
        chance.shuffle(frames)
    return b"".join(frame for frame in frames if chance.random() < 0.9)


def _lines(chance: random.Random, body: bytes) -> bytes:
    """Lines that end in another way, all or some."""
    end = chance.choice((b"\r\n", b"\r", b"\n\r", b"\n\n"))
    return body.replace(b"\n", end, chance.choice((-1, 1, 5)))


_MUTATIONS: Sequence[Mutation] = (
    *(_flip, _flip, _cut, _drop, _double, _swap, _control, _garbage, _error, _huge, _nest, _wrong, _wrong, _wrong),
    *(_frames, _lines),
)


def mutated(chance: random.Random, body: bytes, other: bytes) -> bytes:
    """A body after a few of them; now and then it goes on as another one."""
    for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
        if body:
            body = chance.choice(_MUTATIONS)(chance, body)
    if chance.random() < 0.1:
        body = body[: chance.randint(0, len(body))] + other[chance.randint(0, len(other)) :]
    return body


def seed(chance: random.Random, dialect: str) -> bytes:
    """A body to begin with: an answer, or what is known to go wrong."""
    if chance.random() < 0.7:
        return b"".join(spoken(dialect, said(chance)))
    return chance.choice(_KNOWN[dialect])


def _known(dialect: str) -> list[bytes]:
    """The bodies of what goes wrong with a dialect, where it comes as events."""
    faults = (*(FAULTS if dialect == CHAT else ()), *dialect_faults(dialect))
    return [body for fault in faults if 0 < len(body := _body(fault)) < _LARGEST]


def _body(fault: Fault) -> bytes:
    first, *steps = fault.script or (b"",)
    if not isinstance(first, bytes) or b" 200 " not in first or b"event-stream" not in first:
        return b""
    parts = (step.data if isinstance(step, Trickle) else step for step in steps)
    return b"".join(part for part in parts if isinstance(part, bytes))


_KNOWN = {dialect: _known(dialect) for dialect in UPSTREAMS}


def pieces(chance: random.Random, body: bytes) -> list[bytes]:
    """The body as the network might bring it; seldom in bytes, which take longest to read."""
    kind = chance.random()
    if kind < 0.01:
        return [body[at : at + 1] for at in range(len(body))]
    most = 7 if kind < 0.03 else chance.choice((80, 400, 4000))
    cuts, at = [], 0
    while at < len(body):
        cuts.append(body[at : (at := at + chance.randint(1, most))])
    return cuts


def _span(chance: random.Random, body: bytes) -> tuple[int, int]:
    start = chance.randrange(len(body))
    return start, min(len(body), start + chance.choice((1, 2, 8, 60, 300)))


def _insert(chance: random.Random, body: bytes, more: bytes) -> bytes:
    at = chance.randint(0, len(body))
    return body[:at] + more + body[at:]


def _between(chance: random.Random, body: bytes, more: bytes) -> bytes:
    frames = _FRAME.split(body)
    frames.insert(chance.randint(0, len(frames)), more)
    return b"".join(frames)


def _replace(chance: random.Random, body: bytes, what: re.Pattern[bytes], by: bytes) -> bytes:
    found = list(what.finditer(body))
    if not found:
        return body
    match = chance.choice(found)
    return body[: match.start()] + by + body[match.end() :]
