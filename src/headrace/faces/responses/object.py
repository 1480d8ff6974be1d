"""The Response object of a stream, in whatever state it is."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from starlette.responses import Response

from headrace.core.log import Head, Log
from headrace.core.stream import id_under
from headrace.errors import StreamGone
from headrace.faces.dialects import model_of
from headrace.model.dialect import RESPONSES, whole
from headrace.model.outcome import Outcome
from headrace.model.record import Record
from headrace.wire.json_object import encode
from headrace.wire.responses import whole as wire

#: What we do ourselves and so the upstream does not know of: its own object says otherwise.
_DONE_HERE = ("background", "previous_response_id")

#: More records than this are folded in a thread: whoever polls a long answer must not hold up the others.
LONG = 500

#: Bytes that one read of the log brings.
_PIECE = 1 << 20


def id_of(head: Head) -> str:
    """The response's id where no upstream has given it one."""
    return id_under("resp_", head.id)


def reply(head: Head, value: Mapping[str, Any]) -> Response:
    """An object as a reply."""
    return Response(encode(value), media_type="application/json", headers=headers_of(head))


def headers_of(head: Head) -> dict[str, str]:
    """What every reply says of its stream."""
    return {"headrace-stream-id": head.id, "location": f"/v1/responses/{head.id}?stream=true"}


async def current(log: Log, id: str, reference: str = "") -> tuple[Head, dict[str, Any]]:
    """A stream as it stands, and its object. The object bears the id by which it was asked for, if that is one of ours.

    Raises StreamGone.
    """
    records, outcome = await _so_far(log, id)
    head = await log.head(id)
    if head is None or head.gone:
        raise StreamGone
    made = partial(object_of, head, records, head.format, outcome)
    value = await asyncio.to_thread(made) if len(records) > LONG else made()
    if reference == id_of(head):
        value["id"] = reference
    return head, value


def object_of(head: Head, records: Sequence[Record], format: str, outcome: Outcome | None) -> dict[str, Any]:
    """The object that some records make."""
    echo = head.meta.echo.get("responses", {})
    value = wire.response(
        records,
        format,
        outcome,
        id=id_of(head),
        model=model_of(head),
        created=int(head.meta.created),
        echo=echo,
    )
    return {**value, **_ours(echo)}


def whole_reply(head: Head, records: Sequence[Record], format: str, outcome: Outcome) -> Response:
    """A completed response: the upstream's own body where it sent one, as it is."""
    if format == whole(RESPONSES) and not _ours(head.meta.echo.get("responses", {})):
        return Response(records[0].data, media_type="application/json", headers=headers_of(head))
    return reply(head, object_of(head, records, format, outcome))


def _ours(echo: Mapping[str, Any]) -> dict[str, Any]:
    return {name: echo[name] for name in _DONE_HERE if echo.get(name)}


async def _so_far(log: Log, id: str) -> tuple[Sequence[Record], Outcome | None]:
    """The records that there are now, and how the stream ended, if it has."""
    records: list[Record] = []
    while True:
        batch = await log.read(id, len(records), max_bytes=_PIECE)
        records += batch.records
        if batch.outcome is not None or len(records) >= batch.tail:
            return records, batch.outcome
