"""Visits: participants of streams that other processes write, told to those processes."""

from collections.abc import Callable, Coroutine
from typing import Any

from headrace.core.log import Signals
from headrace.errors import StoreError


class Visits:
    """Counts them; a process tells that it has some on a stream, and that it has none left. ``spawn`` runs the telling.

    Without ``signals`` there are no other processes, and nothing is told.
    """

    def __init__(self, signals: Signals | None, spawn: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        self._signals = signals
        self._spawn = spawn
        self._by_stream: dict[str, int] = {}
        #: Streams of which something is being told.
        self._telling: set[str] = set()

    def join(self, id: str) -> None:
        """Somebody has come to a stream."""
        self._by_stream[id] = self._by_stream.get(id, 0) + 1
        if self._by_stream[id] == 1:
            self._tell(id)

    def leave(self, id: str) -> None:
        """Somebody has left; harmless where nobody was there."""
        if id not in self._by_stream:
            return
        self._by_stream[id] -= 1
        if self._by_stream[id] == 0:
            del self._by_stream[id]
            self._tell(id)

    def _tell(self, id: str) -> None:
        if self._signals is not None and id not in self._telling:
            self._telling.add(id)
            self._spawn(self._told(self._signals, id))

    async def _told(self, signals: Signals, id: str) -> None:
        """Tell how it is, until that is how it still is: what was told before must not arrive after it."""
        try:
            while True:
                present = id in self._by_stream
                try:
                    await signals.set_presence(id, present=present)
                except StoreError:
                    if present == (id in self._by_stream):
                        raise
                if present == (id in self._by_stream):
                    return
        finally:
            self._telling.discard(id)
