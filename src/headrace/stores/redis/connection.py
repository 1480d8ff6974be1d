"""The connection of one process to Redis: commands in batches, scripts by their digest, wake-ups, and the epoch.

Two lines carry commands, so that an append never waits behind a long read; a third is subscribed (see
:class:`~headrace.stores.redis.hub.Hub`). A line that breaks is dialled again by the next command.
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple, Self

from headrace.core.log import Wake
from headrace.errors import StoreError, StoreUnavailable
from headrace.stores.redis.hub import Hub
from headrace.stores.redis.line import Dialer, Line, Refused, Reply, ScriptMissing, bulk, pack

__all__ = ["PATIENCE", "RedisConnection", "Refused", "Reply", "Script", "bulk", "pack"]

logger = logging.getLogger(__name__)

#: Seconds that one batch of commands may take; a Redis that was silent for so long is dialled again.
PATIENCE = 6.0


class Script:
    """A Lua script. It names its keys itself, so it runs on one server, not on a Redis Cluster."""

    def __init__(self, text: str) -> None:
        self.text = text.encode()
        self.digest = hashlib.sha1(self.text, usedforsecurity=False).hexdigest().encode()


# The epoch is raised by whoever first sees that the server is another process than before (restarted, or another one
# since a failover), or that the marker is gone (flushed): each may have cost the end of a log. It is raised to the
# server's time in milliseconds at least, so that it goes on growing where Redis has forgotten that it was raised.
# ``since`` (Unix milliseconds) is when it was raised: until then leases may have lapsed for want of a server.
# ARGV: prefix, the server's run id or '' where it is not asked for, the highest epoch that the caller knows.
_EPOCH = Script("""
local key = ARGV[1] .. 'epoch'
local found = redis.call('HMGET', key, 'number', 'run', 'schema')
local number, run, schema = tonumber(found[1]), found[2], tonumber(found[3])
if schema and schema > 1 then return -1 end
local known = tonumber(ARGV[3])
if number and number >= known and (ARGV[2] == '' or run == ARGV[2]) then return number end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local least = math.max(number or 0, known, now) + 1
redis.call('HSET', key, 'number', string.format('%d', least), 'schema', 1,
  'since', string.format('%d', now))
