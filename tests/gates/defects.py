"""Defects as somebody might make them, each to be planted in a process and caught by a gate.

A defect replaces what a class, an object or a module has under a name. It is made of what was there, so that it does as
much as the right thing, but for what is wrong with it.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import apsw

from headrace.core.generation import Generation
from headrace.core.reader import Reader
from headrace.core.registry import Registry
from headrace.core.rendering import Renderer, Rendering
from headrace.core.stream import NOTHING_SEEN, Cursor
from headrace.errors import NotFound, RequestError, StoreError, StreamGone, UpstreamTruncated
from headrace.faces import chat_completions
from headrace.faces.delivery import Delivery
from headrace.gates.simulated_store import ProcessLog
from headrace.model.outcome import State
from headrace.serving.connection import Connection
from headrace.stores.memory.log import MemoryLog
from headrace.stores.sqlite import commit as sqlite_commit
from headrace.stores.sqlite import file as sqlite_file
from headrace.stores.sqlite.shared import Shared
from headrace.stores.sqlite.upkeep import Upkeep
from headrace.stores.sqlite.writer import Writer
from headrace.upstreams.answers import StreamedAnswer
from headrace.wire import scrub, sse
from headrace.wire.intake import Intake


class Change(NamedTuple):
    """What is replaced: by what ``make`` makes of it."""

    owner: Any
    name: str
    make: Callable[[Any], Any]


class Defect(NamedTuple):
    """``gate``, run at ``size``, falls short in ``figure``. ``server``: it is planted in a server process.

    ``least`` is what the figure has at least, for one that falls short a little without the defect too.
    """

    gate: str
    size: float
    figure: str
    changes: Sequence[Change]
    server: bool = False
    least: float = 0.0


@contextmanager
def planted(defect: Defect) -> Iterator[None]:
    """While this lasts, the process has the defect."""
    before = [(owner, name, vars(owner)[name]) for owner, name, _ in defect.changes]
    try:
        for owner, name, make in defect.changes:
            setattr(owner, name, make(getattr(owner, name)))
        yield
    finally:
        for owner, name, was in before:
            setattr(owner, name, was)


# -- where readers go on ---------------------------------------------------------------------------------------------


def _one_more(parse: Any) -> Any:
    """A cursor that says less than was seen."""

    def earlier(_: type[Cursor], text: str) -> Cursor:
        cursor = parse(text)
        return cursor._replace(step=max(0, cursor.step - 1))

    return classmethod(earlier)


def _from_the_start(_: Any) -> Any:
    return classmethod(lambda cls, text: NOTHING_SEEN)


def _unchecked(parse: Any) -> Any:
    """What is refused elsewhere is taken for a number."""

    def unchecked(cls: type[Cursor], text: str) -> Cursor:
        try:
            return parse(text)
        except RequestError:
            return cls(int(text))

    return classmethod(unchecked)


def _refusing(_: Any) -> Any:
    """Whoever comes back with a place is told that there is none."""

    def refused(_: type[Cursor], text: str) -> Cursor:
        del text
        raise RequestError

    return classmethod(refused)


def _one_less(frames: Any) -> Any:
    """The first step after a cursor is taken for seen."""

    def fewer(self: Renderer, made: Any) -> bytes:
        if self.next == self._seen.step + 1 and self._seen != NOTHING_SEEN:
            self.next += 1
            return b""
        return frames(self, made)

    return fewer


def _whole_steps(frames: Any) -> Any:
    """The frames of a step that was seen in part come all of them again."""

    def again(self: Renderer, made: Any) -> bytes:
        if self._seen.part:
            self._seen = Cursor(self._seen.step)
        return frames(self, made)

    return again


def _anybody(_: Any) -> Any:
    async def find(self: Registry, owner: str, reference: str, kinds: Any = ()) -> Any:
        head = await self.log.head(reference)
        if head is None and (bound := await self.log.resolve(owner, reference, kinds)):
            head = await self.log.head(bound.id)
        if head is None:
            raise NotFound
        if head.gone:
            raise StreamGone
        return head

    return find


def _skipping(take: Any) -> Any:
    """Of several steps that a reader is behind, the first is left out."""

    def skipped(self: Rendering, step: int) -> tuple[bytes, int]:
        data, after = take(self, step)
        return (data if after - step == 1 else data.removeprefix(self._ring[step - self.base])), after

    return skipped


# -- what is told, and when ------------------------------------------------------------------------------------------


def _before_commit(immediate: Any) -> Any:
    """Many transactions are committed as one, and readers are told of each at once."""
    begun: list[int] = []

    @contextmanager
    def later(connection: apsw.Connection) -> Iterator[None]:
        if not connection.in_transaction:
            connection.execute("BEGIN IMMEDIATE")
        yield
        begun.append(1)
        if len(begun) % 100 == 0:
            connection.execute("COMMIT")

    return later


def _uncommitted(append: Any) -> Any:
    """The store says that it is done before it is."""

    def said(self: ProcessLog, id: str, tail: int, records: Any, outcome: Any = None, **more: Any) -> Any:
        future = append(self, id, tail, records, outcome, **more)
        if future.done() or self.dead:
            return future
        early = asyncio.get_running_loop().create_future()
        early.set_result(sqlite_commit.Appended(True, tail + len(records), outcome))
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        return early

    return said


def _swallowing(committed: Any) -> Any:
    """An append that failed is taken for done."""

    async def swallowed(self: Generation) -> None:
        try:
            await committed(self)
        except StoreError:
            self.tail = self._kept  # and the next one follows what the log has

    return swallowed


def _completing(failed: Any) -> Any:
    """An answer that was cut is taken for whole."""

    def completed(self: Generation, error: Any) -> Any:
        return self._outcome(State.COMPLETED, "stop") if isinstance(error, UpstreamTruncated) else failed(self, error)

    return completed


def _shrugging(failed: Any) -> Any:
    """An answer that the store has failed is called cancelled."""

    def cancelled(self: Generation, error: Any) -> Any:
        if isinstance(error, StoreError):
            return self._outcome(State.CANCELLED, "cancelled")
        return failed(self, error)

    return cancelled


def _contented(stopped: Any) -> Any:
    """An answer that its server has stopped is taken for whole."""
    del stopped

    def whole(self: Generation) -> Any:
        self._accepted = True
        return self._outcome(State.COMPLETED, "stop")

    return whole


def _finishing(_: Any) -> Any:
    """The end of the body is taken for the end of the answer."""

    def finish(self: Intake) -> None:
        self.ended = True

    return finish


def _closed_well(_: Any) -> Any:
    """Whatever a dead process has left is called complete."""

    def interrupted(self: Registry, _: Any) -> Any:
        return _outcome_of(self)

    return interrupted


def _outcome_of(registry: Registry) -> Any:
    from_dead = REAL_INTERRUPTED(registry, None)
    return type(from_dead)(state=State.COMPLETED, reason="stop", ended_at=from_dead.ended_at)


REAL_INTERRUPTED = Registry._interrupted


def _clean(_: Any) -> Any:
    """Every reply ends cleanly, that of an answer which did not as well."""

    def ended(self: Delivery) -> None:
        wire = self._wire
        self._close()
        if wire is not None:
            wire.end()

    return ended


def _ended_twice(append: Any) -> Any:
    """A log that has ended takes another end."""

    def again(self: MemoryLog, id: str, tail: int, records: Any, outcome: Any = None, **more: Any) -> Any:
        stream = self._streams.get(id)
        if outcome is not None and stream is not None and stream.outcome is not None:
            stream.outcome, tail = None, len(stream.records)
        return append(self, id, tail, records, outcome, **more)

    return again


# -- what goes on, and what stays ------------------------------------------------------------------------------------


def _deaf(_: Any) -> Any:
    """A stop is noted, and waited for."""

    def interrupt(self: Generation, cause: Any) -> bool:
        if self._stop is not None or self.ended.done():
            return False
        self._stop = cause
        return True

    return interrupt


def _nothing(_: Any) -> Any:
    return lambda self, *given: None


def _leaking(close: Any) -> Any:
    """A task for each reader that has gone."""

    def leaked(self: Reader) -> None:
        close(self)
        task: Any = asyncio.get_running_loop().create_task(asyncio.Event().wait())
        task._log_destroy_pending = False  # it is meant to be left
        _LEAKED.append(task)

    return leaked


_LEAKED: list[Any] = []


def _hoarding(close: Any) -> Any:
    """Something of each reader is kept, though nobody will ask for it."""

    def hoards(self: Reader) -> None:
        close(self)
        _LEAKED.append(b"x" * (1 << 19))

    return hoards


def _buffering(pause: Any) -> Any:
    """A connection takes all that is to be sent, however slowly its client takes that."""

    def unheeded(self: Connection) -> None:
        pause(self)
        self.full = False

    return unheeded


def _impatient(init: Any) -> Any:
    """Whoever takes nothing for a moment is let go."""

    def short(self: Delivery, *given: Any, **more: Any) -> None:
        init(self, *given, **{**more, "send_timeout": 0.1})

    return short


def _kept_open(close: Any) -> Any:
    """An upstream's connection is closed some seconds later, as one that may be used again."""

    def closed(self: StreamedAnswer) -> None:
        asyncio.get_running_loop().call_later(1.5, close, self)

    return closed


