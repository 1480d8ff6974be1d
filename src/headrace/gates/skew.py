"""A wall clock that is put forward and back by an hour, under running answers (S9)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec.json import encode
from pydantic import SecretStr

from headrace.app import create_app
from headrace.config import Settings, Store, Upstream
from headrace.core.clock import SystemClock
from headrace.gates.gate import Run
from headrace.gates.words import chat, endless, is_beginning
from headrace.parts import Parts
from headrace.testing.asgi import AppDriver, Exchange
from headrace.testing.client import Event
from headrace.testing.scripted_upstream import Received, ScriptedUpstream, Step, answer

#: Seconds by which it jumps.
JUMP = 3600.0
#: Seconds in which a running answer must go on after a jump.
GOES_ON = 5.0


class _Wrong(SystemClock):
    """The real clocks, but what people read is off."""

    off = 0.0

    def time(self) -> float:
        """Unix seconds, and what they are off by."""
        return SystemClock.time() + self.off


async def skewed(run: Run) -> None:
    """An answer goes on through jumps in both directions, and new ones are whole whatever the clock says."""
    folder = run.folder / "clock"
    folder.mkdir()
    stopped = not_whole = gaps = 0
    async with _house(folder) as (driver, clock), driver.open("POST", *_asking("endless")) as reader:
        text = await _more(reader)
        for off in (JUMP, -JUMP, 0.0):
            clock.off = off
            # The sweep looks at the deadlines once or twice in this time.
            await asyncio.sleep(0.6)
            more = await _more(reader)
            stopped += not more
            text += more
            gaps += not is_beginning(text)
            async with driver.open("POST", *_asking("at once")) as fresh:
                not_whole += b"[DONE]" not in (await fresh.response()).body
    run.zero("clock: answers that a jump has stopped", stopped)
    run.zero("clock: answers with a gap", gaps)
    run.zero("clock: answers begun after a jump that are not whole", not_whole)


@asynccontextmanager
async def _house(folder: Path) -> AsyncIterator[tuple[AppDriver, _Wrong]]:
    clock = _Wrong()
    async with ScriptedUpstream(_play) as upstream:
        given = Upstream(base_url=f"{upstream.url}/v1", api_key=SecretStr("sk-of-the-gates"), models=("m",))
        settings = Settings(store=Store(data=str(folder)), upstreams={"up": given})
        async with Parts(settings, clock) as parts:
            app = create_app(settings)
            app.state.service = parts.service
            yield AppDriver(app), clock


def _play(request: Received) -> list[Step]:
    return [answer("one ", "two")] if b"at once" in request.body else endless(request)


def _asking(text: str) -> tuple[str, bytes]:
    return "/v1/chat/completions", encode(chat(text))


async def _more(reader: Exchange) -> str:
    """Some more of the text, to the end of an event; nothing where there is none."""
    data = b""
    try:
        async with asyncio.timeout(GOES_ON):
            while len(data) < 2_000 or not data.endswith(b"\n\n"):
                piece = await reader.piece()
                if not piece:
                    return ""
                data += piece
    except TimeoutError:
        return ""
    return "".join(Event(block).text for block in data.split(b"\n\n") if block)
