"""Streams as a table on a terminal."""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator

from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from headrace.client.requests import Summary
from headrace.client.visible import visible
from headrace.model.outcome import State

#: Ended streams that are shown beside those that are open.
LATEST = 10

_STYLES = {State.OPEN: "green", State.FAILED: "red", State.INTERRUPTED: "yellow", State.CANCELLED: "yellow"}
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))


def chosen(summaries: Iterable[Summary]) -> Iterator[Summary]:
    """Those that are open, and the latest of the others."""
    ended = itertools.count()
    return (each for each in summaries if each.state is State.OPEN or next(ended) < LATEST)


def table(summaries: Iterable[Summary], now: float) -> Table:
    """A row for each; ``now`` is in Unix seconds."""
    made = Table(box=box.SIMPLE_HEAD, header_style="dim", pad_edge=False, collapse_padding=True)
    for name in ("stream", "model", "state"):
        made.add_column(name, no_wrap=name == "stream")
    for name in ("age", "records", "tokens", "tokens/s"):
        made.add_column(name, justify="right", min_width=len(name))
    for each in summaries:
        state = f"{each.state} ({visible(each.reason)})" if each.state is State.FAILED else str(each.state)
        style = _STYLES.get(each.state, "dim")
        made.add_row(
            each.id,
            Text(visible(each.model)),
            Text(state, style=style),
            age(now - each.created),
            str(each.records),
            *_tokens(each),
        )
    return made


def watch(console: Console, read: Callable[[], Iterable[Summary]], every: float = 1.0) -> None:
    """The table, over and over, until KeyboardInterrupt."""
    with Live(console=console, auto_refresh=False, screen=True) as live:
        while True:
            live.update(table(read(), time.time()), refresh=True)
            time.sleep(every)


def age(seconds: float) -> str:
    """How long ago, in its largest unit."""
    whole = max(int(seconds), 0)
    return next((f"{whole // size}{unit}" for size, unit in _UNITS if whole >= size), "0s")


def _tokens(each: Summary) -> tuple[str, str]:
    """The tokens of an answer and how many a second, where that is known; an estimate begins with ``~``."""
    if each.usage is None:
        return "", ""
    about = "" if each.usage.exact else "~"
    seconds = (each.ended or each.created) - each.created
    rate = f"{about}{each.usage.output / seconds:.0f}" if seconds > 0 else ""
    return f"{about}{each.usage.output}", rate
