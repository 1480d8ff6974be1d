"""Who asks: API keys, tickets, browsers' sessions, and the one owner of a server without keys.

What a request shows is looked at as bytes of its ASGI scope, nothing else: not the URL that a framework makes of the
``Host`` header (CVE-2026-48710). All headers that may carry a key are alike.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from starlette.requests import Request

from headrace.errors import Unauthorized
from headrace.faces.access import reach
from headrace.faces.access.key_ring import GoodKey, KeyRing
from headrace.faces.access.sessions import Sessions
from headrace.faces.access.tickets import Tickets
from headrace.faces.guard import local_path
from headrace.model.grants import Grants
from headrace.model.leave import LeavePolicy

#: The owner of everything where no keys are configured.
LOCAL = "local"

#: Headers that carry a key as it is: Anthropic's and Azure's. ``Authorization: Bearer`` is OpenAI's.
KEY_HEADERS = frozenset({b"x-api-key", b"api-key"})

#: The longest key that is looked at, in bytes.
LONGEST = 1024


class Caller(NamedTuple):
    """Who asks. ``key`` is the id of the key that was shown, ``on_leave`` that key's own policy.

    ``stream`` is the only stream or chat that may be asked for, where a ticket was shown; the path has been checked
    against it. ``grants`` are the key's.
    """

    owner: str
    key: str = ""
    on_leave: LeavePolicy | None = None
    stream: str | None = None
    grants: Grants = Grants()

    @property
    def admin(self) -> bool:
        """Whether they see what is going on for all owners; never what is said."""
        return self.grants.admin


#: The owner of a server without keys, who may do everything.
_LOCAL = Caller(LOCAL, grants=Grants(admin=True))


class Authenticator:
    """Tells who asks. Nothing here waits, but for a key that the database has not been asked for of late."""

    def __init__(self, ring: KeyRing, tickets: Tickets, sessions: Sessions) -> None:
        self._ring = ring
        self._tickets = tickets
        self._sessions = sessions

    async def authenticate(self, scope: Mapping[str, Any]) -> Caller:
        """Who asks, from an ASGI HTTP scope. Raises Unauthorized, and StoreUnavailable where nobody can tell.

        On a server without keys it is the local owner, whatever key is shown. A ticket counts where no key is shown,
        and a session where there is no ticket either.
        """
        protected = await self._ring.is_protected()
        shown = set(_shown(scope["headers"])) if protected else set()
        if shown:
            return await self._by_key(shown)
        ticket = _ticket(scope.get("query_string", b""))
        if ticket is not None:
            return await self._by_ticket(ticket, scope)
        return await self._by_session(scope["headers"]) if protected else _LOCAL

    async def of_request(self, request: Request) -> Caller:
        """Who asks on a route, from a request. Raises as ``authenticate``, and Forbidden for a key not good for it."""
        found = await self.authenticate(request.scope)
        reach.check(found.grants, request.scope)
        return found

    async def key_of(self, secret: bytes) -> Caller:
        """Whose key this is. Raises Unauthorized."""
        found = await self._ring.by_secret(secret)
        if found is None:
            raise Unauthorized("The API key is not valid.")
        return _caller(found)

    async def of_key(self, owner: str, id: str) -> Caller | None:
        """Whose key was shown when something was signed for them; None where it is not good any more."""
        if not id:
            return _LOCAL if owner == LOCAL and not await self._ring.is_protected() else None
        found = await self._ring.by_id(owner, id)
        return _caller(found) if found is not None else None

    async def _by_key(self, shown: set[bytes]) -> Caller:
        if len(shown) > 1:
            raise Unauthorized("The request carries different API keys.")
        (secret,) = shown
        return await self.key_of(secret)

    async def _by_ticket(self, text: str, scope: Mapping[str, Any]) -> Caller:
        ticket = self._tickets.check(text)
        allowed = ticket.allows(scope["method"], local_path(scope))
        known = await self.of_key(ticket.owner, ticket.key) if allowed else None
        if known is None:
            raise Unauthorized("The ticket is not valid.")
        return known._replace(stream=ticket.name)

    async def _by_session(self, headers: Iterable[tuple[bytes, bytes]]) -> Caller:
        session = self._sessions.of(headers)
        known = await self.of_key(session.owner, session.key) if session else None
        if known is None:
            raise Unauthorized("An API key is needed: Authorization: Bearer KEY.")
        return known


def _caller(key: GoodKey) -> Caller:
    return Caller(key.owner, key.id, key.on_leave, None, key.grants)


def _shown(headers: Iterable[tuple[bytes, bytes]]) -> Iterable[bytes]:
    """The keys that a request shows. ``Authorization`` of another scheme is somebody else's: a proxy's, say."""
    for name, value in headers:
        if name == b"authorization":
            scheme, _, secret = value.strip().partition(b" ")
            if scheme.lower() == b"bearer":
                yield secret.strip()[:LONGEST]
        elif name in KEY_HEADERS:
            yield value.strip()[:LONGEST]


def _ticket(query: bytes) -> str | None:
    """The ticket in a query string; None where there is none. Raises Unauthorized where there are several."""
    if b"ticket=" not in query:
        return None
    tickets = parse_qs(query.decode("latin-1"), keep_blank_values=True).get("ticket", [])
    if len(tickets) > 1:
        raise Unauthorized("The request carries several tickets.")
    return tickets[0] if tickets else None


async def caller(request: Request) -> Caller:
    """Who asks, as the authenticator of the app's service has it. Raises Unauthorized and Forbidden."""
    found: Caller = await request.app.state.service.authenticate(request)
    return found
