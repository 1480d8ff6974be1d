"""What a data folder does when the disk, the file or the machine lets it down."""

import asyncio
import os
from pathlib import Path

import apsw
import pytest

from headrace.core.log import Bound, Kept, Name
from headrace.errors import StoreCorrupt, StoreError, StoreUnavailable
from headrace.model.record import Record
from headrace.stores.sqlite.log import SqliteLog
from headrace.stores.sqlite.place import log_numbers
from headrace.stores.sqlite.shared import Shared
from headrace.testing.contract import CUT, DONE, Bell, meta, numbered, put, read_all


class _FullFile(apsw.VFSFile):
    def __init__(self, disk, name, flags):
        super().__init__("", name, flags)
        self._disk = disk

    def xWrite(self, data, offset):  # noqa: N802  (SQLite's name)
        if self._disk.full:
            raise apsw.FullError
        super().xWrite(data, offset)


class FullDisk(apsw.VFS):
    """The real disk, which takes no write while it is ``full``."""

    def __init__(self):
        self.full = False
        super().__init__("headrace-full-disk", base="")

    def xOpen(self, name, flags):  # noqa: N802  (SQLite's name)
        return _FullFile(self, name, flags)


def abandon(log):
    """What is left of a killed process: files as they are, and a lock that can be taken."""
    place = log._place
    place._timer.cancel()
    for task in place.tasks:
        task.cancel()
    place.lock.release()


@pytest.mark.parametrize("durability", ["process", "power"])
async def test_a_full_disk_fails_the_append_and_nothing_is_told(tmp_path, durability):
    """The commit is rolled back whole, readers hear nothing, reads go on; it works again once there is space."""
    disk = FullDisk()
    log = await SqliteLog(tmp_path, durability=durability, vfs="headrace-full-disk").open()
    await put(log, "a", 2)
    await put(log, "b", 1)
    bell = Bell()
    await log.read("a", 2, wake=bell)
    disk.full = True
    futures = [log.append("a", 2, numbered(3, 3)), log.append("b", 1, (), DONE)]
    errors = await asyncio.gather(*futures, return_exceptions=True)
    assert [type(error) for error in errors] == [StoreUnavailable, StoreUnavailable]
    assert bell.rung == 0
    assert await read_all(log, "a") == (numbered(1, 2), None)
    assert (await log.head("b")).outcome is None
    with pytest.raises(StoreUnavailable):
        await log.check()
    with pytest.raises(StoreUnavailable):
        await log.create("c", meta(), [Name("idempotency", "k")])
    disk.full = False
    await log.check()
    assert (await log.append("a", 2, numbered(3, 3))).tail == 3
    assert bell.rung == 1
    assert (await log.append("b", 1, (), DONE)).ok
    assert await log.resolve("ann", "k", ["idempotency"]) is None
    await log.close()


async def test_a_file_that_another_program_has_locked_is_waited_for(tmp_path):
    """A short lock delays the commit without blocking the loop; the append is done when it is over."""
    log = await SqliteLog(tmp_path).open()
    await put(log, "s", 1)
    other = apsw.Connection(str(tmp_path / "log-1.db"))
    other.execute("BEGIN IMMEDIATE")
    future = log.append("s", 1, numbered(2, 2))
    done, _ = await asyncio.wait([future], timeout=0.05)
    assert not done
    other.execute("ROLLBACK")
    assert (await future).tail == 2
    other.close()
    await log.close()


async def flip(folder, table, column="data"):
    """Change one byte of a blob behind the store's back."""
    db = apsw.Connection(str(folder / "log-1.db"))
    [(number, data)] = db.execute(f"SELECT number, {column} FROM {table} ORDER BY number LIMIT 1").fetchall()
    at = len(data) // 2
    db.execute(
        f"UPDATE {table} SET {column} = ? WHERE number = ?",
        (data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], number),
    )
    db.close()


@pytest.mark.parametrize("table", ["chunks", "segments"])
async def test_a_flipped_bit_is_an_error_and_never_wrong_bytes(tmp_path, table):
    """The checksum is looked at on every read from the file."""
    log = await SqliteLog(tmp_path).open()
    await log.create("s", meta())
    await log.append("s", 0, [Record("", b"a" * 1000)], DONE)
    if table == "segments":
        await log._place.upkeep.compact()
    await log.close()
    await flip(tmp_path, table)
    log = await SqliteLog(tmp_path).open()
    with pytest.raises(StoreCorrupt):
        await log.read("s", 0)
    if table == "chunks":
        await log._place.upkeep.compact()
        with pytest.raises(StoreCorrupt):
            await log.read("s", 0)
    await log.close()


