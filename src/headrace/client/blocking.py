"""The client: start answers, follow them to their end, watch and stop them; write and read topics."""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any, Self

import headrace.client.requests as requests
import headrace.client.tail as tail
from headrace.client.append import TEXT, Appender
from headrace.client.errors import Unfinished
from headrace.client.exchange import Asked, Reply, address_of
from headrace.client.following import Following
from headrace.client.outcome import LEFT, Outcome
from headrace.client.patience import PATIENCE, Patience, lingering
from headrace.client.requests import Cancelled, Messages, Summary
from headrace.client.server import Server, Sleep
from headrace.model.events import Event, Text


class Answer:
    """One answer: an iterator of its events, each once and in order, whose last item is its :class:`Outcome`.

    Connections that are lost and servers that restart are picked up after. Iterating raises Unreachable where the
    server stays away for longer than the client's patience, Gone where the stream is not there, and Refused where the
    server does not do what it is asked. To stop iterating, or to leave the ``with`` block, is to leave: what becomes
    of the answer then is its policy's to say. Used by one thread at a time; ``cancel`` by any.
    """

    def __init__(self, following: Following, server: Server, cancel: Callable[[str], Cancelled]) -> None:
        self._following = following
        self._server = server
        self._cancel = cancel
        self._items = self._all()

    def __iter__(self) -> Iterator[Event | Outcome]:
        return self

    def __next__(self) -> Event | Outcome:
        return next(self._items)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

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

    def pieces(self) -> Iterator[str]:
        """What comes of its text, as it comes; of alternatives the first. Raises Unfinished unless it completes."""
        said: list[str] = []
        for item in self:
            if isinstance(item, Text) and item.choice == 0:
                said.append(item.text)
                yield item.text
        # Also where an error, or the reader, has ended the iterator before: it says nothing any more.
        if self.outcome is None or not self.outcome.completed:
            raise Unfinished(self.outcome or LEFT, "".join(said))

    def text(self) -> str:
        """All of its text. Raises Unfinished, which has what there is of it, unless it completes."""
        return "".join(self.pieces())

    def cancel(self) -> Cancelled:
        """Stop it: the model's connection is closed. Idempotent; the iterator goes on to the outcome."""
        return self._cancel(self.id)

    def close(self) -> None:
        """Leave. Idempotent."""
        self._items.close()

    def _all(self) -> Generator[Event | Outcome, None, None]:
        yield from self._server.follow(self._following)
        if self._following.outcome is not None:
            yield self._following.outcome


class Client:
    """A server, and who asks it.

    ``url`` and ``key`` are those of ``HEADRACE_URL`` (else this machine's port 8003) and ``HEADRACE_API_KEY`` where
    they are not given. ``patience`` is for how many seconds a server that is away is awaited, each time; ``sleep`` is
    what waits between two tries, and so the place to be told of them. It holds no connection and may be used by
    several threads. Raises ValueError for a URL or a key that cannot be one.

    Every method raises Unreachable and Refused.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        patience: float = PATIENCE,
        sleep: Sleep = time.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = address_of(url, key)
        self._seconds = patience
        self._sleep = sleep
        self._now = now

    def __repr__(self) -> str:
        return f"Client({self._address.url!r})"

    def chat(
        self,
        model: str,
        messages: Messages,
        *,
        system: str = "",
        idempotency_key: str = "",
        on_leave: str = "",
        **options: Any,  # noqa: ANN401 - whatever the chat API has
    ) -> Answer:
        """An answer to messages of the chat API, or to one text; asked for when it is first read.

        It is started once, however often that has to be repeated: ``idempotency_key`` tells, and is made where it is
        not given. ``on_leave`` is ``cancel``, ``linger=SECONDS`` or ``keep``; by itself the answer lingers for as long
        as this client is patient. Other ``options`` (``temperature``, ``tools`` …) go to the model as they are.
        """
        key = idempotency_key or requests.new_key()
        policy = on_leave or lingering(self._seconds)
        start = requests.chat(model, messages, system=system, key=key, on_leave=policy, options=options)
        return self._answer(Following(key, start=start, patience=self._patience()))

    def follow(self, id: str, *, after: str | int = "") -> Answer:
        """An answer by its id or one of its names, from its start or ``after`` a cursor, as one who takes part.

        After a cursor the calls of tools are counted anew, and who answers (``Started``) is not told again.
        """
        return self._answer(Following(id, after=str(after), patience=self._patience()))

    def watch(self, id: str, *, after: str | int = "") -> Answer:
        """The same as an observer: for whom the answer does not go on when everybody else has left."""
        return self._answer(Following(id, after=str(after), participate=False, patience=self._patience()))

    def cancel(self, id: str) -> Cancelled:
        """Stop an answer by its id or one of its names, before its first word too. Idempotent."""
        return requests.cancelled_of(self._ask(requests.cancel(id)))

    def streams(self, limit: int = 100) -> Iterator[Summary]:
        """One's own streams, the newest first, ``limit`` of them at most."""
        asked: Asked | None = requests.streams(limit)
        while asked is not None:
            page = requests.page_of(self._ask(asked))
            yield from page.data
            limit -= len(page.data)
            asked = page.next(limit)

    def models(self) -> list[str]:
        """The models that can be asked."""
        return requests.models_of(self._ask(requests.models()))

    def tail(self, topic: str, offset: str = "-1") -> Iterator[bytes]:
        """A topic after an offset (``-1``: its start, ``now``: its end), as it grows, until it is closed.

        Its bytes, or the values of one of JSON a line each.
        """
        with self.asking() as server:
            yield from tail.topic(server, topic, offset)

    @contextmanager
    def appending(self, topic: str, *, kind: str = TEXT) -> Iterator[Appender]:
        """A writer of a topic, which is created as ``kind`` where it is not there. Each line is there once."""
        with self.asking() as server:
            appender = Appender(server, topic, kind=kind)
            appender.open()
            yield appender

    @contextmanager
    def asking(self) -> Iterator[Server]:
        """The server itself, over a connection that is kept meanwhile."""
        server = self._server()
        try:
            yield server
        finally:
            server.close()

    def _ask(self, asked: Asked) -> Reply:
        with self.asking() as server:
            return server.ask(asked)

    def _answer(self, following: Following) -> Answer:
        return Answer(following, self._server(), self.cancel)

    def _server(self) -> Server:
        return Server(self._address, patience=self._patience(), sleep=self._sleep)

    def _patience(self) -> Patience:
        return Patience(self._seconds, now=self._now)
