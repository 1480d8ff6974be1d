"""The paged reply: a body that is made page by page while it is sent, and never lies in memory whole.

The next page is made when the last one has been taken, so a slow client holds one page. Where a page cannot be made,
the body stops without its last part, and the server breaks the connection: half a file never looks like all of it.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractContextManager

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from headrace.core.deadlines import NEVER, Sweep
from headrace.errors import HeadraceError
from headrace.faces.reply import SEND, left


class PagedReply(Response):
    """Sends pages; an empty one sends nothing. Whoever leaves, or takes nothing for ``send_timeout``, ends the making.

    What the first page raises becomes the reply. ``share`` is held while it lasts; entering it may refuse.
    """

    def __init__(
        self,
        pages: AsyncGenerator[bytes, None],
        *,
        media_type: str,
        headers: Mapping[str, str],
        share: AbstractContextManager[None],
        sweep: Sweep,
        send_timeout: float,
    ) -> None:
        self.status_code = 200
        self.background = None
        self.media_type = media_type
        self.init_headers(headers)
        self._pages = pages
        self._share = share
        self._sweep = sweep
        self._send_timeout = send_timeout
        self._send_due = NEVER
        self._relaying: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reply. Returns early, without the last part of the body, where not all pages could be made or taken."""
        with self._share:
            relaying = self._relaying = asyncio.create_task(self._relay(scope, send))
            leaving = asyncio.create_task(left(receive))
            self._sweep.add(self)
            try:
                await asyncio.wait([relaying, leaving], return_when=asyncio.FIRST_COMPLETED)
            finally:
                self._sweep.discard(self)
                for task in (relaying, leaving):
                    task.cancel()
                await asyncio.gather(relaying, leaving, return_exceptions=True)
                await self._pages.aclose()
            if not relaying.cancelled():
                relaying.result()

    def tick(self, now: float) -> None:
        """Let a client go that takes nothing of what it is sent."""
        if now >= self._send_due and self._relaying is not None:
            self._relaying.cancel()

    async def _relay(self, scope: Scope, send: Send) -> None:
        begun = False
        try:
            async for page in self._pages:
                if not begun:
                    await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                    begun, send = True, scope.get(SEND, send)
                if page:
                    self._send_due = self._sweep.now + self._send_timeout
                    await send({"type": "http.response.body", "body": page, "more_body": True})
                    self._send_due = NEVER
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except HeadraceError:
            if not begun:
                raise
        except OSError:
            pass  # the client has left: that is how some servers tell it on send
