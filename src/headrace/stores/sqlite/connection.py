"""SQLite connections: how they are opened, what they refuse, and what their errors mean."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import apsw

from headrace.errors import StoreCorrupt, StoreError, StoreUnavailable

Durability = Literal["process", "power"]

#: Older versions lose data by the WAL-reset bug (3.7.0 to 3.51.2, sqlite.org/wal.html).
OLDEST_SQLITE = 3_051_003

_UNAVAILABLE = (
    apsw.FullError,
    apsw.IOError,
    apsw.ReadOnlyError,
    apsw.BusyError,
    apsw.LockedError,
    apsw.CantOpenError,
    apsw.ProtocolError,
    apsw.PermissionsError,
    apsw.NoMemError,
)
#: What was written as text always is.
_CORRUPT = (apsw.CorruptError, apsw.NotADBError, UnicodeDecodeError)


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn SQLite's errors into ours; their text may hold paths and values, and stays in the chain only."""
    try:
        yield
    except _UNAVAILABLE as error:
        raise StoreUnavailable from error
    except _CORRUPT as error:
        raise StoreCorrupt from error
    except (apsw.Error, OSError) as error:
        raise StoreError from error


def check_sqlite() -> None:
    """Refuse a SQLite that may lose data. Raises StoreError."""
    if apsw.SQLITE_VERSION_NUMBER < OLDEST_SQLITE:
        raise StoreError(f"SQLite 3.51.3 or newer is needed, this is {apsw.sqlite_lib_version()}.")


def connect(
    path: Path, durability: Durability, *, write: bool = True, busy_ms: int = 0, vfs: str = ""
) -> apsw.Connection:
    """Open a database of ours, to be used by one thread at a time.

    Checkpoints are never automatic: a commit must not wait for the disk. ``secure_delete`` overwrites what is deleted.
    """
    flags = apsw.SQLITE_OPEN_READWRITE | (apsw.SQLITE_OPEN_CREATE if write else 0)
    connection = apsw.Connection(str(path), flags=flags, vfs=vfs or None)
    connection.set_busy_timeout(busy_ms)
    if write:
        connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", "full" if durability == "power" else "normal")
    connection.pragma("wal_autocheckpoint", 0)
    connection.pragma("secure_delete", True)
    connection.pragma("temp_store", "memory")
    if not write:
        connection.pragma("query_only", True)
    return connection


def ready(connection: apsw.Connection, path: Path, version: int, schema: str, older: Sequence[str] = ()) -> None:
    """Make the tables where the file is new. Raises StoreError where it is of a newer version than ours.

    ``older`` is what leads from each older version to the next, from the first on.
    """
    found: Any = connection.pragma("user_version")
    if found > version:
        raise StoreError(f"{path.name} has schema version {found}; this Headrace knows {version}. Upgrade Headrace.")
    if found == version:
        return
    with immediate(connection):
        found = connection.pragma("user_version")
        for change in older[found - 1 :] if found else (schema,):
            connection.execute(change)
        connection.pragma("user_version", version)


@contextmanager
def immediate(connection: apsw.Connection) -> Iterator[None]:
    """One write transaction: all of it or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        # A full disk may have rolled back already; what is still open must not leak into the next transaction.
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def checkpoint(connection: apsw.Connection, *, truncate: bool) -> bool:
    """Move the WAL into the file, as far as nobody reads it; with ``truncate`` wait for them and empty it.

    Whether it did all of that. Raises apsw.Error for anything but a lock.
    """
    mode = apsw.SQLITE_CHECKPOINT_TRUNCATE if truncate else apsw.SQLITE_CHECKPOINT_PASSIVE
    try:
        frames, moved = connection.wal_checkpoint(mode=mode)
    except apsw.BusyError:
        return False
    return bool(frames == moved)
