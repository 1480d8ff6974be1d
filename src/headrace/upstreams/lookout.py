"""Upstreams asked for their models by and by, so that a name is found wherever it is.

One upstream alone takes any name; of several that tell no models by configuration, somebody has to ask.
"""

import asyncio
from collections.abc import Sequence

from headrace.core.clock import Clock
from headrace.core.deadlines import pause
from headrace.core.routing import Upstream
from headrace.upstreams.model_list import MODELS_RETRY


class Lookout:
    """Asks at once, and again whenever a list has grown old. Idle where there is nothing to tell apart.

    How often an upstream is asked in fact is its own to know: see :class:`~headrace.upstreams.model_list.ModelList`.
    """

    def __init__(self, upstreams: Sequence[Upstream], clock: Clock) -> None:
        self._upstreams = upstreams
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, in a task of its own: nobody waits for an upstream that is slow to answer."""
        if len(self._upstreams) > 1:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="lookout")

    async def close(self) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            await asyncio.gather(*(upstream.models() for upstream in self._upstreams))
            await pause(self._clock, MODELS_RETRY)
