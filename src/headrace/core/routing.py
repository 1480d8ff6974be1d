"""The upstream port, and which upstreams are tried for a model."""

from collections.abc import AsyncIterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import msgspec

from headrace.model.outcome import Usage
from headrace.model.record import Record


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request to an upstream, in the words of ``dialect``.

    ``body`` is the client's, its ``model`` already the upstream's own name. ``headers`` are those of the client's that
    may pass (an allow-list; never credentials).
    """

    dialect: str
    body: dict[str, Any]
    model: str
    stream: bool
    headers: Mapping[str, str] = {}


class Answer(Protocol):
    """An upstream's answer while it comes in. Made for one call, used by one task.

    The attributes are what is known so far; they are filled as ``read`` goes.
    """

    #: The format of its records: ``openai.chat``, or ``openai.chat.object`` for a whole body in one record.
    format: str
    #: The id by which the client will know the answer (``chatcmpl-…``), or empty.
    upstream_id: str
    #: The upstream's own name for the model, or empty.
    model: str
    #: The dialect's finish reason, or empty.
    finish_reason: str
    usage: Usage | None
    #: Frames left out because they were not valid.
    ignored: int
    #: The dialect's own end was seen: nothing more will be read.
    ended: bool

    async def read(self) -> Sequence[Record]:
        """The next records, as many as have come; none of them is a sign of life without progress (a keep-alive).

        Raises UpstreamError: truncated where the answer stops before its end, fault where it reports an error. Records
        that came before the error have been returned by then. Not called again after ``ended``.
        """

    def close(self) -> None:
        """Close the connection at once, so that the model stops. Idempotent; after a full read it may be reused."""


class Forwarded(Protocol):
    """An upstream's response to a call that is passed through. ``headers`` have lower-case names."""

    status: int
    headers: Mapping[str, str]

    async def read_some(self) -> bytes:
        """The next bytes of its body; nothing at its end. Raises UpstreamError."""

    def release(self) -> None:
        """Let the connection go: for others where the body has been read, else closed."""


@runtime_checkable
class Forwarding(Protocol):
    """An ability of an upstream: pass other calls through."""

    async def forward(
        self,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        body: bytes | AsyncIterable[bytes] | None = None,
    ) -> Forwarded:
        """Send a call and wait for the head of its response. Raises NotFound for a path that leads elsewhere."""


class ModelCard(msgspec.Struct, frozen=True, kw_only=True):
    """A model as ``GET /v1/models`` shows it."""

    id: str
    created: int = 0
    owned_by: str = ""


class Upstream(Protocol):
    """A model provider."""

    name: str

    async def open(self, call: Call) -> Answer:
        """Send the request and wait for the answer's head. Cancelling closes the connection. Raises UpstreamError.

        There is no deadline in here: the caller has its own (:mod:`headrace.core.deadlines`).
        """

    async def models(self) -> Sequence[ModelCard]:
        """What it offers; may ask once in a while and remember. Never raises: what is not known is left out."""

    async def close(self) -> None:
        """Let go of all connections."""


class Target(NamedTuple):
    """One upstream to try, under its own name for the model."""

    upstream: Upstream
    model: str


class Routes(Protocol):
    """Which upstreams serve a model, in the order in which they are tried."""

    def targets(self, model: str) -> Sequence[Target]:
        """At least one. Raises ModelNotFound, whose message lists what there is."""

    async def models(self) -> Sequence[ModelCard]:
        """Everything that can be asked for by name."""

    async def default(self) -> str:
        """The model where a simple face's request names none. Raises ModelNotFound where there is none at all."""
