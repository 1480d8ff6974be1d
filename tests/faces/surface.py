"""Every route of the app, and what each kind of caller gets there."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from fastapi.routing import APIRoute
from starlette.routing import Route
from tests.faces.front import ALICE, MESSAGES

from headrace.app import create_app
from headrace.config import Settings
from headrace.faces.access.auth import caller


def routes(found: Iterable[Any] | None = None) -> Iterator[Route]:
    """Every route, those that no description lists too."""
    for route in create_app(Settings()).routes if found is None else found:
        if inner := getattr(getattr(route, "original_router", None), "routes", None):
            yield from routes(inner)
        else:
            yield route


def methods_of(route: Route) -> set[str]:
    """Its methods, without the HEAD that comes with each page."""
    return (route.methods or set()) - ({"HEAD"} if "GET" in (route.methods or ()) else set())


def asks_who_comes(route: Route) -> bool:
    """Whether a route depends on a caller."""
    waiting = [route.dependant] if isinstance(route, APIRoute) else []
    while waiting:
        found = waiting.pop()
        if found.call is caller:
            return True
        waiting += found.dependencies
    return False


OWN = 0
"""Stands for the status that the owner gets."""


class Access(NamedTuple):
    """What each kind of caller gets. ``owner`` has a key that is good for everything."""

    nothing: int = 401
    wrong: int = 401
    revoked: int = 401
    expired: int = 401
    foreign: int = 404
    ticket: int = 401
    session: int = OWN
    admin: int = 404
    elsewhere: int = 403
    """A key of the owner's that is good for all routes but these."""
    enough: int = OWN
    """One that is good for these and no other."""


#: What is one owner's. An admin sees what is going on, and never what is said.
OWNED = Access()
#: The same, where a ticket to read is good.
READ = OWNED._replace(ticket=OWN)
#: What each does among what is its own.
KEYED = OWNED._replace(foreign=OWN, admin=OWN)
#: The same, for any key at all.
ANY_KEY = KEYED._replace(elsewhere=OWN)
#: What needs no key.
OPEN = Access(*[OWN] * len(Access._fields))
#: What no API key opens.
CLOSED = Access(*[401] * len(Access._fields))


class Row(NamedTuple):
    """A request to a route. In its target stands what it is about, as ``{stream}``: somebody makes that first."""

    method: str
    route: str
    target: str
    access: Access
    status: int = 200
    body: Any = b""
    #: What the owner's reply says, where that proves that nobody has done it before.
    says: bytes = b""

    @property
    def tag(self) -> str:
        """The face's; empty where nobody is asked who they are."""
        return _TAGS.get((self.method, self.route), "")

    @property
    def endless(self) -> bool:
        """Whether a reply does not end by itself."""
        return self.route in ENDLESS

    def gets(self, caller: str) -> int:
        """The status that a caller gets."""
        return self.status if caller == "owner" else getattr(self.access, caller) or self.status


#: Feeds.
ENDLESS = frozenset({"/api/conversations/watch", "/api/overview"})

_TAGS = {
    (method, route.path): str(route.tags[0])
    for route in routes()
    if asks_who_comes(route)
    for method in methods_of(route)
}


CHAT = {"model": "fake", "messages": MESSAGES}
SIMPLE = {"model": "fake", "message": "x"}
UI = {"id": "c", "model": "fake", "messages": [{"role": "user", "parts": [{"type": "text", "text": "x"}]}]}
ANSWER = {"id": "a1", "message": {"id": "u1", "text": "x"}, "model": "fake", "stream": False}

