"""The server process: its signals, and what listens in front of the app.

SIGTERM and SIGINT are ours: the registry drains first and the HTTP servers stop last, so that readers are told how
their answers ended. A second signal ends the process at once.
"""

import asyncio
import contextlib
import gc
import signal
import socket
import sys
from collections.abc import Callable, Sequence

import uvloop

from headrace.app import create_app
from headrace.config import Settings
from headrace.errors import StoreError
from headrace.serving.listener import listener

#: Seconds that the HTTP servers get to close their connections, after the draining.
CLOSING = 5.0


def run(
    settings: Settings, sockets: Sequence[socket.socket], ready: Callable[[], None], lifeline: int | None = None
) -> None:
    """Serve until a signal comes; ``ready`` is called once requests are answered.

    ``lifeline`` is the reading end of a pipe: when it closes, the supervisor is dead, and the process ends at once.
    """
    # What is there by now stays; and a stream makes no cycles, so looking for them often only costs (5 % of the time,
    # and the worst of the latency).
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    # A thread that computes (compaction, say) hands the interpreter back after half a millisecond, not after five.
    sys.setswitchinterval(0.0005)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(_serve(settings, sockets, ready, lifeline))
        except StoreError as error:
            sys.exit(f"The stream store cannot be opened: {error}")


async def _serve(
    settings: Settings, sockets: Sequence[socket.socket], ready: Callable[[], None], lifeline: int | None
) -> None:
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        told, again = _signals(lifeline)
        listeners = [listener(app, listening, settings.server) for listening in sockets]
        serving = [asyncio.create_task(each.serve()) for each in listeners]
        waiting = asyncio.create_task(told.wait())
        asyncio.get_running_loop().call_soon(ready)
        await asyncio.wait([waiting, *serving], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        app.state.service.topics.drain()
        draining = asyncio.create_task(app.state.service.registry.drain(settings.server.drain))
        hurry = asyncio.create_task(again.wait())
        await asyncio.wait([draining, hurry], return_when=asyncio.FIRST_COMPLETED)
        draining.cancel()
        for each in listeners:
            each.stop()
        closing = asyncio.create_task(asyncio.wait(serving))
        await asyncio.wait([closing, hurry], timeout=CLOSING, return_when=asyncio.FIRST_COMPLETED)
        closing.cancel()
        hurry.cancel()
        for task in serving:
            if task.done():
                task.result()


def _signals(lifeline: int | None) -> tuple[asyncio.Event, asyncio.Event]:
    """Events for the first signal and for the second; the end of the supervisor counts as both."""
    told, again = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        (again if told.is_set() else told).set()

    def on_orphaned(fd: int) -> None:
        loop.remove_reader(fd)
        told.set()
        again.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, on_signal)
    if lifeline is not None:
        loop.add_reader(lifeline, on_orphaned, lifeline)
    return told, again
