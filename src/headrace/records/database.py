"""The SQL database, and the threads that talk to it.

One thread writes, and that is enough: rows come once for each answer, not for each chunk. It keeps every wait (a lock
that another worker holds, a slow disk, a server that is away) off the event loop. Long reading has threads of its own.
"""

import asyncio
import importlib
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Self, TypeVar

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from headrace.config import Settings
from headrace.errors import ConfigError, StoreUnavailable
from headrace.records import sqlite
from headrace.records.engines import READERS, Engines
from headrace.records.tables import REVISION

T = TypeVar("T")

#: Seconds for which a lock of another worker, a connection or a server's answer is waited for.
PATIENCE = 5.0


class Database:
    """One database: at ``url``, which is PostgreSQL's, else in a file of ``folder``, else it ends with the process.

    Nothing is opened before the first use, which also brings the tables to their newest revision. A database that is
    out of reach is tried again at the next use. Raises ConfigError where a URL cannot be used.
    """

    def __init__(self, folder: Path | None, *, url: str = "", patience: float = PATIENCE) -> None:
        self._engines = _at(url, patience) if url else sqlite.engines(folder, patience)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="records")
        self._readers = ThreadPoolExecutor(max_workers=READERS, thread_name_prefix="records-read")
        self._ready = False
        self._closed = False

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The database that the settings name. Raises ConfigError."""
        return cls(settings.store.folder, url=settings.records.url.get_secret_value())

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Do some work in one transaction, all or nothing. Raises StoreUnavailable where the database does not.

        Where a server went away in the middle, nobody knows whether it did: let work bear to be done twice.
        """
        if self._closed:
            raise StoreUnavailable("The records database is closed.")
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._transact, work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Read something, beside all else that goes on. Raises StoreUnavailable.

        In SQLite each statement is a transaction of its own. A writer waits for the longest of them, so let them be
        short, and fetch all that they find.
        """
        reading = self._engines.reading
        if reading is None:
            return await self.run(work)
        if not self._ready:
            await self.run(_nothing)
        elif self._closed:
            raise StoreUnavailable("The records database is closed.")
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._look, reading, work)

    @property
    def kind(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self._engines.writing.dialect.name

    async def check(self) -> None:
        """Raise StoreUnavailable where it cannot be used now."""
        await self.read(_one)

    async def close(self) -> None:
        """Finish what is under way and let go of the database. Idempotent."""
        if self._closed:
            return
        self._closed = True
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._readers.shutdown)
        if self._engines.reading is not None:
            await loop.run_in_executor(self._thread, self._engines.reading.dispose)
        await loop.run_in_executor(self._thread, self._engines.writing.dispose)
        self._thread.shutdown(wait=False)

    def _transact(self, work: Callable[[Connection], T]) -> T:
        with self._errors():
            self._prepare()
            with self._engines.writing.begin() as connection:
                return work(connection)

    def _look(self, reading: Engine, work: Callable[[Connection], T]) -> T:
        with self._errors(), reading.connect() as connection:
            return work(connection)

    def _prepare(self) -> None:
        if self._ready:
            return
        with self._engines.writing.begin() as connection, self._engines.alone(connection):
            found = _revision(connection)
            if found > REVISION:
                raise StoreUnavailable("The records database was written by a newer version of this server.")
            if found < REVISION:
                # Alembic is as large as all the rest, and needed once in a database's life.
                logging.getLogger("alembic").setLevel(logging.WARNING)
                importlib.import_module("headrace.records.migrations").upgrade(connection)
        self._ready = True

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn the database's errors into ours; what it was when it comes back is not known."""
        try:
            yield
        except (SQLAlchemyError, OSError) as error:
            self._ready = False
            raise StoreUnavailable("The records database cannot be used now.") from error


def _at(url: str, patience: float) -> Engines:
    """Engines on a server, whose driver is an extra. Raises ConfigError."""
    try:
        postgresql = importlib.import_module("headrace.records.postgresql")
    except ModuleNotFoundError:
        raise ConfigError("records.url needs: pip install 'headrace[postgresql]'") from None
    engines: Engines = postgresql.engines(url, patience)
    return engines


def _nothing(_: Connection) -> None:
    """Do nothing, in a transaction: which makes the tables."""


def _one(connection: Connection) -> None:
    """Have it answer something."""
    connection.execute(text("SELECT 1"))


def _revision(connection: Connection) -> str:
    """The newest migration that was carried out, or an empty text."""
    if not inspect(connection).has_table("alembic_version"):
        return ""
    return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar() or "")
