"""Blocks: canonical events as one block after another, for dialects that number the parts of an answer.

A block is a run of text, of reasoning or of a refusal's text, or one tool call. Each opens, grows and closes before the
next one opens, whatever order the events come in: a server may begin a second tool call before the first one's
arguments are complete. What comes too early waits until they are (as JSON), or until the answer ends.
Only choice 0 is told; these dialects have no other.
"""

import re
from collections import OrderedDict
from enum import StrEnum
from typing import NamedTuple

from headrace.model import events
from headrace.model.events import Event
from headrace.wire.seal import Seal

_TOKEN = re.compile(r'\\.|["{}\[\]]', re.DOTALL)


class Kind(StrEnum):
    """What a block holds."""

    TEXT = "text"
    REASONING = "reasoning"
    REFUSAL = "refusal"
    #: A tool call; its text is the arguments.
    CALL = "call"


class Opened(NamedTuple):
    """A block begins. Numbers count from 0; ``id`` and ``name`` are a call's."""

    number: int
    kind: Kind
    id: str = ""
    name: str = ""


class Added(NamedTuple):
    """A block grows by ``text``, which is never empty."""

    number: int
    kind: Kind
    text: str


class Closed(NamedTuple):
    """A block is complete. ``text`` is all of it, where blocks of its kind are kept; ``seal`` is over a reasoning.

    A call's text is never empty: no arguments are an empty object.
    """

    number: int
    kind: Kind
    id: str = ""
    name: str = ""
    text: str = ""
    seal: str = ""


Step = Opened | Added | Closed


class Blocks:
    """Events to steps: a pure fold. ``keeps`` names the kinds whose whole text is told when they close."""

    def __init__(self, keeps: frozenset[Kind] = frozenset()) -> None:
        self._keeps = keeps
        self._block: _Block | None = None
        self._begun = 0
        self._calls: set[int] = set()
        #: What waits for the open call to be complete, by block, in the order of their first pieces.
        self._waiting: OrderedDict[object, list[Event]] = OrderedDict()
        self._waited = 0

    def take(self, event: Event) -> list[Step]:
        """The steps of one event. The end of choice 0 closes everything."""
        match event:
            case events.Finished(choice=0):
                return self.finish()
            case events.Text(choice=0) | events.Reasoning(choice=0) | events.Refusal(choice=0):
                pass
            case events.ToolCall(choice=0):
                pass
            case _:
                return []
        if self._must_wait(event):
            self._wait(event)
            return []
        steps = self._take(event)
        while self._waiting and self._is_free():
            steps += self._next()
        return steps

    def finish(self) -> list[Step]:
        """Close what is open, and tell what waited. Idempotent."""
        steps: list[Step] = []
        while self._waiting:
            steps += self._next()
        return steps + self._close()

    @property
    def open(self) -> Closed | None:
        """The block that is open, as far as it is; None where none is."""
        return self._block.closed() if self._block else None

    def _must_wait(self, event: Event) -> bool:
        return not self._is_free() and not self._belongs(event)

    def _is_free(self) -> bool:
        """Whether another block may open: no call is open, or it is complete."""
        return self._block is None or self._block.is_complete()

    def _belongs(self, event: Event) -> bool:
        """Whether an event is a piece of the open block."""
        return self._block is not None and self._block.key == _key(event)

    def _wait(self, event: Event) -> None:
        key: object = _key(event)
        if not isinstance(event, events.ToolCall):
            last = next(reversed(self._waiting)) if self._waiting else None
            self._waited += 1  # a number that no other run of this kind has
            key = last if isinstance(last, tuple) and last[0] == key else (key, self._waited)
        self._waiting.setdefault(key, []).append(event)

    def _next(self) -> list[Step]:
        """Everything that waits of the block that has waited longest."""
        _, waiting = self._waiting.popitem(last=False)
        return [step for event in waiting for step in self._take(event)]

    def _take(self, event: Event) -> list[Step]:
        match event:
            case events.Text(text=text):
                return self._add(Kind.TEXT, text)
            case events.Refusal(text=text):
                return self._add(Kind.REFUSAL, text)
            case events.Reasoning(text=text, signature=seal):
                return self._add(Kind.REASONING, text) + (self._seal(seal) if seal else [])
            case events.ToolCall():
                return self._add_call(event)
        return []

    def _add(self, kind: Kind, text: str) -> list[Step]:
        if not text:
            return []
        steps = [] if self._block and self._block.key == kind else self._open(kind, kind)
        return [*steps, *self._grow(text)]

    def _add_call(self, event: events.ToolCall) -> list[Step]:
        steps: list[Step] = []
        if self._block is None or self._block.key != event.call:
            if event.call in self._calls:
                return []  # it was complete, and something else has begun: what comes now can belong to nothing
            self._calls.add(event.call)
            steps = self._open(event.call, Kind.CALL, event.id, event.name)
        return [*steps, *(self._grow(event.arguments) if event.arguments else ())]

    def _seal(self, seal: str) -> list[Step]:
        """A seal stands at the end of what it is over; a hidden one is over reasoning that nobody may see."""
        is_over_open = self._block and self._block.key == Kind.REASONING and not Seal.parse(seal, "").hidden
        steps = [] if is_over_open else self._open(Kind.REASONING, Kind.REASONING)
        if self._block is not None:
            self._block.seal = seal
        return [*steps, *self._close()]

    def _open(self, key: object, kind: Kind, id: str = "", name: str = "") -> list[Step]:
        steps = self._close()
        self._block = _Block(key, self._begun, kind, id, name, keeps=kind in self._keeps)
        self._begun += 1
        return [*steps, Opened(self._block.number, kind, id, name)]

    def _grow(self, text: str) -> list[Step]:
        block = self._block
        if block is None:
            return []
        block.add(text)
        return [Added(block.number, block.kind, text)]

    def _close(self) -> list[Step]:
        block = self._block
        if block is None:
            return []
        steps = self._grow("{}") if block.kind is Kind.CALL and block.is_empty else []
        self._block = None
        return [*steps, block.closed()]


