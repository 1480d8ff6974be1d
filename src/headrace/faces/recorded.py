"""The reply to a request whose answer is being recorded: the client reads the recording, from its first byte on.

What is not recorded (an error, a redirect, an answer without a whole body) passes on as it is.
"""

import asyncio
from typing import Any

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from headrace.core.log import Head
from headrace.core.stream import NOTHING_SEEN
from headrace.errors import StreamGone
from headrace.faces import failures
from headrace.faces.raw import raw_reply, raw_view
from headrace.faces.relay import Bounds, Relay, Show, Upload
from headrace.faces.reply import left
from headrace.faces.service import Service
from headrace.model.media import checked
from headrace.upstreams.http import Exchange
from headrace.upstreams.recording import Recording

#: Headers of a body that is sent as it came; and what our own of that name says instead.
_OF_BYTES = frozenset({"accept-ranges", "content-length", "etag", "last-modified", "location"})


class RecordedReply(Response):
    """Waits for the head of the answer, then replies with the recording. Leaving is a signal to it, and not its end."""

    def __init__(self, at: Service, head: Head, recording: Recording, show: Show, bounds: Bounds) -> None:
        self.background = None
        self._at = at
        self._head = head
        self._recording = recording
        self._show = show
        self._bounds = bounds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reply."""
        registry, recording = self._at.registry, self._recording
        # Somebody is there while the head is waited for, too.
        presence = registry.read(self._head, raw_view(""), NOTHING_SEEN, participant=True)
        leaving = asyncio.create_task(left(receive))
        ended = asyncio.create_task(registry.finished(self._head.id))

        async def gone() -> Message:
            await asyncio.shield(leaving)
            return {"type": "http.disconnect"}

        try:
            waited: list[asyncio.Future[Any]] = [recording.headed, leaving, ended]
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if not leaving.done():
                reply = await self._reply()
                await reply(scope, gone, send)
        finally:
            presence.close()
            for task in (leaving, ended):
                task.cancel()
            await asyncio.gather(leaving, ended, return_exceptions=True)
            recording.leave()

    async def _reply(self) -> Response:
        recording, registry, head = self._recording, self._at.registry, self._head
        if recording.recorded is not None:
            return self._recorded(recording.recorded)
        if recording.refused is not None:
            await registry.delete(head)
            return self._refused(recording.refused)
        outcome = await registry.finished(head.id)
        if outcome is None:
            raise StreamGone
        return failures.of_outcome(outcome, failures.OPENAI, headers={"headrace-stream-id": head.id})

    def _recorded(self, answer: Exchange) -> Response:
        format = checked(answer.headers.get("content-type", ""))
        headers = {name: value for name, value in self._show(answer).items() if name not in _OF_BYTES}
        view = raw_view(format, self._head.id)
        reader = self._at.registry.read(self._head, view, NOTHING_SEEN, participant=True)
        reply = raw_reply(self._at, self._head.id, reader, format, headers)
        reply.status_code = answer.status
        return reply

    def _refused(self, answer: Exchange) -> Response:
        async def there(_: Upload) -> Exchange:
            return answer

        return Relay(there, self._show, sweep=self._at.registry.sweep, bounds=self._bounds, expected=False)
