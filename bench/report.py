"""The page that `make bench` writes: how it was measured, the tables, the ratios, the machine and its noise."""

import datetime as dt
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import aims
import peers
import plot
from samples import Results
from tables import LABELS, tables

#: The picture, beside the page.
PICTURE = "benchmark.svg"
MARKERS = "<!-- bench:start -->", "<!-- bench:end -->"

#: The share of its core that something else may use in a run; over it the run is repeated, and the quietest counts.
NOISE = 0.1
TRIES = 3

ABOUT = """\
# Benchmark

`make bench` writes this page.

One core relays; another holds the upstream and the readers (C, one thread each, `bench/*.c`).
The upstream sends chat-completion chunks of about 230 bytes.
Each stream has a phase of its own, so chunks come one by one.

- Headrace runs with one worker and its SQLite store (`durability = "process"`): commit, then send. Other rows have it
  on `memory:`, on SQLite for `power`, and on a Redis server (`appendonly yes`) that has the other core and is not
  counted.
- nginx runs with one worker, `proxy_buffering off` and kept-alive connections to the upstream.
- Peers are installed from their registries and run as their makers recommend for production, on the same one core:
  LiteLLM's proxy with one worker, a master key and no debug output, without a database; Portkey's gateway headless,
  with `NODE_ENV=production`.
- *bare Python* is the least that a relay in Python can be, on the event loop and the parsers that Headrace uses: two
  protocols that move bytes from socket to socket (`bench/bare.py`). With *events read* each is also split off, checked
  as JSON and numbered, by Headrace's own parts. Neither has a log, a second reader, deadlines or meters.
- *direct* is no relay at all: what the instrument itself adds. On two cores it nears its own end at 1,000 × 50.
- *CPU per chunk* is the CPU time of all the relay's processes in the steady window over the chunks that came in it.
- *p50* and *p99* are latencies, from the upstream's send to the reader's receive.
- *KB for each*: what all the relay's processes hold (PSS) while the streams are open and silent after their first
  chunk, less what they held before, over the streams.
- *Short requests* get a whole JSON body of about 300 bytes; each connection asks again as soon as it is answered.
- *Streams that one core carries*: the most of the steps 10 to 3,000 (500, 750, 1,000, 1,500 …) at which 99% of the
  chunks offered come, all streams are whole, and p99 is at most 50 ms.
- *Readers* follow one stream of 50 chunks/s by `GET /v1/streams/ID`; a chunk counts once for each.
- *Replay*: a thousand streams that have ended are read from their beginning by a thousand clients at once.
- *over*: what the client speaks over what the upstream speaks, at 200 × 50; *own* is verbatim.
- *Not whole* counts the streams, over all rounds, that lacked a chunk, their order, `[DONE]` or a clean end.
"""


def _machine() -> str:
    cpu = re.search(r"(?m)^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text())
    nginx = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
    version = subprocess.run([nginx, "-v"], capture_output=True, text=True, check=False).stderr if nginx else "no nginx"
    return (
        f"{cpu[1] if cpu else platform.processor()}, {os.cpu_count()} cores, Linux {platform.release()}, "
        f"{_python()}, Headrace {metadata.version('headrace')}, "
        f"nginx {version.strip().rpartition('/')[2]}, {_peers()}, {dt.datetime.now(tz=dt.UTC).date()}"
    )


def _python() -> str:
    """Whose build it is counts: a distribution's is optimised by a profile, one compiled at home by default is not."""
    whose = platform.freedesktop_os_release()["NAME"] if sys.base_prefix == "/usr" else "compiled here"
    return f"Python {platform.python_version()} ({whose})"


def _peers() -> str:
    return ", ".join(
        f"{name} {version}" for packages in peers.versions().values() for name, version in packages.items()
    )


def _noise(results: Results) -> str:
    others = [sample.others for (_, relay), found in results.samples.items() if relay != "direct" for sample in found]
    rounds = results.rounds()
    return (
        f"Medians of {rounds} round{'s' if rounds > 1 else ''}, the range in brackets; what takes longest has fewer: "
        "what one core carries (of peers: one), 10,000 idle streams and other dialects two. "
        f"A run in which something else used over {NOISE:.0%} of the relay's core was repeated, at most {TRIES - 1} "
        "times and for a quarter of the time, and the quietest kept; not where what one core carries is searched, nor "
        f"with `--quick`. In those kept it used {statistics.median(others or [0.0]):.0%} "
        f"(at most {max(others, default=0.0):.0%})."
    )


def _absent(absent: Mapping[str, str]) -> str:
    return "\n".join(f"Left out: {LABELS.get(relay, relay)}, since {why}." for relay, why in absent.items())


def page(results: Results, absent: Mapping[str, str]) -> str:
    """The whole of docs/benchmark.md: the aims, a table for each question, the machine and its noise."""
    picture = f"![What was measured, as bars]({PICTURE})"
    parts = [ABOUT, aims.table(results), picture, *tables(results), _absent(absent), _machine() + ".", _noise(results)]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def headline(results: Results) -> str:
    """The ratios and the machine: what the README holds."""
    return "\n".join([*aims.headline(results), "", _machine() + "."])


def write(root: Path, results: Results, text: str) -> None:
    """Keep the page, its picture, and the README's section where it has one."""
    (root / "docs").mkdir(exist_ok=True)
    (root / "docs" / "benchmark.md").write_text(text, encoding="utf-8")
    (root / "docs" / PICTURE).write_text(plot.drawn(results), encoding="utf-8")
    short = headline(results)
    readme = root / "README.md"
    old = readme.read_text(encoding="utf-8")
    start, end = MARKERS
    if start in old and end in old.partition(start)[2]:
        head, _, rest = old.partition(start)
        readme.write_text(f"{head}{start}\n{short}\n{end}{rest.partition(end)[2]}", encoding="utf-8")


def workers(results: Results, streams: int, cores: int) -> str:
    """What several workers cost, beside one: a table, and their ratio. The relays are numbers of workers."""
    rows = ["| workers | streams × chunks/s | CPU per chunk, µs | carried | p50, ms |", "|---|---|---|---|---|"]
    costs = {}
    for scenario, relay in results.samples:
        cpu, share, p50 = (results.median(scenario, relay, figure) for figure in ("cpu", "share", "p50"))
        costs[int(relay)] = cpu
        rows.append(f"| {relay} | {int(relay) * streams} × 50 | {cpu:.1f} | {share:.1%} | {p50:.2f} |")
    ratio = costs[max(costs)] / costs[1]
    fewer = "" if cores >= 4 else f" Here are {cores} cores, so how much more several workers carry was not measured."
    told = f"Each worker has the same load; its chunk costs **{ratio:.2f} times** what it costs one worker alone."
    return "\n".join([*rows, "", f"{told}{fewer} Medians of {results.rounds()} rounds. {_machine()}."])


def replace(page: Path, name: str, text: str) -> None:
    """Put a text where a page has its place, between the marks ``bench:NAME`` and ``bench:end``."""
    pattern = rf"(<!-- bench:{name} -->\n).*?(<!-- bench:end -->)"
    old = page.read_text(encoding="utf-8")
    page.write_text(re.sub(pattern, lambda match: f"{match[1]}\n{text}\n\n{match[2]}", old, flags=re.DOTALL))