def _unfound(_: Any) -> Any:
    """Whoever comes back with a place is taken for somebody new."""

    async def nobody(*given: Any) -> None:
        del given

    return nobody


def _nameless(start: Any) -> Any:
    """The name under which a request may be repeated is not looked at."""

    async def fresh(self: Registry, meta: Any, attempts: Any, policy: Any, names: Any = (), *rest: Any) -> Any:
        del names
        return await start(self, meta, attempts, policy, (), *rest)

    return fresh


# -- files and bytes -------------------------------------------------------------------------------------------------


def _unsynced(init: Any) -> Any:
    """A commit that does not wait for the disk, whatever was promised."""
    return lambda self, path, durability, **more: init(self, path, "process", **more)


def _same_epoch(epoch: Any) -> Any:
    return lambda self, boot, lost: epoch(self, boot, False)


def _trusting(unpack: Any) -> Any:
    """A blob's checksum is not looked at."""

    def trusted(stream: int, first: int, last: int, crc: int, data: bytes) -> Any:
        del crc
        return unpack(stream, first, last, sqlite_file.seal(stream, first, data), data)

    return trusted


def _sealing(tidy: Any) -> Any:
    """Housekeeping takes what it finds for right, and puts new checksums on it."""

    async def sealed(self: Upkeep) -> None:
        for number, stream, first, data in self._db.execute(
            "SELECT number, stream, first, data FROM chunks"
        ).fetchall():
            crc = sqlite_file.seal(stream, first, data)
            self._db.execute("UPDATE chunks SET crc = ? WHERE number = ?", (crc, number))
        await tidy(self)

    return sealed


