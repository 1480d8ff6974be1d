"""The overview: what the server is doing now, as the dashboard shows it. Never what is said.

What is the same for everybody is computed once a second at most, however many look; the streams for each who looks.
Numbers are of all workers; who reads a stream, and from which upstream an open one comes, is known of this one alone.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from headrace import __version__
from headrace.core.log import Head, Overview
from headrace.core.meters import Histograms, Labels, Meters
from headrace.core.registry import Registry
from headrace.errors import StoreError
from headrace.model.outcome import State
from headrace.observe.health import StoreHealth
from headrace.observe.quantiles import Latest
from headrace.observe.snapshot import Snapshot, Values

#: Streams that are shown, and reasons of ends.
STREAMS = 200
REASONS = 20

#: Seconds for which what is the same for all is not computed again: a little less than between two looks.
FRESH = 0.9

_PAIR = (0.5, 0.99)


class Board:
    """One for each process. ``snapshot`` gives the values of all workers."""

    def __init__(self, registry: Registry, snapshot: Callable[[], Awaitable[Snapshot]], health: StoreHealth) -> None:
        self._registry = registry
        self._snapshot = snapshot
        self._health = health
        self._times = _Times(registry.meters)
        self._computing = asyncio.Lock()
        self._computed_at = float("-inf")
        self._common: dict[str, Any] = {}

    def looking(self, owner: str, *, everybody: bool) -> Callable[[], Awaitable[dict[str, Any]]]:
        """What gives the overview of an owner's streams, or of everybody's, each time it is called."""
        streams = _Streams(self._registry, owner, everybody=everybody)

        async def look() -> dict[str, Any]:
            return {**await self._shared(), "streams": await streams.rows()}

        return look

    async def _shared(self) -> dict[str, Any]:
        async with self._computing:
            now = self._registry.clock.monotonic()
            if now >= self._computed_at + FRESH:
                self._common = self._told(await self._snapshot(), await self._health())
                self._computed_at = now
            return self._common

    def _told(self, snapshot: Snapshot, stores: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        now, gauges = self._registry.clock.time(), snapshot.gauges
        began = gauges.get("process_start_time_seconds", now)
        return {
            "time": now,
            "version": __version__,
            "uptime": max(0.0, now - began),
            "workers": int(gauges.get("headrace_workers", 1)),
            "open": int(gauges.get("headrace_open_streams", 0)),
            "readers": int(gauges.get("headrace_readers", 0)),
            "memory": gauges.get("process_resident_memory_bytes"),
            "stores": stores,
            **self._times.after(snapshot),
            **_endings(snapshot.counted.get("headrace_streams_ended_total", ())),
        }


class _Times:
    """The times that are shown: of upstreams, and what is ours."""

    def __init__(self, meters: Meters) -> None:
        self._first = _latest(meters.upstream_first)
        self._added = _latest(meters.added)
        self._between = _latest(meters.upstream_between)
        self._ours = _latest(meters.between)
        self._lag = Latest(meters.loop_lag.bounds, (0.99,))

    def after(self, snapshot: Snapshot) -> dict[str, Any]:
        """How they are by now."""
        return {
            "first": {
                "upstream": _after(self._first, snapshot, "headrace_upstream_time_to_first_token_seconds"),
                "added": _after(self._added, snapshot, "headrace_added_time_to_first_token_seconds"),
            },
            "between": {
                "upstream": _after(self._between, snapshot, "headrace_upstream_time_between_tokens_seconds"),
                "ours": _after(self._ours, snapshot, "headrace_time_between_tokens_seconds"),
            },
            "loop_lag": _after(self._lag, snapshot, "headrace_event_loop_lag_seconds"),
        }


class _Streams:
    """The streams that one owner sees, the open ones first; and how fast they grow since the last look."""

    def __init__(self, registry: Registry, owner: str, *, everybody: bool) -> None:
        self._registry = registry
        self._owner = owner
        self._everybody = everybody
        self._shown: list[Head] = []
        self._before: dict[str, int] = {}
        self._looked_at = 0.0
        self._rows: list[dict[str, Any]] | None = None

    async def rows(self) -> list[dict[str, Any]]:
        """What is shown of each. Raises StoreError where there has been no look before that one could go by."""
        try:
            heads = await self._heads()
        except StoreError:
            if self._rows is None:
                raise
            # Who looks wants to see just then that a store fails. Nothing grows that cannot be written.
            return [{**row, "rate": 0.0} for row in self._rows]
        now = self._registry.clock.monotonic()
        seconds, self._looked_at = now - self._looked_at, now
        before, self._before = self._before, {head.id: head.tail for head in heads if head.outcome is None}
        readers = self._registry.readers()
        self._rows = [
            {
                **self._row(head),
                "rate": (head.tail - before[head.id]) / seconds if head.id in before and seconds > 0 else 0.0,
                "readers": readers[head.id],
            }
            for head in heads
        ]
        return self._rows

    async def _heads(self) -> list[Head]:
        log = self._registry.log
        found = {head.id: head for head in await log.list(self._owner, limit=STREAMS)}
        if isinstance(log, Overview):
            running = await log.open_streams(STREAMS)
            found |= {head.id: head for head in running if self._everybody or head.meta.owner == self._owner}
        found |= {head.id: head for head in await self._left(found)}
        self._shown = sorted(found.values(), key=_open_and_latest_first)[:STREAMS]
        return self._shown

    async def _left(self, listed: Mapping[str, Head]) -> list[Head]:
        """Others' streams that were shown and are listed no more, as only open ones are; each is looked up once."""
        left = [head for head in self._shown if head.meta.owner != self._owner and head.id not in listed]
        found = [await self._registry.log.head(head.id) if head.outcome is None else head for head in left]
        return [head for head in found if head is not None and not head.gone]

    def _row(self, head: Head) -> dict[str, Any]:
        meta, outcome = head.meta, head.outcome
        until = self._registry.clock.time() if outcome is None else outcome.ended_at
        row = {
            "id": head.id,
            "model": meta.model,
            "dialect": meta.dialect,
            "upstream": self._registry.upstream_of(head.id) if outcome is None else outcome.upstream,
            "state": str(State.OPEN if outcome is None else outcome.state),
            "created": meta.created,
            "age": max(0.0, until - meta.created),
            "records": head.tail,
            "bytes": head.size,
        }
        if outcome is not None:
            row["reason"] = outcome.reason
        return {**row, "owner": meta.owner} if self._everybody else row


