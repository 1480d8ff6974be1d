"""A scripted upstream in a thread of its own, for tests whose client is another process or blocks.

What is played is chosen by the request's model. A script may wait for :class:`Told`: a request by the client to
``/release/<token>`` lets it go on, which any client in any language can make.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Self

from headrace.testing.scripted_upstream import Next, Received, Script, ScriptedUpstream, head

#: Answers with whatever is played, to the page of another origin too.
_RELEASED: Script = [head(204, "Access-Control-Allow-Origin: *", body="0"), Next()]

#: Makes the script for a request; it runs on the upstream's loop, and gets the events that are released by token.
Play = Callable[[Received, Callable[[str], asyncio.Event]], Script]


def soon(holds: Callable[[], object], seconds: float = 5.0) -> bool:
    """Whether something comes to hold of what an upstream's thread sees, some time after a client has seen its part."""
    deadline = time.monotonic() + seconds
    while not (held := holds()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return bool(held)


class UpstreamThread:
    """Plays one script for each request, as ``play`` says. Use it as a context; it listens when that is entered."""

    def __init__(self, play: Play) -> None:
        self._play = play
        self._events: dict[str, asyncio.Event] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing: asyncio.Event | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scripted upstream", daemon=True)
        self.server: ScriptedUpstream

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(5), "the scripted upstream did not start"
        return self

    def __exit__(self, *_: object) -> None:
        assert self._loop is not None
        assert self._closing is not None
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join(5)

    @property
    def url(self) -> str:
        """Its origin."""
        return self.server.url

    @property
    def requests(self) -> list[Received]:
        """The requests for answers so far."""
        return [request for request in self.server.requests if not request.target.startswith("/release/")]

    def asked_for(self, model: str) -> list[Received]:
        """The requests for one model."""
        return [request for request in self.requests if model_of(request) == model]

    def release(self, token: str) -> None:
        """Let the script go on that waits for this token."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(lambda: self._event(token).set())

    def _event(self, token: str) -> asyncio.Event:
        return self._events.setdefault(token, asyncio.Event())

    def _script(self, request: Received) -> Script:
        if request.target.startswith("/release/"):
            self._event(request.target.removeprefix("/release/")).set()
            return _RELEASED
        return self._play(request, self._event)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._closing = asyncio.Event()
        async with ScriptedUpstream(self._script) as self.server:
            self._ready.set()
            await self._closing.wait()


def model_of(request: Received) -> str:
    """The model that a request asks for; empty where it asks for none."""
    body: Any = request.json() if request.body else {}
    return str(body.get("model", "")) if isinstance(body, Mapping) else ""
