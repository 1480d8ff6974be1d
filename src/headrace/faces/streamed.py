"""A stream as a face streams it: in one dialect, from a cursor on."""

from collections.abc import Callable, Mapping

from starlette.responses import Response

from headrace.core.log import Head
from headrace.core.stream import Cursor
from headrace.faces.dialects import DIALECTS, all_seen, view
from headrace.faces.reply import StreamReply
from headrace.faces.service import Service
from headrace.model.outcome import Outcome


def streamed(
    at: Service,
    head: Head,
    cursor: Cursor,
    dialect: str,
    headers: Mapping[str, str],
    *,
    named: bool = False,
    participant: bool = True,
    gate: float = 0.0,
    refused: Callable[[Outcome], Response] | None = None,
    retry: bool | None = None,
) -> Response:
    """The reply; 204 where a client at ``cursor`` has seen everything, the end included. Raises OffsetAhead.

    ``named`` where the URL says which stream it is; then event ids need not. ``gate`` and ``refused`` are those of
    :class:`~headrace.faces.reply.StreamReply`; ``retry`` is the dialect's own where nothing is said.
    """
    if all_seen(head, cursor, dialect):
        return Response(status_code=204)
    shape = DIALECTS[dialect]
    return StreamReply(
        at.registry,
        at.registry.read(head, view(dialect, "" if named else head.id), cursor, participant=participant),
        media_type=shape.media_type,
        headers=headers,
        send_timeout=at.manners.send_timeout,
        gate=gate,
        refused=refused,
        retry=shape.retry if retry is None else retry,
    )
