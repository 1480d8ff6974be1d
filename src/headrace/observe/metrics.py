"""The metrics of this server, as Prometheus reads them: of all its workers, whichever is asked.

The values are counted by :mod:`headrace.core.meters`; ``prometheus_client`` only writes them down. Its own counters
take a lock for each value, and its way to several processes an mmap-ed file for each.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from headrace.core.clock import Clock
from headrace.core.deadlines import pause
from headrace.core.meters import Counter, Labels, Meters
from headrace.core.registry import Registry
from headrace.observe.catalog import COUNTED, GAUGES, Metric
from headrace.observe.process import LoopLag, cpu_seconds, gauges
from headrace.observe.siblings import Siblings
from headrace.observe.snapshot import Snapshot, Values, summed, taken

#: Seconds between two times that a worker tells the others.
SHARING = 1.0
#: Characters of an Accept header that are looked at.
LONGEST = 1000


class Metrics:
    """Opened as an async context. ``folder`` is where workers meet; None where there is only one."""

    def __init__(self, registry: Registry, clock: Clock, folder: Path | None = None) -> None:
        self._registry = registry
        self._meters = registry.meters
        self._clock = clock
        self._lag = LoopLag(clock, self._meters.loop_lag.of())
        self._siblings = Siblings(folder) if folder else None
        self._sharing: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begin to look at the event loop and to tell the others. Raises OSError."""
        self._lag.start()
        if self._siblings is not None:
            await asyncio.to_thread(self._siblings.open)
            self._sharing = asyncio.create_task(self._share(self._siblings))

    async def close(self) -> None:
        """No more."""
        self._lag.close()
        if self._sharing is not None:
            self._sharing.cancel()
            await asyncio.wait([self._sharing])
        if self._siblings is not None:
            await asyncio.to_thread(self._siblings.share, Snapshot(self._now().counted))
            self._siblings.close()

    async def __call__(self, accept: str) -> tuple[bytes, str]:
        """The body of a reply in one of the formats that are accepted, and its media type."""
        now = self._now()
        return await asyncio.to_thread(self._exposed, now, accept)

    async def snapshot(self) -> Snapshot:
        """The values of now, of all workers."""
        return await asyncio.to_thread(self._whole, self._now())

    async def _share(self, siblings: Siblings) -> None:
        while True:
            await asyncio.to_thread(siblings.share, self._now())
            await pause(self._clock, SHARING)

    def _now(self) -> Snapshot:
        statistics = self._registry.statistics()
        cpu = self._meters.cpu
        cpu.by_labels[()] = cpu_seconds()
        return taken(
            self._meters,
            {
                "headrace_workers": 1,
                "headrace_open_streams": statistics.open_streams,
                "headrace_readers": statistics.readers,
                "headrace_renderings": statistics.renderings,
                "headrace_held_bytes": statistics.held,
                "headrace_tasks": len(asyncio.all_tasks()),
                **gauges(),
            },
        )

    def _whole(self, now: Snapshot) -> Snapshot:
        if self._siblings is None:
            return now
        return summed((self._siblings.share(now), *self._siblings.others()))

    def _exposed(self, now: Snapshot, accept: str) -> tuple[bytes, str]:
        now = self._whole(now)
        encode, media_type = _encoder(accept)
        registry = CollectorRegistry()
        registry.register(_Once(self._meters, now))
        return encode(registry), media_type


class _Once(Collector):
    """One snapshot, in the words of ``prometheus_client``."""

    def __init__(self, meters: Meters, snapshot: Snapshot) -> None:
        self._meters = meters
        self._snapshot = snapshot

    def describe(self) -> Iterator[Family]:
        """Nothing: whoever registers it need not look."""
        return iter(())

    def collect(self) -> Iterator[Family]:
        """Every family, those without a value too."""
        for metric in COUNTED:
            yield _family(metric, self._meters, self._snapshot.counted.get(metric.name, ()))
        for gauge in GAUGES:
            if gauge.name in self._snapshot.gauges:
                yield GaugeMetricFamily(gauge.name, gauge.meaning, self._snapshot.gauges[gauge.name])


def _family(metric: Metric, meters: Meters, series: Iterable[tuple[Labels, Values]]) -> Family:
    shape = metric.value(meters)
    if isinstance(shape, Counter):
        counter = CounterMetricFamily(metric.name, metric.meaning, labels=shape.labels)
        for labels, values in series:
            counter.add_metric(labels, values[0])
        return counter
    histogram = HistogramMetricFamily(metric.name, metric.meaning, labels=shape.labels)
    bounds = [*map(floatToGoString, shape.bounds), "+Inf"]
    for labels, values in series:
        histogram.add_metric(labels, list(zip(bounds, accumulate(values[:-1]), strict=True)), values[-1])
    return histogram


def _encoder(accept: str) -> tuple[Callable[[CollectorRegistry], bytes], str]:
    try:
        return choose_encoder(accept[:LONGEST])
    except (ValueError, TypeError):  # a version that is none
        return choose_encoder("")
