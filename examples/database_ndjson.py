"""Rows of a database as NDJSON, with SQLAlchemy: one JSON object a line, in constant memory.

    uvicorn examples.database_ndjson:app                                    # a SQLite file, filled if it is empty
    DATABASE_URL=postgresql+psycopg://… uvicorn examples.database_ndjson:app
    curl -N http://127.0.0.1:8000/stream/users

The query blocks, so it stands in an ordinary generator, which runs in a thread. ``yield_per`` makes the driver fetch a
thousand rows at a time (from PostgreSQL with a cursor on the server); without it most fetch all of them first. A client
who leaves closes the generator, and with it the query and its connection.
"""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Response
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import Column, Integer, MetaData, RowMapping, String, Table, create_engine, insert, select

from headrace.fastapi import ndjson

engine = create_engine(os.environ.get("DATABASE_URL", "sqlite:///users.db"))
users = Table("users", MetaData(), Column("id", Integer, primary_key=True), Column("name", String(80)))


def fill() -> None:
    """Make the table, and ten thousand users, where there are none."""
    users.metadata.create_all(engine)
    with engine.begin() as connection:
        if connection.scalar(select(users.c.id).limit(1)) is None:
            connection.execute(insert(users), [{"name": f"User {number}"} for number in range(1, 10_001)])


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Prepare the database before the first request."""
    await run_in_threadpool(fill)
    yield
    engine.dispose()


def rows() -> Iterator[RowMapping]:
    """All users, in their order."""
    with engine.connect().execution_options(yield_per=1000) as connection:
        yield from connection.execute(select(users).order_by(users.c.id)).mappings()


app = FastAPI(lifespan=lifespan)


@app.get("/stream/users")
async def stream_users() -> Response:
    """Send them."""
    return ndjson(rows())
