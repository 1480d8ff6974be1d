"""An OpenAI chat stream on its way in: each frame looked at once, and logged as it is.

What is looked at: is it JSON, did a choice finish, is it an error, what was used, which id and model. The rest of the
payload is checked as JSON but not built.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from headrace.errors import UpstreamTruncated
from headrace.model import dialect
from headrace.model.record import Record
from headrace.wire import intake
from headrace.wire.chat.usage import usage_of
from headrace.wire.intake import name_of, text_of
from headrace.wire.json_object import lenient, objects
from headrace.wire.openai_errors import fault, is_flat_error, scrub_value
from headrace.wire.sse import Frame


class _Choice(msgspec.Struct, gc=False):
    index: int = 0
    finish_reason: str | None = None


class _Chunk(msgspec.Struct, gc=False):
    id: str | None = None
    model: str | None = None
    choices: list[_Choice] | None = None
    usage: dict[str, Any] | None = None
    error: Any = None


_decode = msgspec.json.Decoder(_Chunk).decode
# As in sse: a record is made for every token.
_record = tuple.__new__


class Intake(intake.Intake):
    """Frames to records. Made for one answer; the attributes are what is known so far.

    ``usage_wanted`` says whether the client asked for a usage chunk: one that only we asked for is not a record.
    ``done_marker`` is false for a server that never sends ``[DONE]``: there a finished answer ends with its body.
    """

    format = dialect.CHAT

    def __init__(self, usage_wanted: bool, *, done_marker: bool = True) -> None:
        super().__init__()
        self._usage_wanted = usage_wanted
        self._done_marker = done_marker
        self._reasons: dict[int, str] = {}  # of every choice that was opened; empty until it finishes
        self._usage_told = False

    def take(self, frames: Sequence[Frame]) -> list[Record]:
        """The records to log. See the base."""
        records: list[Record] = []
        self._taking = records
        for frame in frames:
            if self.ended or self.error is not None:
                self.ignored += 1
                continue
            event, data, _ = frame
            chunk: _Chunk | None
            try:
                chunk = _decode(data)
                if not data.isascii():
                    data.decode()
            except (ValueError, RecursionError):
                chunk = self._odd(event, data)
                if chunk is None:
                    continue
            if self._is_record(event, data, chunk):
                records.append(_record(Record, (event, data)))
        self._good += len(records)
        return records

    def finish(self) -> None:
        """The body has ended cleanly. Raises UpstreamTruncated unless the answer had, and what ``error`` holds."""
        if self.error is None and not self._done_marker:
            self.ended = self._all_finished()
        super().finish()

    def _is_record(self, event: str, data: bytes, chunk: _Chunk) -> bool:
        """Note what a valid frame says. False where it is not to be logged."""
        if chunk.error or event == "error":
            self.error = fault(scrub_value(lenient(data)))
            return False
        if not self.upstream_id and chunk.id:
            self.upstream_id = name_of(chunk.id)
        if not self.model and chunk.model:
            self.model = name_of(chunk.model)
        if chunk.usage is not None and not self._usage_told:
            self.usage = usage_of(chunk.usage) or self.usage
        if chunk.choices:
            return self._choices(chunk, data)
        if chunk.usage is not None:
            return self._usage_alone()
        return chunk.choices is not None or self._without_choices(event, data)

    def _choices(self, chunk: _Chunk, data: bytes) -> bool:
        """Note which choices are open and which have finished. False where all that a frame does is finish again."""
        reasons = self._reasons
        news, again, otherwise = chunk.usage is not None, False, False
        for choice in chunk.choices or ():
            known = reasons.get(choice.index)
            reason = choice.finish_reason
            if not reason:
                if known is None:
                    reasons[choice.index] = ""
                news = True
            elif reason == "error":
                self.error = fault(scrub_value(None))
                return False
            elif not known:
                reasons[choice.index] = reason
                if choice.index == 0 or not self.finish_reason:
                    self.finish_reason = reason
                news = True
            else:
                again = True
                otherwise = otherwise or reason != known
        if again and _says_more(data):  # some servers finish with every word
            return True
        # The first reason counts; a client would believe the last.
        news = news and not otherwise
        self.ignored += not news
        return news

    def _usage_alone(self) -> bool:
        """A frame with usage and nothing else: logged if the client wants it, and once."""
        if self._usage_told:
            self.ignored += 1
            return False
        self._usage_told = self.usage is not None
        return self._usage_wanted

    def _without_choices(self, event: str, data: bytes) -> bool:
        """Whether an object without ``choices`` is part of the answer: not an error, nor an event of another kind."""
        value = lenient(data)
        if isinstance(value, dict) and is_flat_error(value):
            self.error = fault(scrub_value(value))
            return False
        if event not in {"", "message"}:
            self.ignored += 1
            return False
        return True

    def _odd(self, event: str, data: bytes) -> _Chunk | None:
        """A frame that is not a chunk as it should be: the end, an error, invalid, or JSON with types of its own."""
        text = data.strip()
        if not text:
            return None  # a keep-alive of some servers
        if event == "error":
            self.error = fault(scrub_value(lenient(data)))
            return None
        if text.startswith(b"[DONE]"):
            self.ended = self._all_finished()
            if not self.ended:
                self.error = UpstreamTruncated()
            return None
        value = lenient(data)
        if isinstance(value, dict):
            return _tolerant(value)
        self._refuse()
        return None

    def _all_finished(self) -> bool:
        return bool(self._reasons) and all(self._reasons.values())


def _says_more(data: bytes) -> bool:
    """Whether a choice of a chunk says anything beside its role and its end."""
    chunk = lenient(data)
    deltas = [choice.get("delta") for choice in objects(chunk.get("choices"))] if isinstance(chunk, dict) else []
    return any(value for delta in deltas if isinstance(delta, dict) for name, value in delta.items() if name != "role")


def _tolerant(value: dict[str, Any]) -> _Chunk:
    """A chunk of the fields that have the right type."""
    choices = value.get("choices")
    usage = value.get("usage")
    return _Chunk(
        id=text_of(value.get("id")),
        model=text_of(value.get("model")),
        choices=[_tolerant_choice(choice) for choice in choices if isinstance(choice, dict)]
        if isinstance(choices, list)
        else None,
        usage=usage if isinstance(usage, dict) else None,
        error=value.get("error"),
    )


def _tolerant_choice(value: dict[str, Any]) -> _Choice:
    index = value.get("index")
    return _Choice(index=int(index) if isinstance(index, int) else 0, finish_reason=text_of(value.get("finish_reason")))
