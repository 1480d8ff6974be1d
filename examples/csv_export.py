"""A million rows of CSV in constant memory.

    uvicorn examples.csv_export:app
    curl -O -J http://127.0.0.1:8000/export/csv
    curl 'http://127.0.0.1:8000/export/csv?rows=5'

Rows are written as they are made, and made as fast as they are taken. Text that a spreadsheet would run as a formula is
made harmless. Who cancels the download ends the generator; where that fails, the body is cut, so that nobody takes half
a file for a whole one.
"""

from collections.abc import Iterator
from typing import Annotated, NamedTuple

from fastapi import FastAPI, Query, Response

from headrace.fastapi import csv

app = FastAPI()


class Order(NamedTuple):
    """A row; its fields are the columns."""

    id: int
    customer: str
    amount: float
    note: str


def orders(count: int) -> Iterator[Order]:
    """Make the rows one after the other, as a database would give them (see ``database_ndjson.py``)."""
    for id in range(1, count + 1):
        yield Order(id, f"Customer {id % 1000}", id % 10_000 / 100, "=1+1" if id % 1000 == 0 else "")


@app.get("/export/csv")
async def export(rows: Annotated[int, Query(ge=0, le=10_000_000)] = 1_000_000) -> Response:
    """Send the orders as a file that the browser saves."""
    return csv(orders(rows), Order._fields, filename="orders.csv")