def _open_and_latest_first(head: Head) -> tuple[bool, float]:
    return head.outcome is not None, -(head.meta.created if head.outcome is None else head.outcome.ended_at)


def _latest(histograms: Histograms) -> Latest:
    return Latest(histograms.bounds, _PAIR)


def _after(latest: Latest, snapshot: Snapshot, name: str) -> dict[str, float | None]:
    """All series of a histogram as one; each ends with the sum of its values, which is no count."""
    series = [values[:-1] for _, values in snapshot.counted.get(name, ())]
    return latest.after([sum(counts) for counts in zip(*series, strict=True)] or latest.nothing)


def _endings(series: Sequence[tuple[Labels, Values]]) -> dict[str, Any]:
    """How streams have ended since the server began; why, of those that did not as they should."""
    ended = {str(state): 0 for state in State if state is not State.OPEN}
    reasons: dict[str, int] = {}
    for (state, reason), (count,) in series:
        ended[state] = ended.get(state, 0) + int(count)
        if state in (State.FAILED, State.INTERRUPTED):
            reasons[reason] = reasons.get(reason, 0) + int(count)
    worst = sorted(reasons.items(), key=lambda each: -each[1])[:REASONS]
    return {"ended": ended, "errors": [{"reason": reason, "count": count} for reason, count in worst]}
