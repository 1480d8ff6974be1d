"""An Anthropic Messages stream on its way in: each frame looked at once, and logged as it is.

What is looked at: which event it is, why the answer stopped, is it an error, what was used, which id and model. The
rest of the payload is checked as JSON but not built.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from headrace.errors import UpstreamProtocol, UpstreamTruncated
from headrace.model import dialect
from headrace.model.record import Record
from headrace.wire import intake
from headrace.wire.intake import name_of, text_of
from headrace.wire.json_object import lenient
from headrace.wire.messages.reasons import canonical
from headrace.wire.messages.usage import Counts
from headrace.wire.openai_errors import fault, scrub_value
from headrace.wire.sse import Frame

_CONTENT = frozenset({"content_block_start", "content_block_delta", "content_block_stop"})


class _Message(msgspec.Struct, gc=False):
    id: str | None = None
    model: str | None = None
    usage: dict[str, Any] | None = None


class _Delta(msgspec.Struct, gc=False):
    stop_reason: str | None = None


class _Event(msgspec.Struct, gc=False):
    type: str | None = None
    message: _Message | None = None
    delta: _Delta | None = None
    usage: dict[str, Any] | None = None
    error: Any = None


_decode = msgspec.json.Decoder(_Event).decode
# As in sse: a record is made for every token.
_record = tuple.__new__


class Intake(intake.Intake):
    """Frames to records.

    A record's event is the type that its data says: the SDKs go by that name, and skip a frame without one.
    ``finish_reason`` is a canonical word. ``usage`` is a guess until the answer's own tokens are told.
    """

    format = dialect.MESSAGES

    def __init__(self) -> None:
        super().__init__()
        self._counts = Counts()
        self._begun = False
        self._stop_reason = ""

    def take(self, frames: Sequence[Frame]) -> list[Record]:
        """The records to log. See the base."""
        records: list[Record] = []
        self._taking = records
        for frame in frames:
            if self.ended or self.error is not None:
                self.ignored += 1
                continue
            name, data, _ = frame
            event: _Event | None
            try:
                event = _decode(data)
                if not data.isascii():
                    data.decode()
            except (ValueError, RecursionError):
                event = self._odd(name, data)
                if event is None:
                    continue
            kind = event.type or name
            if (kind in _CONTENT and self._begun) or self._is_record(kind, name, data, event):
                records.append(_record(Record, (kind, data)))
        self._good += len(records)
        return records

    def _is_record(self, kind: str, name: str, data: bytes, event: _Event) -> bool:
        """Note what a valid frame says. False where it is not to be logged."""
        if kind == "ping" or name == "ping":
            return False
        if kind == "error" or name == "error" or (event.error and not event.type):
            self.error = fault(scrub_value(lenient(data)))
            return False
        if kind == "message_start":
            return self._start(event.message or _Message())
        if not self._begun:
            return self._too_early(kind)
        if kind == "message_delta":
            return self._delta(event)
        if kind == "message_stop":
            return self._stop()
        return self._unknown(kind)

    def _start(self, message: _Message) -> bool:
        """The first one counts: the SDKs refuse another."""
        if self._begun:
            self.ignored += 1
            return False
        self._begun = True
        self.upstream_id = name_of(message.id or "")
        self.model = name_of(message.model or "")
        self._count(message.usage, final=False)
        return True

    def _too_early(self, kind: str) -> bool:
        """No client can place anything before the start. A part of the answer is lost then: it cannot be whole."""
        if kind in _CONTENT or kind in {"message_delta", "message_stop"}:
            self.error = UpstreamProtocol()
        else:
            self._refuse()
        return False

    def _delta(self, event: _Event) -> bool:
        """Why the answer stops is told once; a client would believe the last. Usage may come again: it is a total."""
        self._count(event.usage, final=True)
        reason = (event.delta.stop_reason if event.delta else None) or ""
        if self._stop_reason and reason != self._stop_reason:
            self.ignored += 1
            return False
        self._stop_reason = reason
        self.finish_reason = canonical(reason)
        return True

    def _count(self, usage: dict[str, Any] | None, *, final: bool) -> None:
        self._counts.add(usage, final=final)
        self.usage = self._counts.usage

    def _stop(self) -> bool:
        """Without a reason to stop the answer was cut, by a proxy or a crash on the other side, and looks whole."""
        self.ended = bool(self._stop_reason)
        if not self.ended:
            self.error = UpstreamTruncated()
        return self.ended

    def _unknown(self, kind: str) -> bool:
        """An event that this dialect may have tomorrow is a record; a frame without any name is none of it."""
        if kind and name_of(kind):
            return True
        self._refuse()
        return False

    def _odd(self, name: str, data: bytes) -> _Event | None:
        """A frame that is not an event as it should be: an error, invalid, or JSON with types of its own."""
        if not data.strip():
            return None  # a keep-alive of some servers
        if name == "error":
            self.error = fault(scrub_value(lenient(data)))
            return None
        if name == "ping":
            return None
        value = lenient(data)
        if isinstance(value, dict):
            return _tolerant(value)
        self._refuse()
        return None


def _tolerant(value: dict[str, Any]) -> _Event:
    """An event of the fields that have the right type."""
    message = _object(value.get("message"))
    return _Event(
        type=text_of(value.get("type")),
        message=_Message(text_of(message.get("id")), text_of(message.get("model")), _object(message.get("usage"))),
        delta=_Delta(text_of(_object(value.get("delta")).get("stop_reason"))),
        usage=_object(value.get("usage")),
        error=value.get("error"),
    )


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
