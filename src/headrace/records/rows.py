"""Rows as both databases take them."""

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import Column, Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

#: The longest text in a column that has no length of its own, in characters; the largest number.
LONGEST = 512
LARGEST = (1 << 63) - 1

_INSERTS: Mapping[str, Callable[[Table], sqlite.Insert | postgresql.Insert]] = {
    "sqlite": sqlite.insert,
    "postgresql": postgresql.insert,
}


def insert_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> int:
    """Insert rows; those whose key (or unique column) is there already stay as they are. Returns how many were new.

    They go in by the order of their ``id``, so that two who insert the same ones at once cannot wait for
    each other.
    """
    if not rows:
        return 0
    statement = _INSERTS[connection.dialect.name](table).on_conflict_do_nothing().returning(table.c.id)
    return len(connection.execute(statement, sorted(rows, key=itemgetter("id"))).all())


def storable(text: str, column: Column[str]) -> str:
    """A client's or an upstream's text as it is kept: no lone surrogates, no NUL, not too long for its column."""
    length = getattr(column.type, "length", None) or LONGEST
    return text[:length].encode("utf-8", "replace").decode().replace("\0", "")
