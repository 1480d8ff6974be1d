"""Rows: new ones go in once, whoever else inserts them; texts are kept as every database takes them."""

import asyncio

import pytest

from headrace.records.rows import insert_new, storable
from headrace.records.tables import generations, requests


def kept(number, **more):
    return {"id": f"r{number:05}", "owner": "o", "created": 1.0, "body": {}, **more}


def inserting(database, rows):
    """The count of those that were new."""
    return database.run(lambda connection: insert_new(connection, requests, rows))


async def test_rows_that_are_there_stay_as_they_are(database):
    """The count is of the others."""
    assert await inserting(database, [kept(n, owner="first") for n in range(3)]) == 3
    assert await inserting(database, [kept(n, owner="second") for n in range(2, 5)]) == 2
    assert await inserting(database, []) == 0
    owners = await database.run(lambda connection: [row.owner for row in connection.execute(requests.select())])
    assert sorted(owners) == ["first"] * 3 + ["second"] * 2


async def test_two_who_insert_the_same_do_not_wait_in_a_circle(opens):
    """Each has them in another order, and more than one statement takes."""
    rows = [kept(n) for n in range(3_000)]
    counts = await asyncio.gather(*(inserting(opens(5.0), rows[::order]) for order in (1, -1, 1, -1)))
    assert sum(counts) == len(rows)


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("gpt-4o", "gpt-4o"),
        ("a\0b", "ab"),
        ("\ud800", "?"),
        ("模" * 600, "模" * 512),
        ("", ""),
    ],
)
def test_texts_are_kept_as_every_database_takes_them(text, stored):
    assert storable(text, generations.c.model) == stored


def test_texts_are_no_longer_than_their_column():
    assert storable("x" * 600, generations.c.dialect) == "x" * 64


async def test_no_text_is_refused(database):
    """Whatever a client may have sent, in a column of text or in JSON."""
    model = storable("\ud800\0'\"\\" + "😀" * 600, generations.c.model)
    body = {"model": model, "\0\ud800": [1e308, "\0", "\ud800", 1 << 80]}
    assert await inserting(database, [kept(1, body=body)]) == 1
    found = await database.run(lambda connection: connection.execute(requests.select()).one())
    assert found.body == body
