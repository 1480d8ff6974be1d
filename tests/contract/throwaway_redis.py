"""A throw-away Redis adapter: it proves that the log port can be kept on Redis Streams. Test code.

Entry id = ``<last number of its batch>-1``; inside are the first number, the writer, a checksum and the records. An
append is one script: owner and epoch match, not closed, tail as expected, then XADD, names, and the wake-up (a message
without data on one channel). One connection per process reads wake-ups and cancels. Leases are keys that lapse.
Keys: ``m:<id>`` (a stream's hash), ``l:<id>`` (its log), ``n:<owner>:<kind>:<name>``, ``w:<writer>`` (its lease),
``open:<writer>``, ``o:<owner>`` (its streams by creation), ``names:<id>``, ``p:<id>`` (present writers).
"""

import asyncio
import contextlib
import zlib
from collections.abc import Callable, Sequence
from uuid import uuid4

import msgspec
import redis.asyncio as redis

from headrace.core.log import FIRST_COMES, Appended, Batch, Bound, Head, Name, Wake
from headrace.errors import NotFound, OffsetAhead, StoreCorrupt, StoreError, StoreUnavailable, StreamGone
from headrace.model.outcome import Outcome
from headrace.model.record import Record
from headrace.model.request import Meta

_NAMES = """
local function free(owner, id, kind, name)
  local key = 'n:' .. owner .. ':' .. kind .. ':' .. name
  if redis.call('HGET', key, 'id') == id then redis.call('DEL', key); redis.call('SREM', 'names:' .. id, key) end
end
local function bind(owner, id, kind, name, print, first)
  local key = 'n:' .. owner .. ':' .. kind .. ':' .. name
  local holder = redis.call('HGET', key, 'id')
  if holder and first == '1' then return end
  if holder then redis.call('SREM', 'names:' .. holder, key) end
  redis.call('HSET', key, 'id', id, 'print', print)
  redis.call('SADD', 'names:' .. id, key)
end
"""
# ARGV: id, owner, created, meta, writer, then names of (kind, name, fingerprint, first).
CREATE = (
    _NAMES
    + """
for i = 6, #ARGV, 4 do
  local key = 'n:' .. ARGV[2] .. ':' .. ARGV[i] .. ':' .. ARGV[i + 1]
  local holder = ARGV[i + 3] == '1' and redis.call('HMGET', key, 'id', 'print')
  if holder and holder[1] then return holder end
end
if redis.call('EXISTS', 'm:' .. ARGV[1]) == 1 then return redis.error_reply('EXISTS stream') end
redis.call('HSET', 'm:' .. ARGV[1], 'owner', ARGV[2], 'meta', ARGV[4], 'writer', ARGV[5], 'tail', 0, 'size', 0)
redis.call('SADD', 'open:' .. ARGV[5], ARGV[1])
redis.call('ZADD', 'o:' .. ARGV[2], ARGV[3], ARGV[1])
local print = ''
for i = 6, #ARGV, 4 do
  bind(ARGV[2], ARGV[1], ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3])
  if ARGV[i + 3] == '1' and print == '' then print = ARGV[i + 2] end
end
return {ARGV[1], print}
"""
)
# ARGV: id, writer, expected, count, size, crc, data, outcome, format, number of freed, freed (kind, name), names.
APPEND = (
    _NAMES
    + """
local key = 'm:' .. ARGV[1]
local found = redis.call('HMGET', key, 'owner', 'writer', 'tail', 'outcome', 'gone')
local owner, writer, tail, outcome, gone = unpack(found)
if not owner then return {'none'} end
if gone then return {'gone'} end
if outcome or tail ~= ARGV[3] then return {'no', tail, outcome or ''} end
if writer ~= ARGV[2] or redis.call('EXISTS', 'w:' .. writer) == 0 then return {'stale'} end
local last = tonumber(tail) + tonumber(ARGV[4])
if ARGV[4] ~= '0' then
  local fields = {'first', tail + 1, 'writer', writer, 'crc', ARGV[6], 'data', ARGV[7]}
  redis.call('XADD', 'l:' .. ARGV[1], last .. '-1', unpack(fields))
end
redis.call('HSET', key, 'tail', last)
redis.call('HINCRBY', key, 'size', ARGV[5])
if ARGV[9] ~= '' then redis.call('HSETNX', key, 'format', ARGV[9]) end
if ARGV[8] ~= '' then redis.call('HSET', key, 'outcome', ARGV[8]); redis.call('SREM', 'open:' .. writer, ARGV[1]) end
local at = 11
for i = 1, tonumber(ARGV[10]) do free(owner, ARGV[1], ARGV[at], ARGV[at + 1]); at = at + 2 end
for i = at, #ARGV, 4 do bind(owner, ARGV[1], ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]) end
redis.call('PUBLISH', 'news', 'w' .. ARGV[1])
return {'yes', last, ARGV[8]}
"""
)
# ARGV: id, owner's meta for the tombstone, reason.
DROP = """
local key = 'm:' .. ARGV[1]
local owner, writer, gone = unpack(redis.call('HMGET', key, 'owner', 'writer', 'gone'))
if not owner or gone then return 0 end
redis.call('DEL', 'l:' .. ARGV[1], key, unpack(redis.call('SMEMBERS', 'names:' .. ARGV[1])))
redis.call('DEL', 'names:' .. ARGV[1])
redis.call('SREM', 'open:' .. writer, ARGV[1])
redis.call('HSET', key, 'owner', owner, 'meta', ARGV[2], 'gone', ARGV[3], 'tail', 0, 'size', 0, 'writer', writer)
redis.call('PUBLISH', 'news', 'w' .. ARGV[1])
return 1
"""
# ARGV: id, the dead writer, outcome. Closes only what is still open and still the dead one's.
CLOSE = """
local key = 'm:' .. ARGV[1]
local writer, outcome = unpack(redis.call('HMGET', key, 'writer', 'outcome'))
redis.call('SREM', 'open:' .. ARGV[2], ARGV[1])
if writer ~= ARGV[2] or outcome or redis.call('EXISTS', 'w:' .. writer) == 1 then return 0 end
redis.call('HSET', key, 'outcome', ARGV[3])
redis.call('PUBLISH', 'news', 'w' .. ARGV[1])
return 1
"""

