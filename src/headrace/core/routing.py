"""The upstream port, and which upstreams are tried for a model."""

from collections.abc import AsyncIterable, Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import msgspec

from headrace.core.condition import Condition
from headrace.errors import HeadraceError, RequestError, UpstreamError
from headrace.model.outcome import Usage
from headrace.model.record import Record


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request to an upstream, in the words of ``dialect``.

    ``body`` is the client's; ``model`` is the upstream's own name for what it asks for. ``headers`` and ``query`` are
    those of the client's that may pass (an allow-list; never credentials), for an upstream of the same dialect.
    """

    dialect: str
    body: dict[str, Any]
    model: str
    stream: bool
    headers: Mapping[str, str] = {}
    query: str = ""


class Answer(Protocol):
    """An upstream's answer while it comes in. Made for one call, used by one task.

    The attributes are what is known so far; they are filled as ``read`` goes.
    """

    #: The format of its records: a dialect, or ``<dialect>.object`` for a whole body in one record.
    format: str
    #: The id that the upstream gave it (``chatcmpl-…``, ``resp_…``, ``msg_…``), or empty.
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


@runtime_checkable
class Flowing(Protocol):
    """An ability of an answer: tell when something has come, so that nobody has to wait in ``read``."""

    def take(self) -> Sequence[Record] | None:
        """What ``read`` would return, where that has come; else None. Raises as ``read`` does."""

    def listen(self, news: Callable[[], None] | None) -> None:
        """Have ``news`` called, on the event loop, whenever ``take`` may have something; None ends that."""


class FlowingAnswer(Answer, Flowing, Protocol):
    """An answer with that ability."""


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

    def prepare(self, call: Call) -> Call:
        """The call in a dialect that this upstream speaks: as it is where it can be, else converted.

        Raises RequestError, with the client's own field, for what cannot be carried across.
        """

    async def open(self, call: Call) -> Answer:
        """Send a prepared call and wait for the answer's head. Cancelling closes the connection. Raises UpstreamError.

        There is no deadline in here: the caller has its own (:mod:`headrace.core.deadlines`).
        """

    async def models(self) -> Sequence[ModelCard]:
        """What it offers; may ask once in a while and remember. Never raises: what is not known is left out."""

    async def close(self) -> None:
        """Let go of all connections."""


class Forwarder(Upstream, Forwarding, Protocol):
    """An upstream with that ability."""


class Target(NamedTuple):
    """One upstream to try, under its own name for the model. Without a ``condition`` nobody asks how it does."""

    upstream: Upstream
    model: str
    condition: Condition | None = None


class Attempt(NamedTuple):
    """One call, ready for its upstream."""

    upstream: Upstream
    call: Call
    condition: Condition | None = None

    def begins(self) -> None:
        """The upstream is asked now."""
        if self.condition is not None:
            self.condition.begins()

    def succeeded(self) -> None:
        """The upstream has begun its answer."""
        if self.condition is not None:
            self.condition.succeeded()

    def failed(self, error: HeadraceError) -> None:
        """It has not, or has broken one off."""
        if self.condition is not None and isinstance(error, UpstreamError):
            self.condition.failed(error)


def attempts(targets: Sequence[Target], call: Call) -> Sequence[Attempt]:
    """The call for each target that can take it, in their order. Raises the first one's RequestError where none can."""
    found: list[Attempt] = []
    refused: RequestError | None = None
    for target in targets:
        try:
            prepared = target.upstream.prepare(msgspec.structs.replace(call, model=target.model))
        except RequestError as error:
            refused = refused or error
        else:
            found.append(Attempt(target.upstream, prepared, target.condition))
    if not found:
        raise refused or RequestError("There is no upstream for this request.")
    return found


def speaks(upstream: Upstream, dialect: str) -> bool:
    """Whether an upstream takes calls in a dialect as they are: then it prepares even one that asks for nothing."""
    try:
        return upstream.prepare(Call(dialect=dialect, body={}, model="", stream=False)).dialect == dialect
    except RequestError:
        return False


def everything(_: str) -> bool:
    """See every model."""
    return True


class Routes(Protocol):
    """Which upstreams serve a model, in the order in which they are tried."""

    def targets(self, model: str, sees: Callable[[str], bool] = everything) -> Sequence[Target]:
        """At least one. Raises ModelNotFound, whose message lists what there is for whoever ``sees`` these names."""

    async def models(self) -> Sequence[ModelCard]:
        """Everything that can be asked for by name."""

    async def default(self) -> str:
        """The model where a simple face's request names none. Raises ModelNotFound where there is none at all."""
