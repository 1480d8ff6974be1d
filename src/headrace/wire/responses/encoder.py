"""Canonical events to frames in the OpenAI Responses dialect."""

from collections.abc import Mapping
from typing import Any

from headrace.model import dialect, events
from headrace.model.events import Event
from headrace.model.outcome import Outcome, State, Usage
from headrace.model.record import Record
from headrace.wire.blocks import Added, Blocks, Closed, Kind, Opened, Step
from headrace.wire.json_object import encode
from headrace.wire.responses import items
from headrace.wire.responses.envelope import Envelope
from headrace.wire.responses.terminal import ended, is_cut


class Encoder:
    """See :class:`~headrace.wire.encoding.Encoder`. Every block is an item of the output of its own."""

    def __init__(self, id: str, model: str = "", created: int = 0, echo: Mapping[str, Any] | None = None) -> None:
        self._envelope = Envelope(id, model, created, echo)
        self._sealed = self._envelope.asks_for("reasoning.encrypted_content")
        self._blocks = Blocks(keeps=frozenset(Kind))
        #: The complete items; the open one comes after them.
        self._output: list[dict[str, Any]] = []
        self._names: items.Names | None = None
        self._call_ids: set[str] = set()
        self._number = 0
        self._reason = ""
        self._refused = False
        self._usage: Usage | None = None

    def start(self) -> list[Record]:
        """Nothing is said before the first record: an early error of the upstream keeps its HTTP status."""
        return []

    def encode(self, event: Event) -> list[Record]:
        """The frames of one event."""
        match event:
            case events.Text():
                pass
            case events.Started():
                envelope = self._envelope
                envelope.id = envelope.id or event.id
                envelope.model = envelope.model or event.model
                envelope.created = envelope.created or event.created
                return self._begin()
            case events.Used():
                self._usage = event.usage
                return []
            case events.Finished(choice=0):
                self._reason = self._said(event.reason)
            case events.Extra(dialect=dialect.RESPONSES, payload=dict(payload)):
                return self._extra(payload)
        return self._tell(self._blocks.take(event))

    def end(self, outcome: Outcome) -> list[Record]:
        """The open item, where the answer is complete, and the event that tells how it ended."""
        frames = self._begin()
        if outcome.state is State.COMPLETED:
            frames += self._tell(self._blocks.finish())
        else:
            self._give_up()
        told = ended(outcome, self._reason)
        return [*frames, self._frame(told.event, response=self.response(outcome))]

    def response(self, outcome: Outcome | None = None) -> dict[str, Any]:
        """The response object as it is now: in progress without an outcome."""
        usage = outcome.usage if outcome and outcome.usage else self._usage
        output = [*self._output, *self._unfinished("in_progress" if outcome is None else "incomplete")]
        if outcome is None:
            return self._envelope.response(output, usage=usage)
        told = ended(outcome, self._reason)
        completed_at = int(outcome.ended_at) if told.status == "completed" else None
        return self._envelope.response(output, usage=usage, completed_at=completed_at, **told.fields)

    def _begin(self) -> list[Record]:
        """The two events with which every answer begins, once."""
        if self._number:
            return []
        response = self._envelope.response([])
        return [self._frame(event, response=response) for event in ("response.created", "response.in_progress")]

    def _tell(self, steps: list[Step]) -> list[Record]:
        frames = self._begin() if steps else []
        for step in steps:
            match step:
                case Added():
                    frames += self._added(step)
                case Opened():
                    frames += self._opened(step)
                case Closed():
                    frames += self._closed(step)
        return frames

    def _said(self, reason: str) -> str:
        """Why an answer finished. A refusal without a word of it has none here, but is no normal end either."""
        return "content_filter" if reason == "refusal" and not self._refused else reason

    def _opened(self, step: Opened) -> list[Record]:
        self._refused = self._refused or step.kind is Kind.REFUSAL
        self._names = names = items.Names(self._envelope.id, step, self._call_id(step), len(self._output))
        item = items.begun(step, names)
        return [self._frame("response.output_item.added", output_index=len(self._output), item=item)]

    def _added(self, step: Added) -> list[Record]:
        names, kind = self._names, step.kind
        if names is None:
            return []
        frames = []
        if kind in items.PARTS and not names.grown:
            names.grown = True
            frames = [self._frame(f"{items.PARTS[kind]}.added", **names.place, part=items.part(kind, ""))]
        if kind is Kind.TEXT:
            return [*frames, self._frame(items.TEXT_DELTA, **names.place, delta=step.text, logprobs=())]
        return [*frames, self._frame(f"{items.EVENTS[kind]}.delta", **names.place, delta=step.text)]

    def _closed(self, step: Closed) -> list[Record]:
        if self._names is None:
            return []
        place, frames = self._names.place, []
        if step.kind is Kind.CALL or self._names.grown:
            frames = [self._frame(f"{items.EVENTS[step.kind]}.done", **place, **items.whole(step))]
        if self._names.grown:
            part = items.part(step.kind, step.text)
            frames += [self._frame(f"{items.PARTS[step.kind]}.done", **place, part=part)]
        status = "incomplete" if is_cut(self._reason) else "completed"
        item = items.item(step, self._names, status, sealed=self._sealed)
        frames += [self._frame("response.output_item.done", output_index=len(self._output), item=item)]
        self._output.append(item)
        self._names = None
        return frames

    def _unfinished(self, status: str) -> list[dict[str, Any]]:
        """The item that is open, as far as it is."""
        block = self._blocks.open
        if block is None or self._names is None:
            return []
        return [items.item(block, self._names, status, sealed=self._sealed)]

    def _give_up(self) -> None:
        """Have the output say what there is of the open item, and of those that were waiting for its end, untold."""
        self._output += self._unfinished("incomplete")
        self._names = None
        for step in self._blocks.finish():
            match step:
                case Opened():
                    self._names = items.Names(self._envelope.id, step, self._call_id(step), len(self._output))
                case Added() if self._names:
                    self._names.grown = True
                case Closed() if self._names:
                    self._output.append(items.item(step, self._names, "incomplete", sealed=self._sealed))

    def _extra(self, payload: dict[str, Any]) -> list[Record]:
        """An item that only this dialect knows, once it is complete; it stands where it came."""
        item = payload.get("item")
        if payload.get("type") != "response.output_item.done" or not isinstance(item, dict):
            return []
        if item.get("type") in items.CONVERTED:
            return []
        frames = [*self._begin(), *self._tell(self._blocks.finish())]
        place = {"output_index": len(self._output), "item": item}
        self._output.append(item)
        told = ("response.output_item.added", "response.output_item.done")
        return [*frames, *(self._frame(event, **place) for event in told)]

    def _call_id(self, step: Opened) -> str:
        """A call's id. One that is missing or was there before is replaced: clients insist on ids that differ."""
        if step.kind is not Kind.CALL:
            return ""
        id = step.id
        if not id or id in self._call_ids:
            id = items.derived("call", self._envelope.id, step.number)
        self._call_ids.add(id)
        return id

    def _frame(self, event: str, /, **fields: object) -> Record:
        number = self._number
        self._number += 1
        return Record(event, encode({"type": event, "sequence_number": number, **fields}))