class _Block:
    """The open block. A call knows whether its arguments are complete JSON so far."""

    def __init__(self, key: object, number: int, kind: Kind, id: str, name: str, *, keeps: bool) -> None:
        self.key = key
        self.number = number
        self.kind = kind
        self.seal = ""
        self.is_empty = True
        self._id = id
        self._name = name
        self._keeps = keeps
        self._pieces: list[str] = []
        self._depth = 0
        self._is_begun = False
        self._in_string = False
        self._half = ""

    def add(self, text: str) -> None:
        self.is_empty = False
        if self._keeps:
            self._pieces.append(text)
        if self.kind is Kind.CALL:
            self._look(text)

    def is_complete(self) -> bool:
        if self.kind is not Kind.CALL:
            return True
        return self._is_begun and not (self._depth or self._in_string)

    def closed(self) -> Closed:
        return Closed(self.number, self.kind, self._id, self._name, "".join(self._pieces), self.seal)

    def _look(self, text: str) -> None:
        """Follow the brackets and quotes of the arguments."""
        text = self._half + text
        self._half = "\\" if (len(text) - len(text.rstrip("\\"))) % 2 else ""  # half an escape
        for match in _TOKEN.finditer(text):
            mark = match.group()
            self._is_begun = True  # white space in front is no value yet
            if mark == '"':
                self._in_string = not self._in_string
            elif not self._in_string:
                self._depth += (mark in "{[") - (mark in "}]")


def _key(event: Event) -> object:
    """What tells the block of one event from those of others."""
    match event:
        case events.ToolCall():
            return event.call
        case events.Reasoning():
            return Kind.REASONING
        case events.Refusal():
            return Kind.REFUSAL
    return Kind.TEXT