_pack = msgspec.msgpack.encode
_records = msgspec.msgpack.Decoder(list[Record]).decode
_meta = msgspec.msgpack.Decoder(Meta).decode
_outcome = msgspec.msgpack.Decoder(Outcome).decode


@contextlib.contextmanager
def redis_errors():
    """Redis's errors as ours."""
    try:
        yield
    except redis.ConnectionError as error:
        raise StoreUnavailable from error
    except redis.RedisError as error:
        raise StoreError from error


class RedisLog:
    """The log port, Ownership and Signals over one Redis. ``lease`` is in seconds, renewed every third of it."""

    def __init__(self, port: int, *, lease: float = 1.0) -> None:
        self.epoch = 1
        self._redis = redis.Redis(port=port)
        self._lease = int(lease * 1000)
        self._writer = uuid4().hex
        self._wakes: dict[str, list[Wake]] = {}
        self._last: dict[str, asyncio.Future[Appended]] = {}
        self._owned: set[str] = set()
        self._cancels: list[Callable[[str], None]] = []
        self._tasks: set[asyncio.Task[object]] = set()
        self._closed = False

    async def open(self) -> "RedisLog":
        with redis_errors():
            self._create = self._redis.register_script(CREATE)
            self._append = self._redis.register_script(APPEND)
            self._drop = self._redis.register_script(DROP)
            self._close = self._redis.register_script(CLOSE)
            await self._renew()
            await self._redis.sadd("writers", self._writer)
            self._news = self._redis.pubsub()
            await self._news.subscribe("news", f"to:{self._writer}")
        self._spawn(self._listen())
        self._spawn(self._keep_lease())
        return self

    def _spawn(self, work) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _renew(self) -> None:
        await self._redis.set(f"w:{self._writer}", 1, px=self._lease)

    async def _keep_lease(self) -> None:
        while True:
            await asyncio.sleep(self._lease / 3000)
            await self._renew()

    async def _listen(self) -> None:
        async for message in self._news.listen():
            if message["type"] != "message":
                continue
            kind, id = message["data"][:1], message["data"][1:].decode()
            if kind == b"w":
                self._ring(id)
            elif id in self._owned:
                for callback in self._cancels:
                    callback(id)

    def _ring(self, id: str) -> None:
        for wake in self._wakes.pop(id, ()):
            wake()

    # --- Log

    @staticmethod
    def _flat(names: Sequence[Name]) -> list[str]:
        return [part for n in names for part in (n.kind, n.name, n.fingerprint, "1" if n.kind in FIRST_COMES else "0")]

    async def create(self, id: str, meta: Meta, names: Sequence[Name] = ()) -> Bound:
        with redis_errors():
            args = [id, meta.owner, meta.created, _pack(meta), self._writer, *self._flat(names)]
            found, fingerprint = await self._create(args=args)
        if found.decode() == id:
            self._owned.add(id)
        return Bound(found.decode(), fingerprint.decode())

    def append(self, id, expected_tail, records, outcome=None, *, format="", names=(), freed=()):
        future: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()
        if self._closed:
            future.set_exception(StoreError("The store is closed."))
            return future
        before, self._last[id] = self._last.get(id), future
        data = _pack(list(records))
        args = [
            *(id, self._writer, expected_tail, len(records), sum(len(r.event) + len(r.data) for r in records)),
            *(zlib.crc32(data), data, b"" if outcome is None else _pack(outcome), format, len(freed)),
            *(part for n in freed for part in (n.kind, n.name)),
            *self._flat(names),
        ]
        self._spawn(self._carry_out(id, before, future, args))
        return future

    async def _carry_out(self, id, before, future, args) -> None:
        if before is not None and not before.done():
            await asyncio.wait([before])
        try:
            with redis_errors():
                verdict, *rest = await self._append(args=args)
            errors = {b"none": NotFound, b"gone": StreamGone, b"stale": StoreError}
            if verdict in errors:
                raise errors[verdict]
        except (StoreError, NotFound, StreamGone) as error:
            if not future.done():
                future.set_exception(error)
            return
        tail, outcome = int(rest[0]), _outcome(rest[1]) if rest[1] else None
        if outcome is not None:
            self._owned.discard(id)
        if not future.done():
            future.set_result(Appended(verdict == b"yes", tail, outcome))
        if self._last.get(id) is future:
            del self._last[id]

    async def read(self, id: str, after: int, *, max_bytes: int = 65536, wake: Wake | None = None) -> Batch:
        if self._closed:
            raise StoreError("The store is closed.")
        # Registered before the look: what comes between the two rings it; taken back where there is more to read.
        if wake is not None:
            self._wakes.setdefault(id, []).append(wake)
        waits = False
        try:
            head, entries = await self._look(id, after, max_bytes)
            records: list[Record] = []
            size = 0
            for _, fields in entries:
                if zlib.crc32(fields[b"data"]) != int(fields[b"crc"]):
                    raise StoreCorrupt
                for record in _records(fields[b"data"])[max(0, after + 1 - int(fields[b"first"])) :]:
                    size += len(record.data)
                    if records and size > max_bytes:
                        break
                    records.append(record)
            reached = after + len(records)
            batch = Batch(after + 1, records, head.tail, head.outcome if reached == head.tail else None)
            waits = batch.waits
            return batch
        finally:
            if not waits and wake is not None:
                self.forget(id, wake)

    async def _look(self, id: str, after: int, max_bytes: int) -> tuple[Head, list]:
        entries: list = []
        with redis_errors():
            while True:
                low = after if not entries else int(entries[-1][0].partition(b"-")[0])
                part = await self._redis.xrange(f"l:{id}", min=f"{low + 1}-0", count=64)
                entries.extend(part)
                if len(part) < 64 or sum(len(fields[b"data"]) for _, fields in entries) > max_bytes + 1024:
                    break
            head = await self.head(id)
        if head is None:
            raise NotFound
        if head.gone:
            raise StreamGone
        if after > head.tail:
            raise OffsetAhead
        # The head was read after the entries, so it may be ahead of them: what it tells is cut to what was seen.
        if not entries and after < head.tail:
            return await self._look(id, after, max_bytes)
        return head, entries

    def forget(self, id: str, wake: Wake) -> None:
        wakes = self._wakes.get(id, [])
        if wake in wakes:
            wakes.remove(wake)

    async def head(self, id: str) -> Head | None:
        with redis_errors():
            found = await self._redis.hgetall(f"m:{id}")
        if not found:
            return None
        return Head(
            id,
            _meta(found[b"meta"]),
            found.get(b"format", b"").decode(),
            int(found[b"tail"]),
            _outcome(found[b"outcome"]) if b"outcome" in found else None,
            int(found[b"size"]),
            found.get(b"gone", b"").decode(),
        )

    async def resolve(self, owner: str, name: str, kinds: Sequence[str]) -> Bound | None:
        with redis_errors():
            for kind in kinds:
                found = await self._redis.hmget(f"n:{owner}:{kind}:{name}", "id", "print")
                if found[0] is not None:
                    return Bound(found[0].decode(), found[1].decode())
        return None

    async def list(self, owner: str, *, before: str = "", limit: int = 100) -> Sequence[Head]:
        with redis_errors():
            ids = [id.decode() for id in await self._redis.zrange(f"o:{owner}", 0, -1, desc=True)]
        start = ids.index(before) + 1 if before in ids else 0
        heads = [await self.head(id) for id in ids[start:]]
        return [head for head in heads if head is not None and not head.gone][:limit]

    async def drop(self, id: str, reason: str = "deleted") -> bool:
        head = await self.head(id)
        if head is None:
            return False
        meta = _pack(Meta(owner=head.meta.owner, dialect="", created=head.meta.created))
        with redis_errors():
            dropped = await self._drop(args=[id, meta, reason])
        self._owned.discard(id)
        return bool(dropped)

    async def close(self) -> None:
        if self._closed:
            return
        pending = [future for future in self._last.values() if not future.done()]
        if pending:
            await asyncio.wait(pending)
        self._closed = True
        await self.die()
        for id in [*self._wakes]:
            self._ring(id)
        await self._redis.delete(f"w:{self._writer}")
        await self._redis.aclose()

    async def die(self) -> None:
        """As a killed process: nothing more is said, and the lease is left to lapse."""
        for task in [*self._tasks]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._news.aclose()

    # --- Health, Ownership, Signals

    async def check(self) -> None:
        with redis_errors():
            await self._redis.set("probe", self._writer)

    async def reap(self, close: Callable[[Head], Outcome]) -> Sequence[str]:
        closed = []
        with redis_errors():
            for writer in [w.decode() for w in await self._redis.smembers("writers")]:
                if await self._redis.exists(f"w:{writer}"):
                    continue
                for id in [i.decode() for i in await self._redis.smembers(f"open:{writer}")]:
                    head = await self.head(id)
                    if head is not None and await self._close(args=[id, writer, _pack(close(head))]):
                        closed.append(id)
        return closed

    def owns(self, id: str) -> bool:
        return id in self._owned

    def on_cancel(self, callback: Callable[[str], None]) -> None:
        self._cancels.append(callback)

    async def send_cancel(self, id: str) -> None:
        with redis_errors():
            writer = await self._redis.hget(f"m:{id}", "writer")
            if writer is not None:
                await self._redis.publish(f"to:{writer.decode()}", f"c{id}")

    async def set_presence(self, id: str, present: bool) -> None:
        with redis_errors():
            await (self._redis.sadd if present else self._redis.srem)(f"p:{id}", self._writer)

    async def present(self, id: str) -> bool:
        with redis_errors():
            writers = [writer.decode() for writer in await self._redis.smembers(f"p:{id}")]
            return bool(writers) and bool(await self._redis.exists(*(f"w:{writer}" for writer in writers)))