@pytest.mark.parametrize("column", ["meta", "outcome"])
async def test_a_flipped_bit_in_what_a_stream_is_is_an_error(tmp_path, column):
    """Whose it is, what it echoes and how it ended are under a checksum as well."""
    log = await SqliteLog(tmp_path).open()
    await put(log, "s", 2, DONE)
    await log.upkeep.compact()
    await log.close()
    await flip(tmp_path, "streams", column)
    log = await SqliteLog(tmp_path).open()
    with pytest.raises(StoreCorrupt):
        await log.head("s")
    await log.close()


@pytest.mark.parametrize("column", ["meta", "outcome"])
async def test_a_damaged_stream_holds_up_neither_the_records_nor_the_expiry_of_others(tmp_path, caplog, column):
    """It is not recorded, which is said once; one that was recorded before goes with all else that is old."""
    log = await SqliteLog(tmp_path).open()
    await put(log, "s", 2, DONE)
    await log.upkeep.compact()
    await log.close()
    await flip(tmp_path, "streams", column)
    log = await SqliteLog(tmp_path).open()
    await put(log, "t", 2, DONE)
    assert [[head.id for head in await log.unrecorded()] for _ in range(2)] == [["t"], ["t"]]
    assert caplog.text.count("is damaged") == 1
    await log.mark_recorded(["t"])
    assert await log.expire(1e12, Kept(1, 1, 1e12)) == 1
    with pytest.raises(StoreCorrupt):
        await log.head("s")
    await log.mark_recorded(["s"])
    await put(log, "u", 2, DONE)
    await log.mark_recorded(["u"])
    assert await log.expire(1e12, Kept(1, 1, 1e12)) == 2
    assert [(await log.head(id)).gone for id in ("s", "t", "u")] == ["expired"] * 3
    await log.close()


async def test_a_damaged_table_of_names_leads_to_no_other_stream(tmp_path):
    """Where its order is broken, SQLite may give a row that has not the key that was asked for."""
    log = await SqliteLog(tmp_path).open()
    ids = [f"stream{number:02}" for number in range(12)]
    for id in ids:
        await log.create(id, meta(), [Name("idempotency", id)])
    await log.close()
    path = tmp_path / "shared.db"
    data, row = path.read_bytes(), b"annidempotencystream00stream00"
    assert data.count(row) == 1
    path.write_bytes(data.replace(row, b"c" + row[1:]))
    log = await SqliteLog(tmp_path).open()
    refused = 0
    for id in ids:
        try:
            assert await log.resolve("ann", id, ["idempotency"]) in (None, Bound(id))
        except StoreCorrupt:
            refused += 1
    assert refused
    await log.close()


@pytest.mark.parametrize("kind", ["idempotency", "chat"])
@pytest.mark.parametrize("column", ["stream", "fingerprint"])
async def test_a_name_that_is_not_as_it_was_bound_is_an_error(tmp_path, kind, column):
    """It would lead to another stream, or another request to this one."""
    log = await SqliteLog(tmp_path).open()
    for id in ("one", "two"):
        await log.create(id, meta(), [Name(kind, id, "f")])
    assert await log.resolve("ann", "two", [kind]) == Bound("two", "f")
    await log.close()
    db = apsw.Connection(str(tmp_path / ("shared.db" if kind == "idempotency" else "log-1.db")))
    changed = {"stream": "(SELECT stream FROM names WHERE name = 'one')", "fingerprint": "'g'"}[column]
    db.execute(f"UPDATE names SET {column} = {changed} WHERE name = 'two'")
    db.close()
    log = await SqliteLog(tmp_path).open()
    assert await log.resolve("ann", "one", [kind]) == Bound("one", "f")
    with pytest.raises(StoreCorrupt):
        await log.resolve("ann", "two", [kind])
    await log.close()


