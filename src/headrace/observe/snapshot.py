"""The values of one process at one moment, as a value that can be added to another's and read by other processes."""

from collections.abc import Iterable, Mapping

import msgspec

from headrace.core.meters import Counter, Labels, Meters
from headrace.observe.catalog import COUNTED, GAUGES

#: What a counter has come to; or the counts of a histogram's buckets and, at the end, the sum of its values.
Values = tuple[float, ...]

_LEAST = frozenset(gauge.name for gauge in GAUGES if gauge.least)


class Snapshot(msgspec.Struct):
    """By name, then by labels. What was ``counted`` stays when a process is gone; its ``gauges`` go with it."""

    counted: dict[str, list[tuple[Labels, Values]]] = {}
    gauges: dict[str, float] = {}


def taken(meters: Meters, gauges: Mapping[str, float]) -> Snapshot:
    """The values of now."""
    counted: dict[str, list[tuple[Labels, Values]]] = {}
    for metric in COUNTED:
        family = metric.value(meters)
        if isinstance(family, Counter):
            counted[metric.name] = [(labels, (value,)) for labels, value in family.by_labels.items()]
        else:
            counted[metric.name] = [(labels, (*one.counts, one.sum)) for labels, one in family.by_labels.items()]
    return Snapshot(counted, dict(gauges))


def summed(snapshots: Iterable[Snapshot]) -> Snapshot:
    """Several processes as if they were one."""
    counted: dict[str, dict[Labels, Values]] = {}
    gauges: dict[str, float] = {}
    for snapshot in snapshots:
        for name, series in snapshot.counted.items():
            sums = counted.setdefault(name, {})
            for labels, values in series:
                before = sums.get(labels)
                # A version with other buckets, which a worker of an older one has left behind, cannot be added.
                same = before is not None and len(before) == len(values)
                sums[labels] = tuple(map(sum, zip(before, values, strict=True))) if before and same else values
        for name, value in snapshot.gauges.items():
            here = gauges.get(name)
            gauges[name] = value if here is None else min(here, value) if name in _LEAST else here + value
    return Snapshot({name: list(sums.items()) for name, sums in counted.items()}, gauges)
