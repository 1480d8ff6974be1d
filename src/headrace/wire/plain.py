"""The simple faces: canonical events as frames for people who write their own page.

Each is a pure fold of ``start``, ``encode`` and ``end``; the same events and outcome always give the same records. Only
choice 0 is shown, and of it only the text and a refusal's text; reasoning and tool calls are not.
``prompt_tokens`` is an estimate of the request's, for an answer whose upstream gives no usage.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

from headrace.model import events
from headrace.model.events import Event
from headrace.model.outcome import Outcome, State, Usage
from headrace.model.record import Record
from headrace.wire import estimate
from headrace.wire.chat.usage import usage_object
from headrace.wire.endings import ending
from headrace.wire.json_object import encode


class Fold(ABC):
    """What all simple faces remember of an answer."""

    def __init__(self, id: str, model: str, created: int = 0, *, prompt_tokens: int = 0) -> None:
        self.id = id
        self.model = model
        self.created = created
        self._prompt_tokens = prompt_tokens
        self._pieces: list[str] = []
        self._finish_reason = ""
        self._usage: Usage | None = None

    def start(self) -> list[Record]:
        """What can be told before the upstream answers."""
        return []

    def encode(self, event: Event) -> list[Record]:
        """The records of one event."""
        match event:
            case events.Text(text=text, choice=0) | events.Refusal(text=text, choice=0) if text:
                self._pieces.append(text)
                return self._text(text)
            case events.Finished(choice=0):
                self._finish_reason = self._finish_reason or event.reason
            case events.Used():
                self._usage = event.usage
        return []

    def end(self, outcome: Outcome) -> list[Record]:
        """The records that tell how the answer ended."""
        return self._done(outcome) if outcome.state is State.COMPLETED else self._not_done(outcome)

    @property
    def content(self) -> str:
        """The text so far."""
        return "".join(self._pieces)

    def finish_reason(self, outcome: Outcome) -> str:
        """Why choice 0 finished."""
        return self._finish_reason or outcome.reason

    def usage(self, outcome: Outcome) -> Usage:
        """The usage the upstream gave, else an estimate."""
        return outcome.usage or self._usage or estimate.usage(self._prompt_tokens, self.content)

    @abstractmethod
    def _text(self, text: str) -> list[Record]:
        """The records of a piece of text."""

    @abstractmethod
    def _done(self, outcome: Outcome) -> list[Record]:
        """The records of a completed answer's end."""

    def _not_done(self, outcome: Outcome) -> list[Record]:  # noqa: ARG002  (for faces that have an event for it)
        return []


class Named(Fold):
    """Named events: ``start``, ``token`` …, then ``done``, ``error`` or ``cancelled``, and always last ``close``."""

    def start(self) -> list[Record]:
        """The id that cancel takes, and the model."""
        return [_record("start", {"id": self.id, "model": self.model})]

    def _text(self, text: str) -> list[Record]:
        return [_record("token", {"token": text, "t": text})]

    def _done(self, outcome: Outcome) -> list[Record]:
        usage = self.usage(outcome)
        told = {
            "finish_reason": self.finish_reason(outcome),
            "usage": usage_object(usage),
            "usage_exact": usage.exact,
            "chars": sum(map(len, self._pieces)),
        }
        return [_record("done", told), _record("close", {})]

    def _not_done(self, outcome: Outcome) -> list[Record]:
        if outcome.state is State.CANCELLED:
            return [_record("cancelled", {"reason": outcome.reason}), _record("close", {})]
        return [_record("error", error_object(outcome)), _record("close", {})]


class Unnamed(Fold):
    """Unnamed events ``{"content", "done"}``; a failure or a stop is ``event: error``, and ``done`` is never true."""

    def start(self) -> list[Record]:
        """An empty piece, which carries the stream's id."""
        return [self._piece("")]

    def _text(self, text: str) -> list[Record]:
        return [self._piece(text)]

    def _piece(self, text: str) -> Record:
        return _record("", {"content": text, "done": False})

    def _done(self, outcome: Outcome) -> list[Record]:
        told = {"finish_reason": self.finish_reason(outcome), "usage": usage_object(self.usage(outcome))}
        return [_record("", {"content": "", "done": True, **told})]

    def _not_done(self, outcome: Outcome) -> list[Record]:
        return [_record("error", error_object(outcome))]


class Infer(Fold):
    """NDJSON, a record a line. It has no line for a failure: the reply must be cut."""

    def _text(self, text: str) -> list[Record]:
        return [self._line(text, None)]

    def _done(self, outcome: Outcome) -> list[Record]:
        return [self._line("", self.finish_reason(outcome))]

    def _line(self, text: str, finish_reason: str | None) -> Record:
        message = {"role": "assistant", "content": text}
        choice = {"message": message, "finish_reason": finish_reason, "index": 0}
        return _record("", {"id": self.id, "created": self.created, "model": self.model, "choices": [choice]})


class Text(Fold):
    """The bare text in UTF-8. It has nothing for a failure: the reply must be cut."""

    def _text(self, text: str) -> list[Record]:
        return [Record("", text.encode())]

    def _done(self, outcome: Outcome) -> list[Record]:  # noqa: ARG002  (the end of the body says it)
        return []


def whole(id: str, model: str, answer: Iterable[Event], outcome: Outcome, *, prompt_tokens: int = 0) -> bytes:
    """The JSON answer to ``stream: false``. The outcome is a completed one."""
    fold = Text(id, model, prompt_tokens=prompt_tokens)
    for event in answer:
        fold.encode(event)
    told = {"finish_reason": fold.finish_reason(outcome), "usage": usage_object(fold.usage(outcome))}
    return encode({"id": id, "model": model, "content": fold.content, **told})


def error_object(outcome: Outcome) -> dict[str, Any]:
    """The simple faces' error: a code of SIMPLE.md, our own words, and whether trying again makes sense."""
    told = ending(outcome)
    return {"code": told.simple, "message": told.message, "retry": outcome.retryable}


def _record(event: str, value: dict[str, Any]) -> Record:
    return Record(event, encode(value))