async def test_files_of_an_older_version_are_brought_up_to_date(tmp_path):
    """Those of workers that are gone, too; names without a seal are believed, and new ones have one."""
    first = await SqliteLog(tmp_path).open()
    second = await SqliteLog(tmp_path).open()
    for log, id in ((first, "one"), (second, "two")):
        await log.create(id, meta(), [Name("idempotency", id, "f"), Name("chat", id, "f")])
    for log in (first, second):
        await log.close()
    for name in ("shared.db", "log-1.db", "log-2.db"):
        db = apsw.Connection(str(tmp_path / name))
        db.execute("ALTER TABLE names DROP COLUMN seal; PRAGMA user_version = 1")
        db.close()
    log = await SqliteLog(tmp_path).open()
    await log.create("three", meta(), [Name("idempotency", "three", "f"), Name("chat", "three", "f")])
    for kind in ("idempotency", "chat"):
        for id in ("one", "two", "three"):
            assert await log.resolve("ann", id, [kind]) == Bound(id, "f")
    await log.close()
    for name, sealed in {"shared.db": 1, "log-1.db": 1, "log-2.db": 0}.items():
        db = apsw.Connection(str(tmp_path / name))
        assert db.pragma("user_version") == 2
        assert db.execute("SELECT count(seal) FROM names").fetchall() == [(sealed,)]
        db.close()


async def test_what_is_not_found_by_its_id_is_not_compacted(tmp_path):
    """In memory it is found, and stays readable in spite of a damaged index."""
    log = await SqliteLog(tmp_path).open()
    await put(log, "s", 5, DONE)
    await log.close()
    path = tmp_path / "log-1.db"
    db = apsw.Connection(str(path))
    [(page,)] = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_streams_1'").fetchall()
    db.close()
    data = bytearray(path.read_bytes())
    data[(page - 1) * 4096 : page * 4096] = bytes(4096)
    path.write_bytes(data)
    log = await SqliteLog(tmp_path).open()
    await log.upkeep.tidy()
    assert await read_all(log, "s") == (numbered(1, 5), DONE)
    await log.close()


async def test_a_row_without_a_seal_is_believed(tmp_path):
    """As older versions have written it."""
    log = await SqliteLog(tmp_path).open()
    await put(log, "s", 2, DONE)
    await log.close()
    db = apsw.Connection(str(tmp_path / "log-1.db"))
    db.execute("UPDATE streams SET meta = substr(meta, 6), outcome = substr(outcome, 6)")
    db.close()
    log = await SqliteLog(tmp_path).open()
    assert await read_all(log, "s") == (numbered(1, 2), DONE)
    assert (await log.head("s")).meta == meta()
    await log.close()


@pytest.mark.parametrize("name", ["log-1.db", "shared.db"])
async def test_a_newer_schema_is_refused_by_name(tmp_path, name):
    """An older Headrace does not touch what a newer one has written."""
    await (await SqliteLog(tmp_path).open()).close()
    db = apsw.Connection(str(tmp_path / name))
    db.pragma("user_version", 99)
    db.close()
    with pytest.raises(StoreError, match=f"{name} has schema version 99"):
        await SqliteLog(tmp_path).open()


