"""Accounts in a SQLite file that all workers of a machine share.

It is read and written once for each answer that a limited key begins, and never for a chunk. What it may lose in a
power cut is a minute's counting.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self, TypeVar

import apsw
import msgspec

from headrace.core.account import Account
from headrace.core.clock import Clock
from headrace.stores.sqlite.connection import checkpoint, connect, immediate, ready, store_errors

T = TypeVar("T")

#: The file in the data folder.
FILE = "accounts.db"

SCHEMA_VERSION = 1
SCHEMA = "CREATE TABLE accounts(owner TEXT PRIMARY KEY, account BLOB NOT NULL) WITHOUT ROWID;"

#: Milliseconds for which another worker is waited for.
_BUSY_MS = 5_000
#: Pages of WAL after which it is moved into the file.
_WAL_PAGES = 256

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Account).decode


class SqliteAccounts:
    """:class:`~headrace.core.account.Accounts` in a data folder. Made by :meth:`open`."""

    def __init__(self, connection: apsw.Connection, thread: ThreadPoolExecutor, clock: Clock) -> None:
        self._connection = connection
        self._thread = thread
        self._clock = clock
        self._pages = 0
        connection.set_wal_hook(self._grown)

    @classmethod
    async def open(cls, folder: Path, clock: Clock) -> Self:
        """Open the file, or make it. Raises StoreError."""
        thread = ThreadPoolExecutor(1, thread_name_prefix="headrace-accounts")
        try:
            connection = await asyncio.get_running_loop().run_in_executor(thread, _open, folder / FILE)
        except BaseException:
            thread.shutdown(wait=False)
            raise
        return cls(connection, thread, clock)

    async def change(self, owner: str, change: Callable[[Account, float], tuple[Account, T]]) -> T:
        """Change an account in one transaction."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._change, owner, change)

    def _change(self, owner: str, change: Callable[[Account, float], tuple[Account, T]]) -> T:
        with store_errors():
            with immediate(self._connection):
                found: Any = self._connection.execute(
                    "SELECT account FROM accounts WHERE owner = ?", (owner,)
                ).fetchone()
                account, result = change(_decode(found[0]) if found else Account(), self._clock.time())
                self._connection.execute("INSERT OR REPLACE INTO accounts VALUES(?, ?)", (owner, _encode(account)))
            if self._pages > _WAL_PAGES:
                checkpoint(self._connection, truncate=False)
                self._pages = 0
        return result

    def _grown(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self._pages = pages
        return apsw.SQLITE_OK

    async def close(self) -> None:
        """Let go of the file."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._connection.close)
        self._thread.shutdown(wait=False)


def _open(path: Path) -> apsw.Connection:
    with store_errors():
        connection = connect(path, "process", busy_ms=_BUSY_MS)
        ready(connection, path, SCHEMA_VERSION, SCHEMA)
        return connection
