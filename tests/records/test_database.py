"""The SQL database: its tables come once, whoever comes first."""

import asyncio

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import JSON, MetaData, inspect, text

from headrace.errors import StoreUnavailable
from headrace.model.outcome import Usage
from headrace.records.database import Database
from headrace.records.migrations import configuration
from headrace.records.recorder import Recorder
from headrace.records.sqlite import FILE
from headrace.records.tables import REVISION, metadata
from headrace.stores.memory.log import MemoryLog
from headrace.testing.clock import FakeClock


def tables(connection):
    """The names of all tables."""
    return sorted(inspect(connection).get_table_names())


REVISIONS = [script.revision for script in ScriptDirectory.from_config(configuration()).walk_revisions()]


def back_to(revision, connection):
    """Make the tables what they were."""
    config = configuration()
    config.attributes["connection"] = connection
    command.downgrade(config, revision)


def drop_all(connection):
    """Remove all that there is."""
    for name in tables(connection):
        connection.execute(text(f"DROP TABLE {name}"))


def revision_of(connection):
    """The revision that the tables have."""
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def fill_all(connection):
    """A row in each table that there is, all of its columns filled."""
    found = MetaData()
    found.reflect(connection)
    given = {"id": "s1", "owner": "o", "model": "m", "state": "completed", "input_tokens": 1, "output_tokens": 2}
    given |= {"cached_tokens": 0, "reasoning_tokens": 0, "body": {"input": "Grüße"}, "key": "", "cost": None}
    for table in found.sorted_tables:
        if table.name == "alembic_version":
            continue
        ours = metadata.tables[table.name]
        row = {name: given.get(name, sample(ours.c[name].type)) for name in table.c.keys()}  # noqa: SIM118 - its columns are no dict
        connection.execute(ours.insert(), row)


def sample(kind):
    """Some value of a column's type."""
    if isinstance(kind, JSON):
        return {}
    return {str: "x", bytes: b"x" * 32, bool: True, int: 1, float: 1.0}[kind.python_type]


def test_the_newest_migration_is_the_one_that_the_code_wants():
    """One line of revisions, ending where tables.py says."""
    assert ScriptDirectory.from_config(configuration()).get_heads() == [REVISION]


async def test_migrations_and_tables_say_the_same(database):
    """What the migrations make is what the queries expect, column by column."""
    found = await database.run(lambda connection: compare_metadata(MigrationContext.configure(connection), metadata))
    assert found == []


async def test_the_second_opening_finds_all_as_it_was(opens):
    """Migrations are carried out once."""
    first = opens()
    await first.run(lambda connection: connection.execute(text("INSERT INTO requests VALUES ('a', 'o', 1.0, '{}')")))
    await first.close()
    assert await opens().run(lambda connection: connection.execute(text("SELECT count(*) FROM requests")).scalar()) == 1


async def test_several_workers_may_start_at_once(opens):
    """All find the tables; none fails."""
    workers = [opens(patience=10.0) for _ in range(6)]
    found = await asyncio.gather(*(worker.run(tables) for worker in workers))
    assert found == [["alembic_version", *sorted(metadata.tables)]] * 6


async def test_a_database_in_memory_lives_as_long_as_its_object():
    """For servers that keep nothing."""
    database = Database(None)
    assert await database.run(tables) == ["alembic_version", *sorted(metadata.tables)]
    await database.close()


async def test_a_newer_database_is_left_alone(opens):
    """After a downgrade nothing is written to tables that are not understood."""
    newer = text("UPDATE alembic_version SET version_num = '9999'")
    await opens().run(lambda connection: connection.execute(newer))
    with pytest.raises(StoreUnavailable, match="newer version"):
        await opens().run(tables)


async def test_a_database_that_was_emptied_has_its_tables_made_again(database):
    """As one that was restored, or replaced by another: after one failure, without a restart."""
    await database.run(
        lambda connection: [connection.execute(text(f"DROP TABLE {name}")) for name in tables(connection)]
    )
    with pytest.raises(StoreUnavailable):
        await database.run(lambda connection: connection.execute(text("SELECT 1 FROM generations")))
    assert "generations" in await database.run(tables)


@pytest.mark.parametrize("released", [revision for revision in REVISIONS if revision != REVISION])
async def test_a_database_of_every_older_revision_is_brought_up(opens, released):
    """With rows in all of its tables, which are there afterwards, and can be used."""
    before = opens()
    await before.run(lambda connection: back_to(released, connection))
    await before.run(fill_all)
    after = opens()
    assert await after.run(revision_of) == REVISION
    recorder = Recorder(MemoryLog(FakeClock()), after, FakeClock())
    found = await recorder.generation("o", "s1")
    assert (found.model, found.usage, found.key, found.cost) == ("m", Usage(input=1, output=2), "", None)
    assert await recorder.request("o", "s1") == {"input": "Grüße"}
    assert await after.run(lambda connection: compare_metadata(MigrationContext.configure(connection), metadata)) == []


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


async def test_a_failure_shows_no_parameters(database):
    """They hold prompts."""
    with pytest.raises(StoreUnavailable) as caught:
        await database.run(lambda connection: connection.execute(text("INSERT INTO nix VALUES (:x)"), {"x": "CANARY"}))
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