def _forgetful(feed: Any) -> Any:
    """What is left of a piece is forgotten when the next one comes."""

    def forgets(self: sse.Decoder, data: bytes) -> Any:
        del self
        return feed(sse.Decoder(), data)

    return forgets


def _talkative(start: Any) -> Any:
    """What is asked is in the log."""

    def said(self: Generation) -> None:
        logging.getLogger("headrace.generation").info("asking %s", [attempt.call for attempt in self._attempts])
        start(self)

    return said


DEFECTS: dict[str, Defect] = {
    "a resumption leaves a record out": Defect(
        "resume", 0.0005, "resumptions that were not what was missing", [Change(Renderer, "_frames", _one_less)]
    ),
    "a resumption repeats a record": Defect(
        "resume", 0.0005, "resumptions that were not what was missing", [Change(Cursor, "parse", _one_more)]
    ),
    "a step that was seen in part comes again": Defect(
        "resume", 0.0005, "resumptions that were not what was missing", [Change(Renderer, "_frames", _whole_steps)]
    ),
    "a cursor that is none is a failure": Defect(
        "resume", 0.0005, "failures of ours (5xx)", [Change(Cursor, "parse", _unchecked)]
    ),
    "anybody may read any stream": Defect(
        "resume", 0.002, "replies with somebody else's words", [Change(Registry, "find", _anybody)]
    ),
    "the store says that it is done before it is": Defect(
        "simulation", 0.01, "streams without an end", [Change(ProcessLog, "append", _uncommitted)]
    ),
    "an append that failed is taken for done": Defect(
        "simulation", 0.01, "logs that are not what the upstream said", [Change(Generation, "_committed", _swallowing)]
    ),
    "a cut answer is called complete": Defect(
        "simulation", 0.01, "completed without the upstream's end", [Change(Generation, "_failed", _completing)]
    ),
    "what a dead process has left is called complete": Defect(
        "simulation", 0.01, "completed without the upstream's end", [Change(Registry, "_interrupted", _closed_well)]
    ),
    "a stream may end twice": Defect(
        "simulation", 0.01, "streams that ended more than once", [Change(MemoryLog, "append", _ended_twice)]
    ),
    "a cancel does not close the upstream": Defect(
        "simulation", 0.005, "clients left waiting", [Change(Generation, "_interrupt", _deaf)]
    ),
    "a wake-up is lost": Defect("simulation", 0.01, "clients left waiting", [Change(Rendering, "_wake", _nothing)]),
    "no deadline ends an answer": Defect(
        "simulation", 0.005, "streams without an end", [Change(Generation, "tick", _nothing)]
    ),
    "each reader leaves a task behind": Defect("simulation", 0.01, "tasks left", [Change(Reader, "close", _leaking)]),
    "a retry is a second call": Defect(
        "simulation", 0.01, "second upstream calls", [Change(Registry, "start", _nameless)]
    ),
    "a reader that is behind misses a record": Defect(
        "simulation", 0.02, "clients who read something else than the log has", [Change(Rendering, "take", _skipping)]
    ),
    "the end of a body is the end of the answer": Defect(
        "malformed", 0.001, "answers without their end called complete", [Change(Intake, "finish", _finishing)]
    ),
    "the rest of a piece is forgotten": Defect(
        "malformed", 0.0005, "answers that depend on how they are cut", [Change(sse.Decoder, "feed", _forgetful)]
    ),
    "a commit does not wait for the disk": Defect(
        "power", 0.01, "lost under power", [Change(Writer, "__init__", _unsynced)]
    ),
    "a loss is not told": Defect(
        "power", 0.01, "cuts that lost something and did not say so", [Change(Shared, "epoch", _same_epoch)]
    ),
    "a checksum is not looked at": Defect(
        "corruption", 0.05, "streams and topics with a wrong byte", [Change(sqlite_file, "unpack", _trusting)]
    ),
    "housekeeping seals what is damaged": Defect(
        "corruption", 0.05, "streams and topics with a wrong byte", [Change(Upkeep, "tidy", _sealing)]
    ),
    "readers are told before the commit": Defect(
        "kill",
        0.003,
        "streams without their one end",
        [Change(sqlite_commit, "immediate", _before_commit)],
        server=True,
    ),
    "readers begin again": Defect(
        "storm", 0.05, "readers with a gap", [Change(Cursor, "parse", _from_the_start)], server=True
    ),
    "whoever comes back is refused": Defect(
        "exhaustion",
        0.05,
        "no descriptors: answers in the wrong state",
        [Change(Cursor, "parse", _refusing)],
        server=True,
    ),
    "a broken disk is told as a cancel": Defect(
        "exhaustion",
        0.05,
        "broken disk: answers in the wrong state",
        [Change(Generation, "_failed", _shrugging)],
        server=True,
    ),
    "a rejoin asks the upstream again": Defect(
        "kill",
        0.003,
        "second upstream calls",
        [Change(chat_completions, "continued", _unfound), Change(Registry, "start", _nameless)],
        server=True,
    ),
    "a slow reader has all of it in memory": Defect(
        "slow",
        0.01,
        "memory for each that takes nothing",
        [Change(Connection, "pause_writing", _buffering)],
        server=True,
        least=1_000_000,
    ),
    "a slow reader is let go at once": Defect(
        "slow",
        0.01,
        "readers that take nothing and were hung up on",
        [Change(Delivery, "__init__", _impatient)],
        server=True,
    ),
    "an answer that a restart has cut is complete": Defect(
        "rolling",
        0.05,
        "unfinished answers that looked finished",
        [Change(Generation, "_stopped", _contented)],
        server=True,
    ),
    "every reply ends cleanly": Defect(
        "drain", 0.02, "unfinished answers that looked finished", [Change(Delivery, "_cut", _clean)], server=True
    ),
    "a server's readers leave tasks behind": Defect(
        "leave", 0.01, "tasks more than before", [Change(Reader, "close", _leaking)], server=True
    ),
    "an upstream is closed late": Defect(
        "leave", 0.01, "p99 from a leave", [Change(StreamedAnswer, "close", _kept_open)], server=True
    ),
    "what was read stays in memory": Defect(
        "soak", 0.005, "growth of the memory", [Change(Reader, "close", _hoarding)], server=True
    ),
    "prompts are logged": Defect(
        "secrets", 0.02, "canaries in the log", [Change(Generation, "start", _talkative)], server=True
    ),
    "what an upstream says is not looked at": Defect(
        "secrets", 0.02, "canaries in the", [Change(scrub, "_PATTERNS", lambda _: ())], server=True
    ),
}
