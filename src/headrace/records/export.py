"""Exports: an owner's generations, page after page, so that no download holds the database up.

A page is two short reads with nothing between them: where its last row lies, by the index alone, and then what there
is up to there. So whatever is asked for, no read looks at more than a page of rows; no lock lasts longer than that (a
writer waits for it, and never a checkpoint for a reader); and whoever leaves has stopped the query by the next page.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Double, Numeric, cast, func, select, tuple_

from headrace.model.outcome import State
from headrace.records.database import Database
from headrace.records.rows import storable
from headrace.records.tables import generations

#: Rows that a page looks at. Reading and encoding them takes a few milliseconds.
PAGE = 500

_of = generations.c


def _seconds(start: ColumnElement[float], end: ColumnElement[float]) -> ColumnElement[float]:
    """The time between two, to the microsecond; PostgreSQL rounds decimals only."""
    return cast(func.round(cast(end - start, Numeric), 6), Double)


#: What is exported, in its order; ``ttft`` and ``duration`` are seconds, the other times Unix seconds.
_EXPORTED: tuple[ColumnElement[Any], ...] = (
    _of.id,
    _of.dialect,
    _of.model,
    _of.upstream,
    _of.upstream_model,
    _of.created,
    _of.first_at,
    _of.ended_at,
    _seconds(_of.created, _of.first_at).label("ttft"),
    _seconds(_of.created, _of.ended_at).label("duration"),
    _of.state,
    _of.reason,
    _of.input_tokens,
    _of.output_tokens,
    _of.cached_tokens,
    _of.reasoning_tokens,
    _of.usage_exact.label("exact"),
    _of.cost,
    _of.records,
    _of.bytes,
    _of.conversation,
    _of.key,
)
COLUMNS: tuple[str, ...] = tuple(str(column.key) for column in _EXPORTED)

#: Encodes rows of the columns above.
Encode = Callable[[Sequence[Sequence[Any]]], bytes]

#: A row's place in the order of all: by when it was created, then by its id.
Place = tuple[float, str]

_PLACE = tuple_(_of.created, _of.id)


class Wanted(NamedTuple):
    """Whose generations, and which: created at ``since`` or later and before ``until``. An empty text is any."""

    owner: str
    since: float
    until: float
    model: str = ""
    state: State | None = None
    conversation: str = ""


async def exported(
    database: Database, wanted: Wanted, encode: Encode, *, head: bytes = b""
) -> AsyncGenerator[bytes, None]:
    """The rows, encoded, the oldest first, and the head before them. Raises StoreError.

    A page in which nothing was found is empty.
    Each page is read and encoded on a thread of the database's; between two pages nothing is held.
    """
    place: Place | None = (wanted.since, "")
    while place is not None:
        data, place = await database.read(partial(_page, wanted, encode, place))
        yield head + data
        head = b""


def _page(wanted: Wanted, encode: Encode, after: Place, connection: Connection) -> tuple[bytes, Place | None]:
    """The page after a place, and the place at its end; None where it is the last."""
    query = select(_of.created, _of.id).where(*_between(wanted, after)).order_by(_of.created, _of.id)
    found = connection.execute(query.limit(1).offset(PAGE - 1)).first()
    end = (found.created, found.id) if found else None
    query = select(*_EXPORTED).where(*_between(wanted, after, end), *_filters(wanted))
    return encode(connection.execute(query.order_by(_of.created, _of.id)).all()), end


def _between(wanted: Wanted, after: Place, end: Place | None = None) -> list[ColumnElement[bool]]:
    """What lies after a place, up to the end.

    The bounds on ``created`` alone say nothing new; but SQLite takes them for its index, and one upper bound at most.
    """
    mine = [_of.owner == wanted.owner, _of.created >= after[0], after < _PLACE]
    return [*mine, _of.created < wanted.until] if end is None else [*mine, _of.created <= end[0], end >= _PLACE]


def _filters(wanted: Wanted) -> list[ColumnElement[bool]]:
    filters: list[ColumnElement[bool]] = []
    if wanted.model:
        filters.append(_of.model == storable(wanted.model, _of.model))
    if wanted.state is not None:
        filters.append(_of.state == wanted.state.value)
    if wanted.conversation:
        filters.append(_of.conversation == storable(wanted.conversation, _of.conversation))
    return filters
