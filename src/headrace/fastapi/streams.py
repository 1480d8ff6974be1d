"""Streams: what an app has one of, and makes its streaming replies with."""

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Literal, Self

from fastapi import APIRouter, FastAPI
from starlette.responses import Response

from headrace.core.clock import Clock, SystemClock
from headrace.core.deadlines import Limits
from headrace.core.log import Kept
from headrace.fastapi.durable import Desk, Durable, Owner
from headrace.fastapi.forms import BYTES, CSV, NDJSON, SSE, TEXT, Cells, Chunks, Events, Form, Items, Rows, Words
from headrace.fastapi.house import House, Plan, folder_of
from headrace.fastapi.replies import Framed, Manner, Plain, source_of
from headrace.fastapi.routes import router_of
from headrace.fastapi.source import Direct, Pumped
from headrace.model.leave import LeavePolicy

#: What can be streamed: an asynchronous or an ordinary generator, or anything else that gives one item after the other.
Stream = AsyncIterable[Any] | Iterable[Any]

_ONE_OWNER = "local"
_MAX_RETRY = 10**9
_MAX_KEEPALIVE = 86_400.0


class Streams:
    """Streaming replies for a FastAPI app, durable where there is a store.

    ``url`` says where streams are kept: ``sqlite:///FOLDER`` or ``sqlite:FOLDER`` (for any number of workers on one
    machine; what was sent survives ``kill -9``), ``memory:`` (for one process, until it ends), or None for replies that
    are sent and forgotten.

    A durable stream runs in a task of its own. Its client can leave and come back: to ``router``'s ``GET
    {prefix}/{id}``, or, an ``EventSource``, to the URL it began with; others of the same owner can read along and
    cancel.

    - ``owner`` tells whose streams a request may see, from the request; for everybody else they do not exist (404).
      Where it names nobody (``""``), the request is refused (401). Without it there is one owner.
    - ``prefix`` is where the router's routes are.
    - ``on_leave`` is what happens to a stream that everybody has left: ``cancel``, ``linger=SECONDS`` or ``keep``.
    - ``durability`` is what a sent item survives: the death of the ``process``, or a ``power`` cut.
    - ``keep`` and ``tombstone`` are for how many seconds an ended stream can be read, and then told to be gone (410).
    - ``limits`` bounds a stream (by default 64 MiB and a million items) and how many run at once.
    - ``total`` is how many seconds a stream may run; None is for ever.
    - ``grace`` is how many seconds running streams get when the app ends; they are interrupted then.
    - ``threads`` is how many generators that are not asynchronous run at the same moment.

    Raises ConfigError for another URL, RequestError for another ``on_leave``.
    """

    def __init__(
        self,
        url: str | None,
        *,
        owner: Owner | None = None,
        prefix: str = "/streams",
        on_leave: str = "linger=5",
        durability: Literal["process", "power"] = "process",
        keep: float = 3600.0,
        tombstone: float = 7 * 86_400.0,
        limits: Limits | None = None,
        total: float | None = None,
        grace: float = 5.0,
        threads: int = 32,
        clock: Clock | None = None,
    ) -> None:
        self._durable = url is not None
        self._owner = owner or (lambda _: _ONE_OWNER)
        self._policy = LeavePolicy.parse(on_leave)
        self._clock = clock or SystemClock()
        self._plan = Plan(
            folder=None if url is None else folder_of(url),
            durability=durability,
            limits=limits or Limits(),
            total=total,
            kept=Kept(frames=keep, stored=keep, tombstone=tombstone),
            grace=grace,
        )
        self._pool: Executor = ThreadPoolExecutor(threads, thread_name_prefix="headrace")
        self._route = f"headrace {prefix}"
        self._open: Desk | None = None
        #: Include it: its routes rejoin, watch, cancel and delete streams, and its lifespan opens the store.
        self.router: APIRouter = router_of(prefix, self._route, self._desk, self._lifespan)

    # -- its life ----------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        async with self:
            yield

    async def __aenter__(self) -> Self:
        """Open the store. The router's lifespan does it; an app without the router may."""
        if self._durable:
            if self._open is not None:
                raise RuntimeError("these streams are open already")
            self._house = await House(self._plan, self._clock).__aenter__()
            self._open = Desk(self._house.registry, self._owner, self._route)
        return self

    async def __aexit__(self, *_: object) -> None:
        """End what runs, after ``grace`` seconds, and close the store."""
        if self._open is not None:
            self._open = None
            await self._house.__aexit__()

    def _desk(self) -> Desk:
        if self._open is None:
            raise RuntimeError(
                "These streams are not open: app.include_router(streams.router), and let the app's lifespan run "
                "(in tests: with TestClient(app) as client)."
            )
        return self._open

    # -- replies -----------------------------------------------------------------------------------------------------

    def sse(
        self,
        items: Stream,
        *,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str = "",
        retry: int | None = None,
        keepalive: float = 15.0,
        close: bool = True,
        on_leave: str = "",
        fingerprint: object = None,
    ) -> Response:
        """Server-sent events: one for each item, which is an Event, text, bytes, or anything that has JSON.

        It ends with ``event: close``, unless ``close`` is false. Where the generator fails comes ``event: error`` with
        ``{"code", "message", "retry"}`` before that; where it was cancelled, ``event: cancelled``. ``retry`` tells an
        ``EventSource`` after how many milliseconds to come back; ``keepalive`` is after how many seconds of silence a
        comment is sent.

        ``on_leave`` is as for all streams of this app, or otherwise here. ``fingerprint`` is what tells this request
        from another under the same ``Idempotency-Key``, beside method and URL; its body, for instance.
        """
        if retry is not None and not (type(retry) is int and 0 <= retry <= _MAX_RETRY):
            raise ValueError("retry is a whole number of milliseconds, from 0 on")
        if not 0 < keepalive <= _MAX_KEEPALIVE:
            raise ValueError("keepalive is in seconds, more than 0 and at most a day")
        manner = Manner(
            status_code=status_code,
            headers=headers or {},
            media_type=media_type or SSE.media_type,
            retry=retry,
            keepalive=keepalive,
            close=close,
        )
        return self._reply(SSE, items, Events(), manner, on_leave, fingerprint)

    def ndjson(
        self,
        rows: Stream,
        *,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str = "",
        filename: str = "",
        on_leave: str = "",
        fingerprint: object = None,
    ) -> Response:
        """JSON values, one a line. Where the generator fails, the last line is ``{"error": {"code", …}}``.

        With a ``filename`` (made safe, whatever it is) a browser saves it.
        """
        manner = _download(NDJSON, status_code, headers, media_type, filename)
        return self._reply(NDJSON, rows, Rows(), manner, on_leave, fingerprint)

    def csv(
        self,
        rows: Stream,
        columns: Sequence[str] | None = None,
        *,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str = "",
        filename: str = "",
        on_leave: str = "",
        fingerprint: object = None,
    ) -> Response:
        """Rows of CSV, of mappings (dictionaries, models, named tuples) or of sequences.

        The first line names the ``columns``: the given ones, else the first mapping's. Text that a spreadsheet would
        take for a formula gets an apostrophe in front. Where the generator fails the body is cut, so that no client
        takes it for whole.
        """
        manner = _download(CSV, status_code, headers, media_type, filename)
        return self._reply(CSV, rows, Cells(columns), manner, on_leave, fingerprint)

    def text(
        self,
        words: Stream,
        *,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str = "",
        filename: str = "",
        on_leave: str = "",
        fingerprint: object = None,
    ) -> Response:
        """Pieces of text, as they are. Where the generator fails the body is cut."""
        manner = _download(TEXT, status_code, headers, media_type, filename)
        return self._reply(TEXT, words, Words(), manner, on_leave, fingerprint)

    def bytes(
        self,
        chunks: Stream,
        *,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str = "",
        filename: str = "",
        on_leave: str = "",
        fingerprint: object = None,
    ) -> Response:
        """Chunks of bytes, as they are. Where the generator fails the body is cut."""
        manner = _download(BYTES, status_code, headers, media_type, filename)
        return self._reply(BYTES, chunks, Chunks(), manner, on_leave, fingerprint)

    def _reply(
        self, form: Form, items: Stream, maker: Items, manner: Manner, on_leave: str, fingerprint: object
    ) -> Response:
        policy = LeavePolicy.parse(on_leave) if on_leave else self._policy
        _streamable(items)
        if not self._durable:
            source = partial(source_of, items, Framed(form, maker), self._pool, Direct)
            return Plain(form, source, manner, self._clock)
        kept = partial(source_of, items, maker, self._pool, Pumped)
        return Durable(form, self._desk, kept, manner, policy=policy, fingerprint=fingerprint)


def _download(
    form: Form, status_code: int, headers: Mapping[str, str] | None, media_type: str, filename: str
) -> Manner:
    return Manner(
        status_code=status_code,
        headers=headers or {},
        media_type=media_type or form.media_type,
        filename=filename,
    )


def _streamable(items: object) -> None:
    """Raise TypeError for what is often meant and never works."""
    if isinstance(items, str | bytes) or not isinstance(items, AsyncIterable | Iterable):
        raise TypeError(
            f"expected a generator, or anything else that gives one item after the other, not {type(items).__name__}"
        )