async def test_a_damaged_file_is_refused_after_an_unclean_end(tmp_path):
    """A file that was not closed cleanly is checked before anything is written to it; it is left as it is."""
    log = await SqliteLog(tmp_path).open()
    await log.create("s", meta())
    await log.append("s", 0, numbered(1, 300, size=200))
    await log._place.upkeep.checkpoint(reset=True)
    abandon(log)
    path = tmp_path / "log-1.db"
    damaged = bytearray(path.read_bytes())
    page = 4096 * (len(damaged) // 4096 - 3)
    damaged[page : page + 64] = os.urandom(64)
    path.write_bytes(damaged)
    with pytest.raises(StoreCorrupt):
        await SqliteLog(tmp_path).open()
    assert path.read_bytes() == damaged


def open_files():
    return [path.resolve() for path in Path("/proc/self/fd").iterdir()]


async def test_a_folder_that_cannot_be_opened_is_let_go_of(tmp_path):
    """Where it comes out late that a file is damaged, nothing of what was open by then stays open."""
    log = await SqliteLog(tmp_path).open()
    await put(log, "s", 1)
    await log.close()
    database = apsw.Connection(str(tmp_path / "log-1.db"))
    database.execute("UPDATE streams SET meta = x'00'")
    database.close()
    with pytest.raises(StoreCorrupt):
        await SqliteLog(tmp_path).open()
    assert [path for path in open_files() if path.is_relative_to(tmp_path)] == []


class _WornFile(apsw.VFSFile):
    def __init__(self, disk, name, flags):
        super().__init__("", name, flags)
        self._disk = disk

    def xRead(self, amount, offset):  # noqa: N802  (SQLite's name)
        if self._disk.reads == 0:
            raise apsw.IOError
        self._disk.reads -= 1
        return super().xRead(amount, offset)


class WornDisk(apsw.VFS):
    """The real disk, from which so many ``reads`` are left; any number where it is below zero."""

    def __init__(self):
        self.reads = -1
        super().__init__("headrace-worn-disk", base="")

    def xOpen(self, name, flags):  # noqa: N802  (SQLite's name)
        return _WornFile(self, name, flags)


async def test_a_signal_that_could_not_be_read_at_first_is_heard_by_the_next_look(tmp_path):
    """Also where nobody has written since: a stop must not wait for the next signal."""
    disk = WornDisk()
    shared = Shared(tmp_path / "shared.db", "process", busy_ms=0, vfs="headrace-worn-disk")
    assert shared.poll(1, 0) == []
    await shared.send(1, "cancel", "s")
    disk.reads = 1  # enough to see that there is something new
    with pytest.raises(apsw.IOError):
        shared.poll(1, 0)
    disk.reads = -1
    assert [(signal.kind, signal.stream) for signal in shared.poll(1, 0)] == [("cancel", "s")]
    assert shared.poll(1, 0) == []
    await shared.close()


async def test_a_file_whose_next_worker_died_between_two_looks_is_closed_too(tmp_path):
    """Nobody has seen that it lived; until its file is taken again, its readers would wait."""
    log = await SqliteLog(tmp_path).open()
    for id in ("s", "t"):
        other = await SqliteLog(tmp_path).open()
        await put(other, id, 1)
        abandon(other)
        assert await log.reap(lambda _: CUT) == [id]
        assert await log.reap(lambda _: CUT) == []
    assert log_numbers(tmp_path) == [1, 2]
    await log.close()


async def test_compaction_keeps_every_cursor(tmp_path):
    """Before, during and after it, each number leads to the same records; nothing hot is left."""
    log = await SqliteLog(tmp_path).open()
    other = await SqliteLog(tmp_path).open()
    tail = 0
    await log.create("s", meta())
    await log.create("open", meta())
    for count in (1, 50, 3, 200, 146):
        tail = (await log.append("s", tail, numbered(tail + 1, tail + count, size=1000))).tail
        await log.append("open", tail - count, numbered(tail - count + 1, tail, size=10))
    await log.append("s", tail, (), DONE)
    assert len((await other.read("s", 390)).records) == 10
    await log._place.upkeep.compact()
    for reader in (log, other):
        for after in (0, 1, 50, 51, 163, 164, 399, 400):
            assert await read_all(reader, "s", after) == (numbered(after + 1, 400, size=1000), DONE)
    await log._place.upkeep.sweep()
    for reader in (log, other):
        assert await read_all(reader, "s", 77, max_bytes=3000) == (numbered(78, 400, size=1000), DONE)
        assert await read_all(reader, "open", 5) == (numbered(6, 400, size=10), None)
    db = log._place._writer.db
    assert db.execute("SELECT count(*) FROM chunks").fetchall() == [(5,)]
    assert db.execute("SELECT count(*) FROM segments").fetchall() == [(7,)]
    await other.close()
    await log.close()


async def test_a_compaction_cut_off_by_a_crash_is_done_again(tmp_path):
    """Rows and segments that were left over in the middle neither double nor lose a record."""
    log = await SqliteLog(tmp_path).open()
    await put(log, "s", 5, DONE)
    await log._place.commit.change(lambda txn: txn.writer.segment(log._place.own.live["s"].number, 1, [numbered(1, 3)]))
    abandon(log)
    log = await SqliteLog(tmp_path).open()
    assert await read_all(log, "s") == (numbered(1, 5), DONE)
    await log._place.upkeep.tidy()
    assert "s" not in log._place.own.live
    assert await read_all(log, "s") == (numbered(1, 5), DONE)
    assert log._place._writer.db.execute("SELECT count(*) FROM chunks").fetchall() == [(0,)]
    assert log._place._writer.db.execute("SELECT first, last FROM segments").fetchall() == [(1, 5)]
    await log.close()


async def test_a_checkpoint_empties_the_wal_while_appends_go_on(tmp_path):
    """The write-ahead log is bounded however long the writing goes on; held appends are carried out after it."""
    log = await SqliteLog(tmp_path).open()
    await log.create("s", meta())
    await log.append("s", 0, numbered(1, 500, size=5000))
    wal = tmp_path / "log-1.db-wal"
    assert wal.stat().st_size > 2_000_000
    checkpoint = asyncio.create_task(log._place.upkeep.checkpoint(reset=True))
    for n in range(501, 521):
        await log.append("s", n - 1, numbered(n, n))
    await checkpoint
    assert wal.stat().st_size < 500_000
    assert (await log.head("s")).tail == 520
    await log.close()


async def test_what_was_deleted_is_in_no_file(tmp_path):
    """After a drop and the housekeeping that follows it, neither answer, request nor name can be found on the disk."""
    log = await SqliteLog(tmp_path).open()
    for name in ("hot", "compact"):
        await log.create(name, meta("canary-owner"), [Name("chat", "canary-chat"), Name("client", f"canary-{name}")])
        await log.append(name, 0, [Record("", b"canary-answer" * 500)], DONE)
        if name == "compact":
            await log._place.upkeep.compact()
        await log.drop(name)
    await log._place.upkeep.tidy()
    await log._place.upkeep.tidy()
    for path in tmp_path.iterdir():
        found = path.read_bytes()
        for canary in (b"canary-answer", b"canary-chat", b"canary-hot", b"m-\xc3\xa4"):
            assert canary not in found, (path.name, canary)
    await log.close()


@pytest.mark.parametrize(
    ("clean", "durability", "epoch"), [(True, "process", 1), (False, "process", 2), (False, "power", 1)]
)
async def test_the_epoch_rises_where_the_machine_stopped_with_open_files(tmp_path, clean, durability, epoch):
    """Once per machine start, and only where something may have been lost."""
    log = await SqliteLog(tmp_path, durability=durability, boot="first").open()
    assert log.epoch == 1
    await put(log, "s", 1)
    if clean:
        await log.close()
    else:
        abandon(log)
    for _ in range(2):
        log = await SqliteLog(tmp_path, durability=durability, boot="second").open()
        assert log.epoch == epoch
        await log.close()


async def test_killing_a_process_does_not_raise_the_epoch(tmp_path):
    """What a process had committed is in the machine's memory; nothing is lost without a machine stop."""
    log = await SqliteLog(tmp_path, boot="first").open()
    abandon(log)
    log = await SqliteLog(tmp_path, boot="first").open()
    assert log.epoch == 1
    await log.close()


async def test_numbers_are_not_used_again(tmp_path):
    """A follower that slept through a deletion is not given another stream's records under a row that it has seen."""
    log = await SqliteLog(tmp_path).open()
    other = await SqliteLog(tmp_path).open()
    await put(log, "a", 3)
    assert len((await other.read("a", 0)).records) == 3
    await log.drop("a")
    await log._place.upkeep.tidy()
    await log.expire(9e9, Kept())
    await put(log, "b", 2)
    assert (await other.read("b", 0)).records == numbered(1, 2)
    bell = Bell()
    await other.read("b", 2, wake=bell)
    await log.append("b", 2, numbered(3, 3), CUT)
    await bell.wait()
    assert await read_all(other, "b") == (numbered(1, 3), CUT)
    await other.close()
    await log.close()


@pytest.mark.parametrize("same_file", [True, False])
async def test_a_name_freed_at_the_moment_of_a_crash_is_freed(tmp_path, same_file):
    """What the append has committed is carried out in the shared file by whoever takes the dead one's over."""
    key, client = Name("idempotency", "k"), Name("client", "c", "f")
    survivor = None if same_file else await SqliteLog(tmp_path).open()
    log = await SqliteLog(tmp_path).open()
    await log.create("s", meta(), [key])
    # The process dies after the commit in its own file and before the shared one hears of it.
    log._place.upkeep._shared = None
    log._place.upkeep.pay = asyncio.Event().wait
    future = log.append("s", 0, (), CUT, freed=[key], names=[client])
    await log._place.commit.change(lambda txn: None)
    abandon(log)
    future.cancel()
    survivor = survivor or await SqliteLog(tmp_path).open()
    assert await survivor.resolve("ann", "k", ["idempotency"]) is not None
    await survivor.reap(lambda head: CUT)
    await survivor._place.upkeep.tidy()
    assert await survivor.resolve("ann", "k", ["idempotency"]) is None
    assert await survivor.resolve("ann", "c", ["client"]) == ("s", "f")
    await survivor._place.upkeep.tidy()
    await survivor.close()
