"""One line to a Redis server: dialled by redis-py, which knows TLS, passwords and sockets; written in whole batches.

The only module that imports redis. Every error of it becomes StoreUnavailable here, without its text: that may hold
an address or a key.
"""

import asyncio
import logging
import math
from collections.abc import Sequence
from typing import Any

from redis.asyncio import Connection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import MasterDownError, NoScriptError, ReadOnlyError, RedisError, ResponseError

from headrace.errors import ConfigError, StoreUnavailable

logger = logging.getLogger(__name__)

#: Seconds until a connection must stand, TLS and password included.
DIAL = 3.0

#: What Redis answers, by RESP2.
Reply = bytes | int | list[Any] | None


class Refused(StoreUnavailable):
    """Redis said no to one command, and has not carried it out."""


class ScriptMissing(Refused):
    """Redis does not know the script by its digest."""


class Dialer:
    """Where Redis is: ``redis://``, ``rediss://`` or ``unix://``. Raises ConfigError where the URL cannot be read."""

    def __init__(self, url: str) -> None:
        try:
            self._pool = ConnectionPool.from_url(
                url, protocol=2, socket_timeout=None, socket_connect_timeout=DIAL, retry=Retry(NoBackoff(), 0)
            )
            self._connection()
        except (ValueError, TypeError):
            raise ConfigError("store.data: this Redis URL cannot be read") from None

    async def dial(self) -> "Line":
        """Connect and log in. Raises StoreUnavailable."""
        connection = self._connection()
        try:
            async with asyncio.timeout(DIAL):
                await connection.connect()  # type: ignore[no-untyped-call]
        except (RedisError, OSError) as error:
            logger.warning("redis cannot be reached (%s)", type(error).__name__)
            raise StoreUnavailable from None
        return Line(connection)

    def _connection(self) -> Connection:
        made: Connection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        return made


class Line:
    """A connection, read by one task."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def send(self, packed: Sequence[bytes]) -> None:
        """Write commands as :func:`pack` makes them. Raises StoreUnavailable.

        A line that has broken stays so: redis-py would dial again by itself, without the epoch, or what was subscribed.
        """
        if not self._connection.is_connected:
            raise StoreUnavailable
        try:
            await self._connection.send_packed_command([b"".join(packed)], check_health=False)
        except (RedisError, OSError):
            raise StoreUnavailable from None

    async def receive(self, seconds: float = math.inf) -> Reply:
        """The next reply; None too where there was none for so many seconds.

        Raises Refused where it is an error, after which the line goes on, and StoreUnavailable where the line is broken
        or leads to a server that takes no writes any more: somebody else may stand at its address by now.
        """
        try:
            reply: Reply = await self._connection.read_response(
                disable_decoding=True, timeout=seconds, disconnect_on_error=False
            )
        except NoScriptError:
            raise ScriptMissing from None
        except ResponseError as error:
            logger.warning("redis refused a command (%s)", _kind(error))
            if isinstance(error, ReadOnlyError | MasterDownError):
                raise StoreUnavailable from None
            raise Refused from None
        except (RedisError, OSError):
            raise StoreUnavailable from None
        return reply

    async def close(self) -> None:
        """Hang up."""
        try:
            await self._connection.disconnect(nowait=True)
        except (RedisError, OSError):
            logger.debug("a line to redis was broken already")


def _kind(error: ResponseError) -> str:
    """Redis's own word for it, such as OOM or MISCONF; never the rest of its text."""
    word = str(error).partition(" ")[0]
    return word if type(error) is ResponseError and word.isupper() and word.isalpha() else type(error).__name__


def bulk(part: bytes | str | int) -> bytes:
    """One argument as Redis reads it (RESP): by hand, for redis-py takes ten times as long."""
    if isinstance(part, int):
        part = b"%d" % part
    data = part.encode() if isinstance(part, str) else part
    return b"$%d\r\n%b\r\n" % (len(data), data)


def pack(*parts: bytes | str | int) -> bytes:
    """A command as Redis reads it."""
    return b"*%d\r\n%b" % (len(parts), b"".join(map(bulk, parts)))
