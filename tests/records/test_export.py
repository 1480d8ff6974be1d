"""Exports: every row once and in order, in short reads that stand in nobody's way."""

import json
import sqlite3

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from headrace.errors import StoreUnavailable
from headrace.model.outcome import State
from headrace.records.database import Database
from headrace.records.export import COLUMNS, PAGE, Wanted, exported
from headrace.records.sqlite import FILE
from headrace.records.tables import generations

ALL = Wanted("alice", 0.0, 1e12)


def row(number, **more):
    return {
        **dict.fromkeys(("dialect", "upstream", "upstream_model", "reason", "conversation"), ""),
        "id": f"s{number:05}",
        "owner": "alice",
        "model": "m",
        "created": float(number),
        "ended_at": number + 1.0,
        "state": "completed",
        "records": 1,
        "bytes": 1,
        **more,
    }


@pytest.fixture(params=["file", "memory", pytest.param("postgresql", marks=pytest.mark.postgresql)])
async def database(request, tmp_path):
    """A fresh database, in a file, in memory, and on a server."""
    url = request.getfixturevalue("postgresql_url") if request.param == "postgresql" else ""
    database = Database(None if request.param == "memory" else tmp_path, url=url, patience=0.5)
    yield database
    await database.close()


async def fill(database, *rows):
    await database.run(lambda connection: connection.execute(generations.insert(), list(rows)))


def ids(rows):
    return json.dumps([row[0] for row in rows]).encode() + b"\n"


async def found(database, wanted=ALL):
    """The ids that an export finds, page by page."""
    return [json.loads(page) async for page in exported(database, wanted, ids)]


@pytest.mark.parametrize("count", [0, 1, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE])
async def test_every_row_once_and_in_order(database, count):
    """However the pages fall."""
    await fill(database, row(0, owner="bob"), *(row(n) for n in reversed(range(1, count + 1))))
    pages = await found(database)
    assert [id for page in pages for id in page] == [f"s{n:05}" for n in range(1, count + 1)]
    assert max(map(len, pages)) <= PAGE


async def test_rows_of_one_moment_are_told_apart(database):
    """More of them than a page has, by their ids."""
    rows = [row(n, created=7.0) for n in range(PAGE * 2 + 1)]
    await fill(database, *rows)
    assert [id for page in await found(database) for id in page] == [row["id"] for row in rows]


async def test_a_filter_looks_at_a_page_at_a_time(database):
    """So that a query which finds little ends as soon as any other: what is not found is an empty page."""
    await fill(database, *(row(n, model="rare" if n == PAGE * 2 else "m") for n in range(PAGE * 3)))
    assert await found(database, ALL._replace(model="rare")) == [[], [], [f"s{PAGE * 2:05}"], []]
    assert await found(database, ALL._replace(state=State.FAILED, conversation="c")) == [[]] * 4


async def test_the_head_comes_first_and_once(database):
    """Also where there is no row."""
    await fill(database, *(row(n) for n in range(PAGE)))
    pages = [page async for page in exported(database, ALL, ids, head=b"HEAD\n")]
    assert [page.count(b"HEAD") for page in pages] == [1, 0]
    assert [page async for page in exported(database, ALL._replace(owner="bob"), ids, head=b"H")] == [b"H[]\n"]


async def test_rows_have_the_columns(database):
    """In their order; times to the microsecond, what is not known as None."""
    await fill(database, row(1, created=1.1, first_at=1.4, ended_at=3.3))
    await fill(database, row(2))
    seen = []
    async for _ in exported(database, ALL, lambda rows: seen.extend(map(tuple, rows)) or b""):
        pass
    first, second = (dict(zip(COLUMNS, cells, strict=True)) for cells in seen)
    assert (first["ttft"], first["duration"]) == (0.3, 2.2)
    assert (second["first_at"], second["ttft"], second["input_tokens"], second["exact"]) == (None,) * 4


async def test_between_two_pages_nothing_is_held(tmp_path):
    """Whoever writes to the file, this process or another, does not wait for a download that stands still."""
    database = Database(tmp_path, patience=0.05)
    await fill(database, *(row(n) for n in range(PAGE * 2)))
    pages = exported(database, ALL, ids)
    await anext(pages)
    await fill(database, row(PAGE * 9))
    other = sqlite3.connect(tmp_path / FILE, isolation_level=None, timeout=0)
    other.execute("BEGIN EXCLUSIVE")
    other.execute("ROLLBACK")
    other.close()
    assert f"s{PAGE * 9:05}" in [id async for page in pages for id in json.loads(page)]
    await database.close()


async def test_a_transaction_under_way_is_not_waited_for(tmp_path):
    """The recorder's lock is one of writing; reading goes on beside it."""
    database = Database(tmp_path, patience=0.05)
    await fill(database, row(1))
    other = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("DELETE FROM generations")
    assert await found(database) == [["s00001"]]
    other.execute("ROLLBACK")
    other.close()
    await database.close()


async def test_a_database_that_is_locked_or_closed_says_so(tmp_path):
    """As it does to the recorder."""
    database = Database(tmp_path, patience=0.01)
    await fill(database, row(1))
    other = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreUnavailable):
        await found(database)
    other.close()
    await database.close()
    with pytest.raises(StoreUnavailable):
        await found(database)


async def test_reading_cannot_write(tmp_path):
    """Not by mistake either."""
    database = Database(tmp_path)
    with pytest.raises(StoreUnavailable) as caught:
        await database.read(lambda connection: connection.execute(text("DELETE FROM generations")))
    assert isinstance(caught.value.__cause__, OperationalError)
    await database.close()
