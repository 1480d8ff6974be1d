"""Workers add up: the living with their gauges, the dead with what they had counted."""

import os

import pytest

from headrace.core.meters import Meters
from headrace.observe.siblings import Siblings, folder_in
from headrace.observe.snapshot import Snapshot, summed, taken

GAUGE = "headrace_open_streams"
REPLAYS = "headrace_replays_total"


def snapshot(replays: int, open_streams: int) -> Snapshot:
    meters = Meters()
    meters.replays.add(by=replays)
    meters.loop_lag.of().observe(0.2)
    return taken(meters, {GAUGE: open_streams, "process_start_time_seconds": 100.0 + replays})


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "metrics-1"


def opened(folder) -> Siblings:
    made = Siblings(folder)
    made.open()
    return made


def seen(by: Siblings, own: Snapshot) -> tuple[float, float | None, int]:
    """Replays, open streams, and how often the loop was looked at."""
    whole = summed((by.share(own), *by.others()))
    lag = whole.counted["headrace_event_loop_lag_seconds"][0][1]
    return whole.counted[REPLAYS][0][1][0], whole.gauges.get(GAUGE), int(sum(lag[:-1]))


def test_whoever_is_asked_answers_for_all(folder):
    one, two = opened(folder), opened(folder)
    one.share(snapshot(3, 10))
    two.share(snapshot(4, 20))
    assert seen(one, snapshot(3, 10)) == seen(two, snapshot(4, 20)) == (7, 30, 2)


def test_the_dead_leave_their_counts_and_no_gauges(folder):
    """From its death on, though nobody has taken its place yet."""
    one, two = opened(folder), opened(folder)
    one.share(snapshot(3, 10))
    one.close()
    assert seen(two, snapshot(4, 20)) == (7, 20, 2)


def test_a_successor_goes_on_from_its_predecessor(folder):
    """Nothing is counted twice, and nothing falls: Prometheus would take that for a restart."""
    one, two = opened(folder), opened(folder)
    one.share(snapshot(3, 10))
    one.close()
    three = opened(folder)
    assert seen(three, snapshot(1, 5)) == (4, 5, 2)
    assert seen(two, snapshot(4, 20)) == (8, 25, 3)
    three.close()
    assert seen(opened(folder), snapshot(0, 0))[0] == 8


def test_the_oldest_start_counts():
    """Uptime is no sum."""
    both = summed((snapshot(3, 1), snapshot(1, 1)))
    assert both.gauges["process_start_time_seconds"] == 101.0


def test_what_cannot_be_read_is_left_out(folder):
    """Of another version, or torn by a machine that stopped."""
    one, two = opened(folder), opened(folder)
    one.share(snapshot(3, 10))
    for bad in (b"", b"\xc1\xff", b"\x81\xa1x\x01"):
        next(folder.glob("1.values")).write_bytes(bad)
        assert seen(two, snapshot(4, 20))[0] == 4


def test_other_buckets_are_not_added():
    """A worker of another version had others."""
    old = Snapshot({"x": [((), (1.0, 2.0))]})
    new = Snapshot({"x": [((), (1.0, 1.0, 5.0))]})
    assert summed((old, new)).counted == {"x": [((), (1.0, 1.0, 5.0))]}


def test_a_full_disk_does_not_stop_it(folder):
    """The others see older values, and this one its own."""
    one = opened(folder)
    for path in folder.glob("*"):
        path.unlink()
    folder.rmdir()
    assert seen(one, snapshot(3, 10)) == (3, 10, 1)


def test_what_is_left_of_a_dead_supervisor_is_removed(tmp_path):
    """And what belongs to a living one is not."""
    dead, living = opened(tmp_path / "metrics-1"), opened(tmp_path / "metrics-2")
    dead.close()
    for old in (1, 2):
        os.utime(tmp_path / f"metrics-{old}", (0, 0))
    (tmp_path / "metrics-3").mkdir()  # its workers are about to come
    mine = folder_in(tmp_path)
    opened(mine)
    assert {path.name for path in tmp_path.iterdir()} == {"metrics-2", "metrics-3", mine.name}
    living.close()
