"""The log port: what every store does, and what some can do beyond it.

A log is a list of records that only grows at its end, until an append with an outcome closes it. Records are numbered
from 1 without gaps. What ``read`` delivers is committed (as the store's durability setting means the word).

The security duty is the caller's: a record's event name holds no CR, LF or NUL (see
:class:`~headrace.model.record.Record`).
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from headrace.model.outcome import Outcome
from headrace.model.record import Record
from headrace.model.request import Meta

#: Names of these kinds stay with the stream that bound them first; names of all others go to the latest.
FIRST_COMES = frozenset({"idempotency", "client"})

#: Called once, on the event loop, when there may be news. It must not raise and must not block.
Wake = Callable[[], None]


class Name(NamedTuple):
    """Another name of a stream, unique for its owner and ``kind``.

    Kinds are ``idempotency``, ``client``, ``chat`` and ``upstream-id``. ``fingerprint`` tells one request from another
    under the same idempotency key.
    """

    kind: str
    name: str
    fingerprint: str = ""


class Bound(NamedTuple):
    """The stream that holds a name. ``fingerprint`` is the one with which it was bound."""

    id: str
    fingerprint: str = ""


class Appended(NamedTuple):
    """What an append did. Where ``ok`` is false nothing was written; the rest says how the log stands."""

    ok: bool
    tail: int
    outcome: Outcome | None = None


class Batch(NamedTuple):
    """Committed records from ``first`` on, with the log's tail at that moment.

    ``outcome`` is there only where the batch reaches the end of a closed log: whoever holds it has seen everything.
    """

    first: int
    records: Sequence[Record]
    tail: int
    outcome: Outcome | None = None

    @property
    def waits(self) -> bool:
        """Nothing comes after this batch yet: a ``wake`` given to the read was kept."""
        return self.outcome is None and self.first + len(self.records) > self.tail


class Head(NamedTuple):
    """A stream without its records. ``gone`` is a reason (``deleted``, ``expired``) where only a tombstone is left."""

    id: str
    meta: Meta
    format: str
    tail: int
    outcome: Outcome | None = None
    size: int = 0
    gone: str = ""


class Log(Protocol):
    """A store of streams. One instance serves one process, on one event loop.

    Every method may raise :class:`~headrace.errors.StoreError`.
    """

    #: Raised by one whenever this store may have lost the end of a log (see DESIGN, Epoch).
    epoch: int

    async def create(self, id: str, meta: Meta, names: Sequence[Name] = ()) -> Bound:
        """Start the stream ``id``, or attach to the one that holds one of its first-come names; one atomic step.

        Returns the stream that now holds the names: ``id`` itself where it was started.
        """

    def append(
        self,
        id: str,
        expected_tail: int,
        records: Sequence[Record],
        outcome: Outcome | None = None,
        *,
        format: str = "",
        names: Sequence[Name] = (),
        freed: Sequence[Name] = (),
    ) -> "asyncio.Future[Appended]":
        """Add records where the log's tail is ``expected_tail``; all or nothing. An ``outcome`` closes the log.

        The work starts at once; the future is done when it is committed, or fails with a StoreError. Appends of one
        stream are carried out in the order of their calls. ``format`` comes with the first record and never changes.
        ``names`` are bound and ``freed`` unbound in the same commit (a taken first-come name stays where it is).
        Cancelling the future does not take the append back. A caller that goes on without waiting keeps at most one
        append under way per stream.
        """

    async def read(self, id: str, after: int, *, max_bytes: int = 65536, wake: Wake | None = None) -> Batch:
        """Records above ``after``: at least one if there are any, at most about ``max_bytes`` of payload.

        Where the batch reaches the tail of an open log (``batch.waits``), ``wake`` is kept and called once when there
        may be more: looking and registering are one step, so nothing is missed between them, and a reader that keeps up
        needs one read for each commit.

        Raises NotFound, StreamGone, and OffsetAhead where ``after`` is beyond the tail.
        """

    def forget(self, id: str, wake: Wake) -> None:
        """Drop a ``wake`` that has not been called."""

    async def head(self, id: str) -> Head | None:
        """The stream or its tombstone; None where neither is."""

    async def resolve(self, owner: str, name: str, kinds: Sequence[str]) -> Bound | None:
        """The stream that holds ``name`` for ``owner``, asking the ``kinds`` in their order."""

    async def list(self, owner: str, *, before: str = "", limit: int = 100) -> Sequence[Head]:
        """An owner's streams, newest first, no tombstones. ``before`` is the id with which the last page ended."""

    async def drop(self, id: str, reason: str = "deleted") -> bool:
        """Remove records, names and meta but owner and reason; wake its readers. False where there was nothing."""

    async def close(self) -> None:
        """Commit what is under way and let go of everything."""


