"""The SQL database, and the one thread that talks to it.

One thread is enough: rows come once for each answer, not for each chunk. It keeps every wait (a lock that another
worker holds, a slow disk) off the event loop.
"""

import asyncio
import importlib
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, create_engine, event, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from headrace.errors import StoreUnavailable
from headrace.records.tables import REVISION

T = TypeVar("T")

#: The database's file in the data folder.
FILE = "records.db"

#: Seconds for which a lock of another worker is waited for.
PATIENCE = 5.0


class Database:
    """One database. ``folder`` holds its file; where it is None, the database ends with the process.

    Nothing is opened before the first use, which also brings the tables to their newest revision. A database that is
    out of reach is tried again at the next use.
    """

    def __init__(self, folder: Path | None, *, patience: float = PATIENCE) -> None:
        self._folder = folder
        url = "sqlite://" if folder is None else f"sqlite:///{folder / FILE}"
        # A statement's parameters hold prompts: no exception may show them.
        self._engine = create_engine(url, hide_parameters=True, connect_args={"timeout": patience})
        event.listen(self._engine, "connect", _connected)
        event.listen(self._engine, "begin", _begun)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="records")
        self._ready = False
        self._closed = False

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Do some work in one transaction, all or nothing. Raises StoreUnavailable where the database does not."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._transact, work)

    async def close(self) -> None:
        """Finish what is under way and let go of the file. Idempotent."""
        if self._closed:
            return
        self._closed = True
        await asyncio.get_running_loop().run_in_executor(self._thread, self._engine.dispose)
        self._thread.shutdown(wait=False)

    def _transact(self, work: Callable[[Connection], T]) -> T:
        try:
            self._prepare()
            with self._engine.begin() as connection:
                return work(connection)
        except (SQLAlchemyError, OSError) as error:
            raise StoreUnavailable("The records database cannot be used now.") from error

    def _prepare(self) -> None:
        if self._ready:
            return
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
        with (
            self._engine.begin() as connection
        ):  # which holds the write lock: a second worker waits, then finds it done
            found = _revision(connection)
            if found > REVISION:
                raise StoreUnavailable(f"{FILE} was written by a newer version of this server.")
            if found < REVISION:
                # Alembic is as large as all the rest, and needed once in a database's life.
                logging.getLogger("alembic").setLevel(logging.WARNING)
                importlib.import_module("headrace.records.migrations").upgrade(connection)
        self._ready = True


def _revision(connection: Connection) -> str:
    """The newest migration that was carried out, or an empty text."""
    if not inspect(connection).has_table("alembic_version"):
        return ""
    return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar() or "")


def _connected(connection: Any, _record: object) -> None:  # noqa: ANN401 - a driver's own
    """Have SQLite leave transactions to us, and delete for good.

    It keeps its rollback journal: Python's SQLite may be one whose WAL can lose commits (before 3.51.3), and rows come
    too seldom for WAL to matter.
    """
    connection.isolation_level = None
    connection.execute("PRAGMA secure_delete = ON")


def _begun(connection: Connection) -> None:
    """Take the write lock first, so that no transaction has to give up half-way."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")
