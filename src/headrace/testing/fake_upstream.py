"""An upstream without a network: it plays a list of steps.

For tests of everything above the :class:`~headrace.core.routing.Upstream` port::

    gate = asyncio.Event()
    upstream = FakeUpstream([chunk("one"), gate, chunk("two"), End("stop", Usage(input=1, output=2))])
    ...
    assert upstream.answers[0].closed
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from headrace.core.routing import Call, ModelCard
from headrace.errors import HeadraceError, UpstreamTruncated
from headrace.model.outcome import Usage
from headrace.model.record import Record


@dataclass(frozen=True)
class End:
    """A step: the dialect's own end."""

    finish_reason: str = "stop"
    usage: Usage | None = None


class KeepAlive:
    """A step: a sign of life without progress."""


#: One step of a script. A record or a list of them is read at once; an event is waited for; an error is raised;
#: a callable is called, for what no other step can say.
Step = Record | list[Record] | asyncio.Event | HeadraceError | End | KeepAlive | Callable[[], None]


#: What an upstream that is given no script does: it ends at once.
NOTHING: Sequence[Step] = (End(),)


def chunk(text: str, *, id: str = "chatcmpl-fake", model: str = "fake", choice: int = 0) -> Record:
    """An OpenAI chat chunk with a piece of text, as a record."""
    return _chunk(id, model, {"index": choice, "delta": {"content": text}, "finish_reason": None})


def finish(reason: str = "stop", *, id: str = "chatcmpl-fake", model: str = "fake", choice: int = 0) -> Record:
    """An OpenAI chat chunk with a finish reason, as a record. The answer's end is still an :class:`End`."""
    return _chunk(id, model, {"index": choice, "delta": {}, "finish_reason": reason})


def _chunk(id: str, model: str, choice: dict[str, object]) -> Record:
    body = {"id": id, "object": "chat.completion.chunk", "created": 1, "model": model, "choices": [choice]}
    return Record("", msgspec.json.encode(body))


class FakeAnswer:
    """An :class:`~headrace.core.routing.Answer` that plays steps. A script without an :class:`End` is truncated."""

    def __init__(self, steps: Sequence[Step], *, format: str, upstream_id: str, model: str) -> None:
        self.format = format
        self.upstream_id = upstream_id
        self.model = model
        self.finish_reason = ""
        self.usage: Usage | None = None
        self.ignored = 0
        self.ended = False
        #: ``close`` was called.
        self.closed = False
        #: How often ``read`` was called.
        self.reads = 0
        #: Somebody is waiting for an event of the script now.
        self.waiting = False
        self._steps = list(reversed(steps))

    async def read(self) -> Sequence[Record]:
        """Play steps up to the next one that gives something to read."""
        if self.ended or self.closed:
            raise AssertionError("read after the end of the answer")
        self.reads += 1
        while self._steps:
            step = self._steps.pop()
            if isinstance(step, Record):
                return [step]
            if isinstance(step, list):
                return step
            if isinstance(step, KeepAlive):
                return []
            if isinstance(step, End):
                self.finish_reason, self.usage, self.ended = step.finish_reason, step.usage, True
                return []
            await self._pass(step)
        raise UpstreamTruncated

    async def _pass(self, step: asyncio.Event | HeadraceError | Callable[[], None]) -> None:
        """Play a step that gives nothing to read."""
        if isinstance(step, HeadraceError):
            raise step
        if not isinstance(step, asyncio.Event):
            step()
            return
        self.waiting = True
        try:
            await step.wait()
        finally:
            self.waiting = False

    def close(self) -> None:
        """Note that it was closed."""
        self.closed = True


class FakeUpstream:
    """An :class:`~headrace.core.routing.Upstream` that answers each call with a script.

    ``steps`` is the script of every call, or a function that gives it for a call. ``head`` is played before the answer
    opens: an error there is a refusal, an event delays the answer's head.
    """

    def __init__(
        self,
        steps: Sequence[Step] | Callable[[Call], Sequence[Step]] = NOTHING,
        *,
        name: str = "fake",
        head: Sequence[asyncio.Event | HeadraceError] = (),
        models: Sequence[str] = ("fake",),
        format: str = "openai.chat",
        upstream_id: str = "chatcmpl-fake",
    ) -> None:
        self.name = name
        self.format = format
        self.upstream_id = upstream_id
        #: Every call, in order, refused ones too.
        self.calls: list[Call] = []
        #: Every answer that was opened, in order.
        self.answers: list[FakeAnswer] = []
        self.closed = False
        self._steps = steps
        self._head = head
        self._models = models

    def prepare(self, call: Call) -> Call:
        """It speaks everything."""
        return call

    async def open(self, call: Call) -> FakeAnswer:
        """Play the head, then give an answer that plays the steps."""
        self.calls.append(call)
        for step in self._head:
            if isinstance(step, HeadraceError):
                raise step
            await step.wait()
        steps = self._steps if isinstance(self._steps, Sequence) else self._steps(call)
        answer = FakeAnswer(steps, format=self.format, upstream_id=self.upstream_id, model=call.model)
        self.answers.append(answer)
        return answer

    async def models(self) -> Sequence[ModelCard]:
        """The names it was made with."""
        return [ModelCard(id=model, owned_by=self.name) for model in self._models]

    async def close(self) -> None:
        """Note that it was closed."""
        self.closed = True
