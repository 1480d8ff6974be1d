"""The records in a file of the data folder, or in memory."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, event

from headrace.records.engines import READERS, Engines

#: The database's file in the data folder.
FILE = "records.db"


def engines(folder: Path | None, patience: float) -> Engines:
    """Engines on the folder's file, or where there is none on a database that ends with the process.

    ``patience`` is for how many seconds a lock of another process is waited for.
    """
    url = "sqlite://" if folder is None else f"sqlite:///{folder / FILE}"
    # A statement's parameters hold prompts: no exception may show them.
    common: dict[str, Any] = {"hide_parameters": True, "connect_args": {"timeout": patience}}
    writing = create_engine(url, **common)
    event.listen(writing, "connect", _connected)
    event.listen(writing, "begin", _begun)
    if folder is None:
        return Engines(writing, None, nullcontext)
    event.listen(writing, "do_connect", lambda *_: folder.mkdir(parents=True, exist_ok=True))
    reading = create_engine(url, isolation_level="AUTOCOMMIT", pool_size=READERS, max_overflow=0, **common)
    event.listen(reading, "connect", _connected_to_read)
    return Engines(writing, reading, nullcontext)


def _connected(connection: Any, _record: object) -> None:  # noqa: ANN401 - a driver's own
    """Have SQLite leave transactions to us, and delete for good.

    It keeps its rollback journal: Python's SQLite may be one whose WAL can lose commits (before 3.51.3), and rows come
    too seldom for WAL to matter.
    """
    connection.isolation_level = None
    connection.execute("PRAGMA secure_delete = ON")
    connection.create_function("lower", 1, _lower, deterministic=True)


def _connected_to_read(connection: Any, _record: object) -> None:  # noqa: ANN401 - a driver's own
    """Have SQLite refuse to write."""
    connection.execute("PRAGMA query_only = ON")
    connection.create_function("lower", 1, _lower, deterministic=True)


def _lower(text: object) -> object:
    """Letters of all languages, as PostgreSQL has it; SQLite's own knows those of ASCII."""
    return text.lower() if isinstance(text, str) else text


def _begun(connection: Connection) -> None:
    """Take the write lock first: no transaction has to give up half-way, and of two that migrate one waits."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")