ROWS = [
    Row("GET", "/openapi.json", "", OPEN),
    Row("GET", "/docs", "", OPEN),
    Row("GET", "/", "", OPEN),
    Row("GET", "/dashboard", "", OPEN),
    Row("GET", "/headrace.js", "", OPEN),
    Row("GET", "/assets/{name:path}", "/assets/none", OPEN, 404),
    Row("GET", "/health", "", OPEN),
    Row("GET", "/healthz", "", OPEN),
    Row("GET", "/ready", "", OPEN),
    Row("GET", "/readyz", "", OPEN),
    Row("GET", "/metrics", "", CLOSED, 401),
    Row("POST", "/chat/completions", "", KEYED, 200, CHAT),
    Row("POST", "/v1/chat/completions", "", KEYED, 200, CHAT),
    Row("GET", "/v1/chat/completions/{id}", "/v1/chat/completions/{stream}", READ),
    Row("POST", "/v1/chat/completions/{id}/cancel", "/v1/chat/completions/{running}/cancel", OWNED),
    Row("POST", "/v1/responses", "", KEYED, 200, {"model": "fake", "input": "x"}),
    Row("GET", "/v1/responses/{id}", "/v1/responses/{response}", READ),
    Row("POST", "/v1/responses/{id}/cancel", "/v1/responses/{response}/cancel", OWNED),
    Row("DELETE", "/v1/responses/{id}", "/v1/responses/{response}", OWNED, says=b'"deleted":true'),
    Row("GET", "/v1/responses/{id}/input_items", "/v1/responses/{response}/input_items", OWNED),
    Row("POST", "/v1/messages", "", KEYED, 200, {**CHAT, "max_tokens": 9}),
    Row("POST", "/v1/messages/count_tokens", "", KEYED, 200, CHAT),
    Row("GET", "/v1/messages/{id}", "/v1/messages/{message}", READ),
    Row("POST", "/v1/messages/{id}/cancel", "/v1/messages/{running}/cancel", OWNED),
    Row("POST", "/api/chat", "", KEYED, 200, UI),
    Row("GET", "/api/chat/{chat:path}/stream", "/api/chat/{chat}/stream", READ._replace(foreign=204, admin=204)),
    Row("POST", "/api/chat/{chat:path}/stop", "/api/chat/{writing}/stop", OWNED._replace(foreign=OWN, admin=OWN)),
    Row("POST", "/chat", "", KEYED, 200, SIMPLE),
    Row("POST", "/chat/stream", "", KEYED, 200, SIMPLE),
    Row("POST", "/v1/chat/stream", "", KEYED, 200, SIMPLE),
    Row("POST", "/infer", "", KEYED, 200, SIMPLE),
    Row("GET", "/chat/completions", "/chat/completions?message=x&model=fake", KEYED),
    Row("GET", "/chat/stream", "/chat/stream?message=x&model=fake", KEYED),
    Row("GET", "/v1/streams", "", KEYED),
    Row("GET", "/v1/streams/{id}", "/v1/streams/{stream}", READ),
    Row("HEAD", "/v1/streams/{id}", "/v1/streams/{stream}", READ),
    Row("POST", "/v1/streams/{id}/cancel", "/v1/streams/{running}/cancel", OWNED, says=b'"cancelled":true'),
    Row("DELETE", "/v1/streams/{id}", "/v1/streams/{stream}", OWNED, says=b'"deleted":true'),
    Row("POST", "/v1/streams/{id}/tickets", "/v1/streams/{stream}/tickets", OWNED),
    Row("GET", "/v1/topics", "", KEYED),
    Row("PUT", "/v1/topics/{path:path}", "/v1/topics/{unmade}", KEYED, 201, [1]),
    Row("POST", "/v1/topics/{path:path}", "/v1/topics/{topic}", OWNED, 204, [2]),
    Row("HEAD", "/v1/topics/{path:path}", "/v1/topics/{topic}", OWNED),
    Row("GET", "/v1/topics/{path:path}", "/v1/topics/{topic}", OWNED, says=b"[1]"),
    Row("DELETE", "/v1/topics/{path:path}", "/v1/topics/{topic}", OWNED, 204),
    Row("GET", "/v1/exports/generations", "", KEYED),
    Row("HEAD", "/v1/exports/generations", "", KEYED),
    Row("GET", "/v1/exports/topics/{path:path}", "/v1/exports/topics/{topic}", OWNED),
    Row("HEAD", "/v1/exports/topics/{path:path}", "/v1/exports/topics/{topic}", OWNED),
    Row("GET", "/v1/files/{path:path}", "/v1/files/a.txt", KEYED),
    Row("HEAD", "/v1/files/{path:path}", "/v1/files/a.txt", KEYED),
    *(
        Row(method, "/v1/proxy/{target}/{path:path}", "/v1/proxy/t/x", KEYED)
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
    ),
    Row("GET", "/api/session", "", OPEN),
    Row("POST", "/api/session", "", OPEN, 204, {"key": ALICE}),
    Row("DELETE", "/api/session", "", OPEN, 204),
    Row("GET", "/api/conversations", "", KEYED),
    Row("GET", "/api/conversations/watch", "", KEYED),
    Row("POST", "/api/conversations", "", KEYED, 201, {"title": "x"}),
    Row("GET", "/api/conversations/{id}", "/api/conversations/{talk}", OWNED),
    Row("PATCH", "/api/conversations/{id}", "/api/conversations/{talk}", OWNED, 200, {"title": "x"}),
    Row("DELETE", "/api/conversations/{id}", "/api/conversations/{talk}", OWNED, says=b'"deleted":true'),
    Row("GET", "/api/conversations/{id}/export", "/api/conversations/{talk}/export", OWNED),
    Row("POST", "/api/conversations/{id}/answers", "/api/conversations/{talk}/answers", OWNED, 201, ANSWER),
    Row("GET", "/api/overview", "", ANY_KEY),
    Row("POST", "/api/overview/streams/{id}/cancel", "/api/overview/streams/{running}/cancel",
        OWNED._replace(admin=OWN, elsewhere=OWN), says=b'"cancelled":true'),
    Row("GET", "/v1/models", "", ANY_KEY),
    Row("GET", "/v1/models/{id:path}", "/v1/models/fake", ANY_KEY),
    Row("GET", "/v1/{path:path}", "/v1/models/fake/x", ANY_KEY, 404),
    Row("POST", "/v1/{path:path}", "/v1/embeddings", KEYED, 201, {"model": "fake", "input": "x"}),
    Row("DELETE", "/v1/{path:path}", "/v1/batches/1", KEYED, 404),
]  # fmt: skip
