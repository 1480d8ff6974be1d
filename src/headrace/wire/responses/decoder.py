"""Records in the OpenAI Responses dialect to canonical events.

A text or the arguments of a call are told by their deltas. The same comes whole in up to four later events (of the
text, of its part, of its item, of the answer), and is taken from these only where there were no deltas.
"""

from collections.abc import Callable, Mapping
from typing import Any

from headrace.model import dialect, events
from headrace.model.events import Event
from headrace.model.record import Record
from headrace.wire.halves import Halves
from headrace.wire.json_object import healed, lenient, objects, settled
from headrace.wire.responses.items import CONVERTED
from headrace.wire.responses.terminal import ENDS, OPENINGS, detail_of, reason_of
from headrace.wire.responses.usage import usage_of
from headrace.wire.seal import Seal

# Where a text is, by the type of its part: the name of the event, and the field of the part.
_PARTS = {
    "output_text": ("response.output_text", "text"),
    "refusal": ("response.refusal", "refusal"),
    "reasoning_text": ("response.reasoning_text", "text"),
    "summary_text": ("response.reasoning_summary_text", "text"),
}
_TEXTS = {name: (type, field) for type, (name, field) in _PARTS.items()}
# Events that say nothing which others do not say.
_SILENT = frozenset(
    {"response.content_part.added", "response.reasoning_summary_part.added", "response.reasoning_summary_part.done"}
)

#: One text of the answer: its item, what it is, and which one of these.
_Text = tuple[object, str, object]


