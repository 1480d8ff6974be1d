"""The disk whose machine stops: what was synced is there, and what was not may be."""

import random

import apsw

from headrace.testing.power_cut import Disk


def write(disk: Disk, path: str, *, synchronous: str) -> None:
    db = apsw.Connection(path, vfs=disk.name)
    db.pragma("journal_mode", "wal")
    db.pragma("wal_autocheckpoint", 0)
    db.pragma("synchronous", synchronous)
    db.execute("CREATE TABLE t(n)")
    for n in range(20):
        db.execute("INSERT INTO t VALUES(?)", (n,))
    db.close()


def rows_after(folder, seed: int, synchronous: str) -> int:
    before, after = folder / f"{seed}-before", folder / f"{seed}-after"
    before.mkdir()
    with Disk(f"headrace-test-disk-{seed}", random.Random(seed), at=30) as disk:
        write(disk, str(before / "x.db"), synchronous=synchronous)
        disk.write_to(after)
    try:
        db = apsw.Connection(str(after / "x.db"))
        rows = [n for (n,) in db.execute("SELECT n FROM t ORDER BY rowid")]
    except apsw.SQLError:  # not even the table
        return 0
    db.close()
    assert rows == list(range(len(rows)))
    return len(rows)


def test_what_was_synced_is_there_whatever_chance_says(tmp_path):
    """All but the row that was being written."""
    rows = [rows_after(tmp_path, seed, "full") for seed in range(8)]
    assert 0 < max(rows) <= min(rows) + 1


def test_what_was_not_synced_may_be_lost(tmp_path):
    assert rows_after(tmp_path, 1, "normal") < rows_after(tmp_path, 2, "full")


def test_the_moment_of_the_cut_is_told(tmp_path):
    told = []
    with Disk("headrace-test-disk", random.Random(1), at=5, on_cut=lambda: told.append("cut")) as disk:
        write(disk, str(tmp_path / "x.db"), synchronous="normal")
        disk.write_to(tmp_path / "after")
    assert told == ["cut"]
    assert disk.name not in apsw.vfs_names()
