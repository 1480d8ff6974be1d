"""The SQL database: its tables come once, whoever comes first."""

import asyncio
import sqlite3

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from headrace.errors import StoreUnavailable
from headrace.records.database import Database
from headrace.records.migrations import configuration
from headrace.records.sqlite import FILE
from headrace.records.tables import REVISION, metadata


def tables(connection):
    """The names of all tables."""
    return sorted(inspect(connection).get_table_names())


def test_the_newest_migration_is_the_one_that_the_code_wants():
    """One line of revisions, ending where tables.py says."""
    assert ScriptDirectory.from_config(configuration()).get_heads() == [REVISION]


async def test_migrations_and_tables_say_the_same(tmp_path):
    """What the migrations make is what the queries expect, column by column."""
    database = Database(tmp_path)
    found = await database.run(lambda connection: compare_metadata(MigrationContext.configure(connection), metadata))
    await database.close()
    assert found == []


async def test_the_second_opening_finds_all_as_it_was(tmp_path):
    """Migrations are carried out once."""
    first = Database(tmp_path)
    await first.run(lambda connection: connection.execute(text("INSERT INTO requests VALUES ('a', 'o', 1.0, '{}')")))
    await first.close()
    second = Database(tmp_path)
    assert await second.run(lambda connection: connection.execute(text("SELECT count(*) FROM requests")).scalar()) == 1
    await second.close()


async def test_two_workers_may_start_at_once(tmp_path):
    """Both find the tables; neither fails."""
    workers = [Database(tmp_path) for _ in range(4)]
    found = await asyncio.gather(*(worker.run(tables) for worker in workers))
    for worker in workers:
        await worker.close()
    assert found == [["alembic_version", *sorted(metadata.tables)]] * 4


async def test_a_database_in_memory_lives_as_long_as_its_object():
    """For servers that keep nothing."""
    database = Database(None)
    assert await database.run(tables) == ["alembic_version", *sorted(metadata.tables)]
    await database.close()


async def test_a_newer_database_is_left_alone(tmp_path):
    """After a downgrade nothing is written to tables that are not understood."""
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES ('9999')")
    connection.close()
    database = Database(tmp_path)
    with pytest.raises(StoreUnavailable, match="newer version"):
        await database.run(tables)
    await database.close()


async def test_a_database_that_is_out_of_reach_is_tried_again(tmp_path):
    """Here a file stands where the folder should be, until it is gone."""
    blocked = tmp_path / "data"
    blocked.write_text("")
    database = Database(blocked)
    with pytest.raises(StoreUnavailable):
        await database.run(tables)
    blocked.unlink()
    assert "generations" in await database.run(tables)
    await database.close()


async def test_a_failure_shows_no_parameters(tmp_path):
    """They hold prompts."""
    database = Database(tmp_path)
    with pytest.raises(StoreUnavailable) as caught:
        await database.run(lambda connection: connection.execute(text("INSERT INTO nix VALUES (:x)"), {"x": "CANARY"}))
    await database.close()
    assert "CANARY" not in f"{caught.value} {caught.value.__cause__}"


async def test_what_was_deleted_is_not_in_the_file(tmp_path):
    """Deleting means overwriting."""
    database = Database(tmp_path)
    insert = text("INSERT INTO requests VALUES ('a', 'o', 1.0, 'CANARY-CANARY')")
    await database.run(lambda connection: connection.execute(insert))
    assert b"CANARY" in (tmp_path / FILE).read_bytes()
    await database.run(lambda connection: connection.execute(text("DELETE FROM requests")))
    await database.close()
    assert b"CANARY" not in (tmp_path / FILE).read_bytes()
