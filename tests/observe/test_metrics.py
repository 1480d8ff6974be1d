"""The exposition: every metric has a line in the docs and no other, and the dashboard asks for what there is."""

import json
import re
from pathlib import Path

from headrace.core.deadlines import INTERVAL
from headrace.core.meters import Counter, Histogram, Histograms, Meters
from headrace.observe.catalog import COUNTED, GAUGES
from headrace.observe.process import LoopLag
from headrace.observe.upstreams import Known
from headrace.testing.clock import FakeClock
from headrace.upstreams.routes import Table

ROOT = Path(__file__).parent.parent.parent
NAMES = {metric.name for metric in (*COUNTED, *GAUGES)}


def test_every_metric_is_documented_and_no_other():
    """With its labels."""
    page = (ROOT / "docs/metrics.md").read_text()
    rows = dict(re.findall(r"^\| `((?:headrace|process)_\w+)` \| \w+ \| (.*?) \|", page, re.MULTILINE))
    meters = Meters()
    labels = {metric.name: metric.value(meters).labels for metric in COUNTED} | {gauge.name: () for gauge in GAUGES}
    assert {name: tuple(re.findall(r"`(\w+)`", row)) for name, row in rows.items()} == {
        name: tuple(found) for name, found in labels.items()
    }


def test_names_keep_the_conventions():
    """Base units, ``_total`` on counters and on nothing else."""
    meters = Meters()
    for metric in COUNTED:
        counter = isinstance(metric.value(meters), Counter)
        assert metric.name.endswith("_total" if counter else "_seconds"), metric.name
    assert not any(gauge.name.endswith("_total") for gauge in GAUGES)
    assert len(NAMES) == len(COUNTED) + len(GAUGES)


def test_everything_that_is_counted_is_shown():
    """A meter that nobody exports would be for show."""
    meters = Meters()
    shown = [id(metric.value(meters)) for metric in COUNTED]
    assert sorted(shown) == sorted(
        id(value) for value in vars(meters).values() if isinstance(value, Counter | Histograms)
    )


def test_the_dashboard_asks_for_what_there_is():
    """Each name in each query, with labels that it has."""
    board = json.loads((ROOT / "deploy/grafana.json").read_text())
    queries = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    assert len(queries) >= 12
    asked = {name for query in queries for name in re.findall(r"\b(?:headrace|process)_\w+", query)}
    known = NAMES | {f"{name}{part}" for name in NAMES for part in ("_bucket", "_count", "_sum")}
    assert asked <= known
    meters = Meters()
    labels = {label for metric in COUNTED for label in metric.value(meters).labels} | {"le", "instance", "job"}
    grouped = re.findall(r"by \(([^)]*)\)", " ".join(queries))
    assert {label for found in grouped for label in found.split(", ")} <= labels


async def test_a_late_loop_is_seen():
    """On time is nothing; half a second late is that."""
    clock, lag = FakeClock(), Histogram((0.1, 1.0))
    looking = LoopLag(clock, lag)
    looking.start()
    await clock.advance(INTERVAL)
    assert lag.counts == [1, 0, 0]
    clock._move(clock.monotonic() + INTERVAL + 0.5)
    await clock.advance(0.0)
    assert lag.counts == [1, 1, 0]
    looking.close()
    assert clock.pending() == 0


def test_models_are_known_by_the_routes():
    """Before there are any, none is."""
    known = Known()
    assert not known("demo")
    known.routes = Table([])
    assert not known("demo")