class Decoder:
    """Records of a stream, or the one record of a whole body, to canonical events. Never raises.

    What has no event (citations, the tools of the provider, types nobody knows) comes as ``Extra`` with the frame; an
    item of a whole body as the frame that would have completed it.
    """

    def __init__(self) -> None:
        self._started = False
        self._halves = Halves()
        self._told: set[_Text] = set()
        self._ids: dict[str, object] = {}
        self._calls: dict[object, int] = {}
        self._called: set[object] = set()
        self._refused = False
        #: The reasoning that was told last, as long as nothing else was.
        self._reasoning: _Text | None = None
        self._handlers: Mapping[str, Callable[[dict[str, Any]], list[Event] | None]] = {
            "response.output_item.added": self._item_added,
            "response.output_item.done": self._item_done,
            "response.content_part.done": self._part_done,
            "response.function_call_arguments.delta": self._arguments_delta,
            "response.function_call_arguments.done": self._arguments_done,
        }

    def decode(self, record: Record) -> list[Event]:
        """The events of one record, in the order in which a client reads them."""
        value = lenient(record.data)
        if not isinstance(value, dict):
            return []
        type = value.get("type")
        type = type if isinstance(type, str) else record.event
        if type in OPENINGS or type in ENDS or value.get("object") == "response":
            return self._answer(type, value)
        if type == "error" or (not type and value.get("error")):
            return [events.Failed(detail=detail_of(value))]
        if type in _SILENT:
            return []
        text, _, what = type.rpartition(".")
        if text in _TEXTS:
            return self._text(text, what, value)
        handler = self._handlers.get(type)
        found = handler(value) if handler else None
        return [_extra(value)] if found is None else found

    def _answer(self, type: str, value: dict[str, Any]) -> list[Event]:
        """The answer as a whole: how it begins, and all that it has come to when it ends."""
        response = value.get("response", value)
        response = response if isinstance(response, dict) else {}
        found = self._start(response)
        if type in OPENINGS:
            return found
        for index, item in enumerate(objects(response.get("output"))):
            found += self._whole(self._ids.get(_string(item.get("id")), index), item, streamed=bool(type))
        reason = reason_of(type, response, called=bool(self._calls), refused=self._refused)
        if reason:
            found.append(events.Finished(reason=reason))
        usage = usage_of(response.get("usage"))
        if usage is not None:
            found.append(events.Used(usage=usage))
        if not reason:
            found.append(events.Failed(detail=detail_of({"response": response})))
        return found

    def _start(self, response: dict[str, Any]) -> list[Event]:
        if self._started:
            return []
        self._started = True
        created = response.get("created_at")
        created = int(created) if isinstance(created, int | float) and 0 <= created < 1 << 40 else 0
        return [events.Started(id=_string(response.get("id")), model=_string(response.get("model")), created=created)]

    def _text(self, name: str, what: str, value: dict[str, Any]) -> list[Event]:
        """A piece of a text, or all of it."""
        type, field = _TEXTS[name]
        text: _Text = (self._key(value), type, _index(value.get("summary_index", value.get("content_index"))))
        if what == "delta":
            return self._piece(text, value.get("delta"))
        if what == "done":
            return self._rest(text, value.get(field))
        return [_extra(value)]

    def _part_done(self, value: dict[str, Any]) -> list[Event] | None:
        part = value.get("part")
        return self._part(self._key(value), value.get("content_index"), part) if isinstance(part, dict) else None

    def _part(self, item: object, index: object, part: dict[str, Any]) -> list[Event] | None:
        """A part of an item that is complete; None where it is of a kind that has no event."""
        type = _string(part.get("type"))
        return self._rest((item, type, _index(index)), part.get(_PARTS[type][1])) if type in _PARTS else None

    def _rest(self, text: _Text, value: object) -> list[Event]:
        """All of a text, where no piece of it was told."""
        return [] if text in self._told else self._piece(text, value)

    def _piece(self, text: _Text, value: object) -> list[Event]:
        said = self._halves.join(text, value)
        if not value or not isinstance(value, str):
            return []
        self._told.add(text)
        if not said:
            return []
        if text[1] in {"reasoning_text", "summary_text"}:
            return [self._thought(text, said)]
        self._reasoning = None
        if text[1] == "refusal":
            self._refused = True
            return [events.Refusal(text=said)]
        return [events.Text(text=said)]

    def _thought(self, text: _Text, said: str) -> Event:
        """A piece of reasoning. One part follows another as one paragraph the other."""
        gap = "" if self._reasoning in {None, text} else "\n\n"
        self._reasoning = text
        return events.Reasoning(text=gap + said)

    def _item_added(self, value: dict[str, Any]) -> list[Event] | None:
        item = value.get("item")
        if not isinstance(item, dict) or item.get("type") not in CONVERTED:
            return None
        key = self._key(value)
        self._ids[_string(item.get("id"))] = key
        return self._call(key, item) if item.get("type") == "function_call" else []

    def _item_done(self, value: dict[str, Any]) -> list[Event] | None:
        item = value.get("item")
        if not isinstance(item, dict) or item.get("type") not in CONVERTED:
            return None
        key = self._key(value)
        self._ids[_string(item.get("id"))] = key
        return self._whole(key, item, streamed=True)

    def _whole(self, key: object, item: dict[str, Any], *, streamed: bool) -> list[Event]:
        """What of a complete item was not told yet."""
        type = item.get("type")
        if type not in CONVERTED:
            return [] if streamed else [_extra({"type": "response.output_item.done", "item": item})]
        if type == "function_call":
            return self._call(key, item) + self._arguments(key, item.get("arguments"))
        found: list[Event] = []
        for field in ("summary", "content"):
            for index, part in enumerate(objects(item.get(field))):
                found += self._part(key, index, part) or []
        return found + (self._seal(key, item) if type == "reasoning" else [])

    def _seal(self, key: object, item: dict[str, Any]) -> list[Event]:
        """What the provider has encrypted of its reasoning, once."""
        content, id = _string(item.get("encrypted_content")), _string(item.get("id"))
        text: _Text = (key, "seal", 0)
        if not content or text in self._told:
            return []
        self._told.add(text)
        self._reasoning = None
        seal = Seal(dialect.RESPONSES, content, id="" if ":" in id else id)
        return [events.Reasoning(signature=str(seal))]

    def _call(self, key: object, item: dict[str, Any]) -> list[Event]:
        """A call begins, unless it has, or its name is yet to come."""
        name = _string(item.get("name"))
        if key in self._calls or not name:
            return []
        self._reasoning = None
        number = self._calls[key] = len(self._calls)
        return [events.ToolCall(call=number, id=_string(item.get("call_id")) or _string(item.get("id")), name=name)]

    def _arguments_delta(self, value: dict[str, Any]) -> list[Event]:
        key = self._key(value)
        call = self._calls.get(key)
        if call is None:
            return []  # the complete item has them as well
        piece = self._halves.join((key, "arguments"), value.get("delta"))
        self._called.add(key)
        return [events.ToolCall(call=call, arguments=piece)] if piece else []

    def _arguments_done(self, value: dict[str, Any]) -> list[Event]:
        return self._arguments(self._key(value), value.get("arguments"))

    def _arguments(self, key: object, value: object) -> list[Event]:
        """All arguments of a call, where no piece of them was told; no arguments are an empty object."""
        call = self._calls.get(key)
        if call is None or key in self._called:
            return []
        self._called.add(key)
        return [events.ToolCall(call=call, arguments=_string(value) or "{}")]

    def _key(self, value: dict[str, Any]) -> object:
        """Which item an event is about: some servers give an item another id in every event."""
        index = value.get("output_index")
        return index if isinstance(index, int) else self._ids.get(_string(value.get("item_id")), 0)


def _extra(value: dict[str, Any]) -> Event:
    return events.Extra(dialect=dialect.RESPONSES, payload=settled(value))


def _index(value: object) -> int:
    return value if isinstance(value, int) else 0


def _string(value: object) -> str:
    return healed(value) if isinstance(value, str) else ""
