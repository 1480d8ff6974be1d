"""The SQL database, and the threads that talk to it.

One thread writes, and that is enough: rows come once for each answer, not for each chunk. It keeps every wait (a lock
that another worker holds, a slow disk) off the event loop. Long reading has threads of its own.
"""

import asyncio
import importlib
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
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

#: Threads for long reading, each with a connection.
READERS = 2


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
        self._reading = create_engine(
            url,
            hide_parameters=True,
            connect_args={"timeout": patience},
            isolation_level="AUTOCOMMIT",
            **({} if folder is None else {"pool_size": READERS, "max_overflow": 0}),
        )
        event.listen(self._reading, "connect", _connected_to_read)
        self._readers = ThreadPoolExecutor(max_workers=READERS, thread_name_prefix="records-read")
        self._ready = False
        self._closed = False

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Do some work in one transaction, all or nothing. Raises StoreUnavailable where the database does not."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._transact, work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Read something, beside all else that goes on. Raises StoreUnavailable.

        Each statement is a transaction of its own. A writer waits for the longest of them, so let them be short, and
        fetch all that they find.
        """
        if self._closed:
            raise StoreUnavailable("The records database is closed.")
        if self._folder is None:  # one thread alone sees what is in memory
            return await self.run(work)
        if not self._ready:
            await self.run(_nothing)
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._look, work)

    async def close(self) -> None:
        """Finish what is under way and let go of the file. Idempotent."""
        if self._closed:
            return
        self._closed = True
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._engine.dispose)
        self._thread.shutdown(wait=False)
        await loop.run_in_executor(None, self._readers.shutdown)
        self._reading.dispose()

    def _transact(self, work: Callable[[Connection], T]) -> T:
        with _errors():
            self._prepare()
            with self._engine.begin() as connection:
                return work(connection)

    def _look(self, work: Callable[[Connection], T]) -> T:
        with _errors(), self._reading.connect() as connection:
            return work(connection)

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


@contextmanager
def _errors() -> Iterator[None]:
    """Turn the database's errors into ours."""
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        raise StoreUnavailable("The records database cannot be used now.") from error


def _nothing(_: Connection) -> None:
    """Do nothing, in a transaction: which makes the tables."""


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


def _connected_to_read(connection: Any, _record: object) -> None:  # noqa: ANN401 - a driver's own
    """Have SQLite refuse to write."""
    connection.execute("PRAGMA query_only = ON")


def _begun(connection: Connection) -> None:
    """Take the write lock first, so that no transaction has to give up half-way."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")
