"""The client for asyncio: :mod:`headrace.client.blocking` with ``await``."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, Self

import headrace.client.requests as requests
from headrace.client.async_server import AsyncServer, Sleep
from headrace.client.errors import Unfinished
from headrace.client.exchange import Asked, Reply, address_of
from headrace.client.following import Following
from headrace.client.outcome import LEFT, Outcome
from headrace.client.patience import PATIENCE, Patience, lingering
from headrace.client.requests import Cancelled, Messages, Summary
from headrace.model.events import Event, Text
from headrace.upstreams.http import Http


class AsyncAnswer:
    """One answer: an asynchronous iterator of its events, whose last item is its :class:`Outcome`.

    What :class:`~headrace.client.blocking.Answer` says holds for this one too. Used by one task at a time; ``cancel``
    by any.
    """

    def __init__(
        self, following: Following, server: AsyncServer, cancel: Callable[[str], Awaitable[Cancelled]]
    ) -> None:
        self._following = following
        self._server = server
        self._cancel = cancel
        self._items = self._all()

    def __aiter__(self) -> AsyncIterator[Event | Outcome]:
        return self

    async def __anext__(self) -> Event | Outcome:
        return await anext(self._items)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def id(self) -> str:
        """The stream's id; before the server has told it, a name that is good for the same."""
        return self._following.id

    @property
    def cursor(self) -> str:
        """What has been seen, to go on after it another time; empty for nothing."""
        return self._following.cursor

    @property
    def outcome(self) -> Outcome | None:
        """How it ended; None before that."""
        return self._following.outcome

    async def pieces(self) -> AsyncIterator[str]:
        """What comes of its text, as it comes; of alternatives the first. Raises Unfinished unless it completes."""
        said: list[str] = []
        async for item in self:
            if isinstance(item, Text) and item.choice == 0:
                said.append(item.text)
                yield item.text
        # Also where an error, or the reader, has ended the iterator before: it says nothing any more.
        if self.outcome is None or not self.outcome.completed:
            raise Unfinished(self.outcome or LEFT, "".join(said))

    async def text(self) -> str:
        """All of its text. Raises Unfinished, which has what there is of it, unless it completes."""
        return "".join([piece async for piece in self.pieces()])

    async def cancel(self) -> Cancelled:
        """Stop it: the model's connection is closed. Idempotent; the iterator goes on to the outcome."""
        return await self._cancel(self.id)

    async def close(self) -> None:
        """Leave. Idempotent."""
        await self._items.aclose()

    async def _all(self) -> AsyncGenerator[Event | Outcome, None]:
        async with aclosing(self._server.follow(self._following)) as events:
            async for event in events:
                yield event
        if self._following.outcome is not None:
            yield self._following.outcome


class AsyncClient:
    """A server, and who asks it. What :class:`~headrace.client.blocking.Client` says holds for this one too.

    It holds connections, which the end of its ``async with``, or ``close``, lets go of. Topics are the other's alone.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        patience: float = PATIENCE,
        sleep: Sleep = asyncio.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = address_of(url, key)
        self._seconds = patience
        self._sleep = sleep
        self._now = now
        self._http = Http()

    def __repr__(self) -> str:
        return f"AsyncClient({self._address.url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of all connections."""
        await self._http.close()

    def chat(
        self,
        model: str,
        messages: Messages,
        *,
        system: str = "",
        idempotency_key: str = "",
        on_leave: str = "",
        **options: Any,  # noqa: ANN401 - whatever the chat API has
    ) -> AsyncAnswer:
        """An answer to messages of the chat API, or to one text; asked for when it is first read."""
        key = idempotency_key or requests.new_key()
        policy = on_leave or lingering(self._seconds)
        start = requests.chat(model, messages, system=system, key=key, on_leave=policy, options=options)
        return self._answer(Following(key, start=start, patience=self._patience()))

    def follow(self, id: str, *, after: str | int = "") -> AsyncAnswer:
        """An answer by its id or one of its names, from its start or ``after`` a cursor, as one who takes part."""
        return self._answer(Following(id, after=str(after), patience=self._patience()))

    def watch(self, id: str, *, after: str | int = "") -> AsyncAnswer:
        """The same as an observer: for whom the answer does not go on when everybody else has left."""
        return self._answer(Following(id, after=str(after), participate=False, patience=self._patience()))

    async def cancel(self, id: str) -> Cancelled:
        """Stop an answer by its id or one of its names, before its first word too. Idempotent."""
        return requests.cancelled_of(await self._ask(requests.cancel(id)))

    async def streams(self, limit: int = 100) -> AsyncIterator[Summary]:
        """One's own streams, the newest first, ``limit`` of them at most."""
        asked: Asked | None = requests.streams(limit)
        while asked is not None:
            page = requests.page_of(await self._ask(asked))
            for summary in page.data:
                yield summary
            limit -= len(page.data)
            asked = page.next(limit)

    async def models(self) -> list[str]:
        """The models that can be asked."""
        return requests.models_of(await self._ask(requests.models()))

    async def _ask(self, asked: Asked) -> Reply:
        return await self._server().ask(asked)

    def _answer(self, following: Following) -> AsyncAnswer:
        return AsyncAnswer(following, self._server(), self.cancel)

    def _server(self) -> AsyncServer:
        return AsyncServer(self._address, self._http, patience=self._patience(), sleep=self._sleep)

    def _patience(self) -> Patience:
        return Patience(self._seconds, now=self._now)
