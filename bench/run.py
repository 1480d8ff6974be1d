"""Measures Headrace beside nginx and its peers on one core; writes docs/benchmark.md and the README's section.

``make bench`` runs it. The mock upstream and the load (C, compiled on the spot) share one core, the relay has another
to itself. In each round every relay meets every scenario; figures are medians over the rounds, with their range.
"""

import argparse
import os
import sys
import tempfile
from functools import partial
from pathlib import Path

import peers
import report
from aims import MAIN
from instrument import Instrument
from plan import Task, plan
from processes import cores, raise_file_limit
from relays import RELAYS, Start, headrace, left_out
from rounds import Quiet, Rounds
from samples import Results
from scenarios import Steady

import library

ROOT = Path(__file__).parent.parent
EVERYBODY = [*RELAYS, *peers.NAMES]
KINDS = ["steady", "first", "saturation", "short", "idle", "readers", "replay", "pair"]
#: Streams of 50 chunks a second for each worker, where several are measured.
PER_WORKER = 60


def measure_workers(rounds: int, *, write: bool) -> None:
    """One worker and two at the same load for each, on all cores but that of the load; where there are two, on both."""
    everywhere = os.sched_getaffinity(0)
    on = everywhere - {cores()[1]} if len(everywhere) > 2 else everywhere
    loads = {count: Steady(PER_WORKER * count, 50, 10.0) for count in (1, 2)}
    results = Results({load.name: load.kind for load in loads.values()})
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
        instrument = Instrument.built(Path(folder))
        for _ in range(rounds):
            for count, load in loads.items():
                sample = load.measure(instrument, partial(headrace, workers=count, on=on))
                results.add(load.name, str(count), sample)
                print(f"{count} workers: {sample.line()}", file=sys.stderr)
    told = report.workers(results, PER_WORKER, len(everywhere))
    print(told)
    if write:
        report.replace(ROOT / "docs" / "operations.md", "workers", told)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round; prints, writes nothing")
    parser.add_argument(
        "--rounds", type=int, default=0, help="how often each is measured (5 or what fits; with --quick 1)"
    )
    parser.add_argument("--minutes", type=float, default=38, help="begin no round that ends later (%(default)s)")
    parser.add_argument("--relays", nargs="+", choices=EVERYBODY, default=EVERYBODY, help="measure these only")
    parser.add_argument("--no-peers", action="store_true", help="leave other gateways out")
    parser.add_argument(
        "--peers-folder", type=Path, default=peers.default_folder(), help="where they are installed (%(default)s)"
    )
    parser.add_argument(
        "--kinds",
        nargs="+",
        help="only these kinds of scenarios: steady, first, short, idle, readers, replay, saturation, pair",
    )
    parser.add_argument("--streams", nargs="+", type=int, help="only the scenarios with these numbers of streams")
    parser.add_argument("--pairs", action="store_true", help="only the pairs of dialects, beside the plain one")
    parser.add_argument("--library", action="store_true", help="headrace.fastapi beside its peers, and nothing else")
    parser.add_argument("--workers", action="store_true", help="two workers beside one, and nothing else")
    parser.add_argument("--no-write", action="store_true", help="print, write nothing")
    return parser.parse_args()


def chosen(options: argparse.Namespace) -> list[Task]:
    """What of the plan is asked for."""
    tasks = plan(quick=options.quick)
    if options.pairs:
        return [task for task in tasks if task.scenario.kind == "pair" or task.scenario.name == MAIN]
    if options.kinds:
        tasks = [task for task in tasks if task.scenario.kind in options.kinds]
    if options.streams:
        tasks = [t for t in tasks if t.scenario.kind != "pair" and t.scenario.streams in options.streams]
    return tasks


def who_is_left_out(tasks: list[Task], options: argparse.Namespace) -> dict[str, str]:
    """Those of the asked that cannot be measured here, and why; peers are installed first."""
    asked = [relay for relay in options.relays if any(relay in task.relays for task in tasks)]
    wanted = [relay for relay in asked if relay in peers.NAMES]
    absent = dict.fromkeys(wanted, "peers were not asked for") if options.no_peers else {}
    absent |= left_out() | peers.install(options.peers_folder, [name for name in wanted if name not in absent])
    return {relay: why for relay, why in absent.items() if relay in asked}


def measure(
    tasks: list[Task], relays: dict[str, Start], absent: dict[str, str], options: argparse.Namespace
) -> Results:
    """Rounds of the tasks with these relays: as many as are asked for, and as fit into the time."""
    seconds, often = options.minutes * 60, options.rounds or (1 if options.quick else 5)
    quiet = Quiet(1, 0) if options.quick else Quiet(report.TRIES, seconds / 4)
    results = Results({task.scenario.name: task.scenario.kind for task in tasks})
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
        rounds = Rounds(Instrument.built(Path(folder)), relays, absent, quiet, results)
        rounds.run(tasks, often, seconds)
    return results


def main() -> None:
    options = arguments()
    write = not (options.quick or options.no_write)
    raise_file_limit()
    if options.library:
        library.main(options.rounds or (1 if options.quick else 5), write=write)
        return
    if options.workers:
        measure_workers(options.rounds or (1 if options.quick else 3), write=write)
        return
    if len(os.sched_getaffinity(0)) < 2:
        print("There is one core only: relay and load share it, and the figures mean little.", file=sys.stderr)
    tasks = chosen(options)
    absent = who_is_left_out(tasks, options)
    everybody = {**RELAYS, **peers.starts(options.peers_folder)}
    relays = {name: everybody[name] for name in options.relays if name not in absent}
    results = measure(tasks, relays, absent, options)
    page = report.page(results, absent)
    print(page)
    if write and options.relays == EVERYBODY and not (options.kinds or options.streams or options.pairs):
        report.write(ROOT, results, page)


if __name__ == "__main__":
    main()