if ARGV[2] ~= '' then redis.call('HSET', key, 'run', ARGV[2]) end
return least
""")


class _Call(NamedTuple):
    packed: bytes
    future: "asyncio.Future[Reply]"


class _Wire:
    """A line that is dialled again after it broke. What is waiting for its turn waits in order."""

    def __init__(self, connection: "RedisConnection") -> None:
        self._connection = connection
        self._line: Line | None = None
        self._turn = asyncio.Lock()

    async def exchange(self, commands: Sequence[bytes], settle: Callable[[Reply | Refused], None]) -> None:
        """Send commands, and hand over each reply as it comes. Raises StoreError for those that got none."""
        async with self._turn:
            try:
                async with asyncio.timeout(PATIENCE):
                    await self._exchange(commands, settle)
            except TimeoutError:
                await self.close()
                raise StoreUnavailable from None
            except StoreError:
                await self.close()
                raise

    async def _exchange(self, commands: Sequence[bytes], settle: Callable[[Reply | Refused], None]) -> None:
        line = self._line
        if line is None:
            line = self._line = await self._connection.dial()
        await line.send(commands)
        for _ in commands:
            try:
                reply = await line.receive()
            except Refused as refused:
                settle(refused)
            else:
                settle(reply)

    async def close(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            await line.close()


class _Lane:
    """A wire and its queue: what is called while a batch is under way is the next batch."""

    def __init__(self, connection: "RedisConnection") -> None:
        self._wire = _Wire(connection)
        self._queue: list[_Call] = []
        self._batch: list[_Call] = []
        self._idle: asyncio.Future[None] | None = None
        self._task = asyncio.create_task(self._work(), name="redis commands")
        self._closed = False

    def send(self, packed: bytes) -> "asyncio.Future[Reply]":
        """Send it with the next batch."""
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        if self._closed:
            future.set_exception(StoreError("The store is closed."))
            return future
        self._queue.append(_Call(packed, future))
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)
        return future

    async def _work(self) -> None:
        while True:
            if not self._queue:
                self._idle = asyncio.get_running_loop().create_future()
                await self._idle
            self._batch, self._queue = self._queue, []
            waiting = iter(self._batch)
            try:
                await self._wire.exchange([call.packed for call in self._batch], partial(_settle, waiting))
            except StoreError as error:
                for call in waiting:
                    _fail(call, error)

    async def close(self) -> None:
        self._closed = True
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        for call in (*self._batch, *self._queue):
            _fail(call, StoreError("The store is closed."))
        await self._wire.close()


def _settle(waiting: Iterator[_Call], reply: Reply | Refused) -> None:
    call = next(waiting)
    if isinstance(reply, Refused):
        _fail(call, reply)
    elif not call.future.done():
        call.future.set_result(reply)


def _fail(call: _Call, error: StoreError) -> None:
    if not call.future.done():
        call.future.set_exception(error)


class RedisConnection:
    """Made by :meth:`open` on the event loop that uses it. All keys and channels begin with ``prefix``."""

    def __init__(self, url: str, prefix: str) -> None:
        self._dialer = Dialer(url)
        self.prefix = prefix
        #: Raised whenever Redis may have lost the end of something; see DESIGN, Epoch.
        self.epoch = 0
        self._hub = Hub(self._dialer)
        self._calls = _Lane(self)
        self._appends = _Wire(self)

    @classmethod
    async def open(cls, url: str, prefix: str = "headrace:") -> Self:
        """Dial. Raises StoreUnavailable, ConfigError for a URL that cannot be read, StoreError for a newer schema."""
        connection = cls(url, prefix)
        try:
            await connection.call(b"PING")
            await connection._hub.open()
        except BaseException:
            await connection.close()
            raise
        return connection

    async def call(self, *command: bytes | str | int) -> Reply:
        """Run one command. Raises StoreUnavailable; a Refused has not been carried out."""
        return await self._calls.send(pack(*command))

    async def run(self, script: Script, *args: bytes | str | int) -> Reply:
        """Run a script, by its digest where Redis knows it. Raises StoreUnavailable."""
        try:
            return await self.call(b"EVALSHA", script.digest, 0, *args)
        except ScriptMissing:
            return await self.call(b"EVAL", script.text, 0, *args)

    async def append(self, script: Script, packed: Sequence[bytes]) -> Reply:
        """Run a script on the line of the appends; each of its arguments is packed by :func:`bulk`."""
        arguments = b"".join(packed)
        try:
            return await self._append(_eval(b"EVALSHA", script.digest, len(packed)) + arguments)
        except ScriptMissing:
            return await self._append(_eval(b"EVAL", script.text, len(packed)) + arguments)

    async def _append(self, command: bytes) -> Reply:
        """In the caller's own task: each turn of the event loop between an append and its readers is latency."""
        replies: list[Reply | Refused] = []
        await self._appends.exchange([command], replies.append)
        if isinstance(replies[0], Refused):
            raise replies[0]
        return replies[0]

    async def watch(self, channel: bytes, wake: Wake) -> None:
        """Have ``wake`` called for each message on the channel, and after each break in which one may be missed."""
        await self._hub.watch(channel, wake)

    def unwatch(self, channel: bytes, wake: Wake) -> None:
        """Call it no more."""
        self._hub.unwatch(channel, wake)

    async def learn_epoch(self) -> int:
        """Ask for the epoch, raising it where its marker is gone. Raises StoreUnavailable."""
        self.epoch = _epoch(await self.run(_EPOCH, self.prefix, b"", self.epoch))
        return self.epoch

    async def policy(self) -> str:
        """What Redis does when its memory is full; only ``noeviction`` keeps what was acknowledged.

        Empty where it is not told (a managed server).
        """
        try:
            reply = await self.call(b"CONFIG", b"GET", b"maxmemory-policy")
        except Refused:
            return ""
        return reply[1].decode() if isinstance(reply, list) and len(reply) == 2 else ""

    async def dial(self) -> Line:
        """A new line, once the epoch is known for the server at its end. Raises StoreUnavailable."""
        line = await self._dialer.dial()
        try:
            run = await _run_id(line)
            await line.send([pack(b"EVAL", _EPOCH.text, 0, self.prefix, run, self.epoch)])
            self.epoch = _epoch(await line.receive())
        except BaseException:
            await line.close()
            raise
        return line

    async def close(self) -> None:
        """Hang up; what is under way fails."""
        await self._calls.close()
        await self._appends.close()
        await self._hub.close()


def _eval(verb: bytes, script: bytes, arguments: int) -> bytes:
    return b"*%d\r\n%b%b%b" % (arguments + 3, bulk(verb), bulk(script), bulk(0))


def _epoch(reply: Reply) -> int:
    if not isinstance(reply, int) or reply < 0:
        raise StoreError("A newer version of Headrace has written this Redis; it is not touched.")
    return reply


async def _run_id(line: Line) -> bytes:
    """Which process the server is; empty where this user may not know."""
    await line.send([pack(b"INFO", b"server")])
    try:
        info = await line.receive()
    except Refused:
        return b""
    lines = info.split(b"\r\n") if isinstance(info, bytes) else []
    return next((text.partition(b":")[2] for text in lines if text.startswith(b"run_id:")), b"")
