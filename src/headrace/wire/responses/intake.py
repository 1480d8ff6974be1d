"""An OpenAI Responses stream on its way in: each frame looked at once, and logged as it is.

Of nearly all frames only the type is looked at; the response is read in the few that tell how the answer begins and
ends. The rest is checked as JSON but not built.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from headrace.errors import UpstreamError, UpstreamFault
from headrace.model import dialect
from headrace.model.record import Record
from headrace.wire import intake
from headrace.wire.intake import name_of, text_of
from headrace.wire.json_object import lenient
from headrace.wire.openai_errors import fault
from headrace.wire.responses.terminal import ENDS, OPENINGS, detail_of, reason_of
from headrace.wire.responses.usage import usage_of
from headrace.wire.sse import Frame

# Events without a word of the answer.
_KEEP_ALIVES = frozenset({"ping", "keepalive"})
# What was in the output, for servers whose last event does not repeat it.
_CALLS = "response.function_call_arguments.done"
_REFUSALS = "response.refusal.done"
_LOOKED_AT = OPENINGS | ENDS | _KEEP_ALIVES | {"error", "", _CALLS, _REFUSALS}


class _Event(msgspec.Struct, gc=False):
    type: str | None = None


_decode = msgspec.json.Decoder(_Event).decode
# As in sse: a record is made for every token.
_record = tuple.__new__


class Intake(intake.Intake):
    """Frames to records, each named by its type."""

    format = dialect.RESPONSES

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[str] = set()

    def take(self, frames: Sequence[Frame]) -> list[Record]:
        """The records to log. See the base."""
        records: list[Record] = []
        self._taking = records
        for frame in frames:
            event, data, _ = frame
            if self.ended or self.error is not None:
                self.ignored += not _is_empty(data)
                continue
            type: str | None
            try:
                type = _decode(data).type
                if not data.isascii():
                    data.decode()
            except (ValueError, RecursionError):
                type = self._odd(event, data)
                if type is None:
                    continue
            type = name_of(type or event)
            if type not in _LOOKED_AT or self._is_record(type, data):
                records.append(_record(Record, (type, data)))
        self._good += len(records)
        return records

    def _is_record(self, type: str, data: bytes) -> bool:
        """Note what a frame says that is looked at. False where it is not to be logged."""
        if type in _KEEP_ALIVES:
            return False
        if type in {_CALLS, _REFUSALS}:
            self._seen.add(type)
            return True
        value = lenient(data)
        value = value if isinstance(value, dict) else {}
        if type == "error" or value.get("error"):
            self.error = fault(detail_of(value))
            return False
        if not type:
            self.ignored += 1
            return False
        return self._response(type, value)

    def _response(self, type: str, value: dict[str, Any]) -> bool:
        """Note what the response in an event says. False where the answer has failed."""
        response = value.get("response")
        response = response if isinstance(response, dict) else {}
        self.upstream_id = self.upstream_id or name_of(text_of(response.get("id")) or "")
        self.model = self.model or name_of(text_of(response.get("model")) or "")
        if type not in ENDS:
            return True
        self.usage = usage_of(response.get("usage")) or self.usage
        reason = reason_of(type, response, called=_CALLS in self._seen, refused=_REFUSALS in self._seen)
        if not reason:
            self.error = _failure(value, response)
            return False
        self.finish_reason = name_of(reason)
        self.ended = True
        return True

    def _odd(self, event: str, data: bytes) -> str | None:
        """The type of a frame that is not as it should be; None where it is none: a keep-alive, ``[DONE]``, garbage."""
        if _is_empty(data):
            return None
        value = lenient(data)
        if isinstance(value, dict):
            return text_of(value.get("type")) or ""
        if event == "error":
            self.error = UpstreamFault()
            return None
        self._refuse()
        return None


def _failure(value: Mapping[str, Any], response: Mapping[str, Any]) -> UpstreamError:
    """What an end that is none means; of an upstream that was stopped nothing more is known."""
    return fault(detail_of(value)) if response.get("error") else UpstreamFault()


def _is_empty(data: bytes) -> bool:
    """Whether a frame says nothing: a keep-alive of some servers, or ``[DONE]``, which this dialect does not need."""
    text = data.strip()
    return not text or text.startswith(b"[DONE]")
