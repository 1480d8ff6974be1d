"""What all faces stand on: the registry, the routes to models, and who may ask."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from starlette.requests import Request

from headrace.core.quotas import Quotas
from headrace.core.registry import Registry
from headrace.core.routing import Forwarder, Routes
from headrace.core.topics import Topics
from headrace.faces.access.auth import Caller
from headrace.faces.access.sessions import Sessions
from headrace.faces.access.tickets import Tickets
from headrace.faces.feed import Feeds
from headrace.faces.folder import Folder
from headrace.faces.relay import Bounds
from headrace.faces.shares import Shares
from headrace.model.leave import LeavePolicy
from headrace.records.answers import Answers
from headrace.records.conversations import Conversations
from headrace.records.database import Database
from headrace.records.recorder import Recorder
from headrace.records.taking import Taker
from headrace.upstreams.target import ProxyTarget


@dataclass(frozen=True, kw_only=True)
class Manners:
    """How replies behave; times in seconds."""

    gate: float
    first: float
    idle: float
    send_timeout: float
    linger: LeavePolicy
    #: The same for `/api/chat`.
    api_chat: LeavePolicy


class Proxied(NamedTuple):
    """A target of the proxy, and how it is treated. A request that is recorded is at most ``whole`` bytes."""

    target: ProxyTarget
    bounds: Bounds
    record: bool
    whole: int


class Talks(NamedTuple):
    """What is kept of conversations, of the answers in them, and who takes these over from their streams."""

    conversations: Conversations
    answers: Answers
    taker: Taker


class Looking(Protocol):
    """Makes what gives the overview."""

    def __call__(self, owner: str, *, everybody: bool) -> Callable[[], Awaitable[dict[str, Any]]]:
        """What gives the overview of an owner's streams, or of everybody's, each time it is called."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """Made by the app when it starts; the same for all requests."""

    registry: Registry
    topics: Topics
    routes: Routes
    #: Upstreams to which other calls may be passed through, by name, the first one first.
    forwarders: Mapping[str, Forwarder]
    #: The proxy's, by name.
    targets: Mapping[str, Proxied]
    recorder: Recorder
    #: Where the recorder writes, to be read page by page; and how many may do so.
    records: Database
    talks: Talks
    #: What keys may use, where they are limited.
    quotas: Quotas
    exports: Shares
    #: What is looked at while somebody listens; and how many may listen.
    feeds: Feeds
    listeners: Shares
    tickets: Tickets
    sessions: Sessions
    #: Whether a key is needed here; it may be, from some moment on.
    protected: Callable[[], Awaitable[bool]]
    #: Whose files are served; None leaves `/v1/files` to the upstreams.
    folder: Folder | None
    manners: Manners
    authenticate: Callable[[Request], Awaitable[Caller]]
    #: Makes what gives the overview, of an owner's streams or of everybody's.
    overview: Looking
    #: The metrics in a format that is accepted, with its media type; and what has to be shown to see them.
    metrics: Callable[[str], Awaitable[tuple[bytes, str]]] | None = None
    metrics_key: str = ""


async def service(request: Request) -> Service:
    """The service of the app that a request has come to."""
    found: Service = request.app.state.service
    return found