@runtime_checkable
class Newest(Protocol):
    """An ability: show what was committed just now without waiting."""

    def newest(self, id: str, after: int, *, max_bytes: int, wake: Wake) -> Batch | None:
        """What ``read`` would give, where it is in memory; None where ``read`` must be asked, and ``wake`` is not kept.

        Raises what ``read`` raises.
        """


@runtime_checkable
class Health(Protocol):
    """An ability: tell whether writes work now."""

    async def check(self) -> None:
        """Write and read a probe. Raises StoreError where that fails."""


@runtime_checkable
class Ownership(Protocol):
    """An ability: streams belong to the process that started them, and its death can be seen by others."""

    async def reap(self, close: Callable[[Head], Outcome]) -> Sequence[str]:
        """Close the open streams of every dead process with the outcome that ``close`` gives; return their ids.

        Death is seen by a lock that can be taken or a lease that has lapsed, never guessed of a living process. Each
        stream is closed exactly once whoever calls. Called at start and every second or so.
        """

    def owns(self, id: str) -> bool:
        """Whether this process is the one that writes the stream."""


@runtime_checkable
class Signals(Protocol):
    """An ability: reach the process that owns a stream, from any other that shares the store."""

    def on_cancel(self, callback: Callable[[str], None]) -> None:
        """Have ``callback(stream id)`` called on the event loop for each cancel sent to a stream of this process."""

    async def send_cancel(self, id: str) -> None:
        """Ask the owner of the stream to stop it; within 100 ms on one machine."""

    async def set_presence(self, id: str, present: bool) -> None:
        """Tell whether this process has participants on the stream; a dead process has none."""

    async def present(self, id: str) -> bool:
        """Whether any living process, this one included, has participants on the stream."""


class Kept(NamedTuple):
    """For how long, in seconds from its end, each stage of a stream is kept."""

    frames: float = 3600.0
    stored: float = 30 * 86400.0
    tombstone: float = 7 * 86400.0


@runtime_checkable
class Retention(Protocol):
    """An ability: let go of what is old, in stages, and never of a stream that is not yet recorded in SQL."""

    async def unrecorded(self, limit: int = 100) -> Sequence[Head]:
        """Closed streams that nobody has marked as recorded, oldest end first."""

    async def mark_recorded(self, ids: Sequence[str]) -> None:
        """Streams that retention may from now on let go of."""

    async def expire(self, now: float, kept: Kept) -> int:
        """Turn old streams into tombstones and drop old tombstones; returns how many. ``now`` is in Unix seconds."""


@runtime_checkable
class Overview(Protocol):
    """An ability: tell what is going on, whoever owns it."""

    async def open_streams(self, limit: int = 200) -> Sequence[Head]:
        """All owners' open streams, newest first: by the time of their creation, then by id."""


@runtime_checkable
class Vault(Protocol):
    """An ability: keep a secret for all who share the store, where that is more than one machine."""

    async def secret(self) -> bytes:
        """Random bytes, made at the first use; to sign what others must be able to check."""
