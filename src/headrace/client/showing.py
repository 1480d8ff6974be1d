"""One answer on a terminal, as it grows."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text as Line

from headrace.client.growing import Growing, Laid, Unfinished, faint
from headrace.client.outcome import Outcome
from headrace.client.visible import visible
from headrace.model.events import Event, Reasoning, Refusal, Text, ToolCall, Used
from headrace.model.outcome import State, Usage

_PER_SECOND = 12
_ENDS = {State.CANCELLED: "stopped", State.INTERRUPTED: "interrupted", State.FAILED: "failed"}


class Showing:
    """Shows one answer. As a context: what is unfinished is drawn again and again meanwhile, and stands at the end."""

    def __init__(self, console: Console, *, now: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._now = now
        self._began = now()
        self._first = 0.0
        self._growing = Growing()
        self._said: list[str] = []
        self._calls: dict[int, ToolCall] = {}
        self._thoughts = ""
        self._usage: Usage | None = None
        self._printed = False
        self._live = Live(console=console, get_renderable=self._draw, refresh_per_second=_PER_SECOND, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        rest = self._growing.close()
        self._live.stop()
        self._print(rest)

    @property
    def text(self) -> str:
        """What has been said."""
        return "".join(self._said)

    def take(self, item: Event | Outcome) -> None:
        """Show what came."""
        match item:
            case Text(text=text, choice=0) | Refusal(text=text, choice=0):
                self._first = self._first or self._now()
                self._said.append(text)
                self._print(self._growing.feed(text))
            case Reasoning(choice=0):
                self._thoughts += item.text
            case ToolCall(choice=0):
                known = self._calls.get(item.call, item)
                more = "" if known is item else item.arguments
                self._calls[item.call] = ToolCall(
                    call=item.call, name=known.name or item.name, arguments=known.arguments + more
                )
            case Used():
                self._usage = item.usage

    def say(self, text: str) -> None:
        """Say something that is not of the answer, in one line above what is unfinished."""
        self._console.print(faint(text))

    def end(self, outcome: Outcome) -> None:
        """Say how it ended, after all of it is shown."""
        for call in self._calls.values():
            self._console.print(Line(visible(f"→ {call.name}({call.arguments})"), style="cyan"))
        if outcome.completed:
            self._console.print(faint(self._sum(outcome.usage or self._usage, outcome.reason)))
        else:
            said = f"{_ENDS[outcome.state]}: {outcome.message}" if outcome.message else _ENDS[outcome.state]
            self._console.print(Line(visible(said), style="yellow"))

    def _sum(self, usage: Usage | None, reason: str) -> str:
        """What it took: tokens, seconds, and why it ended where that is no matter of course."""
        now = self._now()
        parts = [f"{now - self._began:.1f} s"]
        if usage is not None:
            parts.insert(0, f"{'' if usage.exact else 'about '}{usage.output} tokens")
            writing = now - (self._first or self._began)
            parts += [f"{usage.output / writing:.0f} tokens/s"] if writing > 0.1 else []
        if reason not in ("stop", "tool_calls"):
            parts.append(f"ended by {reason}")
        return " · ".join(parts)

    def _print(self, markdown: str) -> None:
        """Print finished blocks, with a blank line between two."""
        if markdown.strip():
            self._console.print(*([""] if self._printed else []), Laid(markdown), sep="\n")
            self._printed = True

    def _draw(self) -> RenderableType:
        """What stands below what is printed."""
        rest = self._growing.rest
        if rest.strip():
            return Group("", Unfinished(rest)) if self._printed else Unfinished(rest)
        return Spinner("dots", faint(self._doing()), style="dim")

    def _doing(self) -> str:
        seconds = f"{self._now() - self._began:.0f} s"
        if self._calls:
            return f"calls {', '.join(call.name for call in self._calls.values())} · {seconds}"
        if self._thoughts:
            last = " ".join(self._thoughts.split())[-(self._console.width - 20) :]
            return f"thinks · {seconds} · {last}"
        return seconds
