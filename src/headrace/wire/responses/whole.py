"""A whole response, made of the records of a stream in any dialect."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from headrace.model.dialect import RESPONSES, whole
from headrace.model.outcome import Outcome
from headrace.model.record import Record
from headrace.wire.formats import decoder
from headrace.wire.json_object import lenient, settled
from headrace.wire.responses.encoder import Encoder
from headrace.wire.responses.envelope import Envelope
from headrace.wire.responses.snapshot import Snapshot


class _Numbered(msgspec.Struct, gc=False):
    sequence_number: int | None = None


_decode = msgspec.json.Decoder(_Numbered).decode


def sequence_of(record: Record) -> int | None:
    """The number that an event has in its own dialect; None where it has none."""
    try:
        return _decode(record.data).sequence_number
    except (ValueError, RecursionError):
        return None


def response(
    records: Iterable[Record],
    format: str,
    outcome: Outcome | None,
    *,
    id: str,
    model: str = "",
    created: int = 0,
    echo: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The response object of a stream as it is now; without an outcome it is still growing.

    In its own dialect it is the upstream's object. ``format`` is empty where there is no record yet: an answer that
    has not begun is queued.
    """
    envelope = Envelope(id, model, created, echo)
    if format == whole(RESPONSES):
        return _body(records)
    if format == RESPONSES:
        snapshot = Snapshot()
        for record in records:
            snapshot.add(record)
        return snapshot.response(envelope, outcome)
    if not format and outcome is None:
        return envelope.response([], status="queued")
    encoder = Encoder(id, model, created, echo)
    _fold(records, format, encoder)
    if outcome is not None:
        encoder.end(outcome)
    return encoder.response(outcome)


def _body(records: Iterable[Record]) -> dict[str, Any]:
    """The upstream's own object; an intake takes nothing else for a body."""
    value = next((lenient(record.data) for record in records), None)
    body: dict[str, Any] = settled(value) if isinstance(value, dict) else {}
    return body


def _fold(records: Iterable[Record], format: str, encoder: Encoder) -> None:
    """Have an encoder see all events of the records; without a format there are none."""
    decoding = decoder(format) if format else None
    for record in records:
        for event in decoding.decode(record) if decoding else ():
            encoder.encode(event)
