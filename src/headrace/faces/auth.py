"""Who asks: API keys, tickets, browsers' sessions, and the one owner of a server without keys.

What a request shows is looked at as bytes of its ASGI scope, nothing else: not the URL that a framework makes of the
``Host`` header (CVE-2026-48710). All headers that may carry a key are alike.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, NamedTuple
from urllib.parse import parse_qs

from fastapi import Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import Request

from headrace.config import Key
from headrace.config.key_text import digest_of
from headrace.errors import Unauthorized
from headrace.faces.sessions import Sessions
from headrace.faces.tickets import Tickets
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
    against it. An ``admin`` sees what is going on for all owners, and never what is said.
    """

    owner: str
    key: str = ""
    on_leave: LeavePolicy | None = None
    stream: str | None = None
    admin: bool = False


class Authenticator:
    """Tells who asks. Keys are held as digests and found by digest, so that time tells nothing about them."""

    def __init__(self, keys: Mapping[str, Key], tickets: Tickets, sessions: Sessions) -> None:
        self._tickets = tickets
        self._sessions = sessions
        self._by_digest = {key.digest: Caller(name, _id(key.digest), key.on_leave) for name, key in keys.items()}
        self._by_owner = {known.owner: known for known in self._by_digest.values()} or {LOCAL: Caller(LOCAL)}

    def authenticate(self, scope: Mapping[str, Any]) -> Caller:
        """Who asks, from an ASGI HTTP scope. Raises Unauthorized.

        Without configured keys it is the local owner, whatever key is shown. A ticket counts where no key is shown, and
        a session where there is no ticket either.
        """
        shown = set(_shown(scope["headers"])) if self._by_digest else set()
        if shown:
            return self._by_key(shown)
        ticket = _ticket(scope.get("query_string", b""))
        if ticket is not None:
            return self._by_ticket(ticket, scope)
        if self._by_digest:
            return self._by_session(scope["headers"])
        return self._by_owner[LOCAL]

    def of_request(self, request: Request) -> Caller:
        """Who asks, from a request. Raises Unauthorized."""
        return self.authenticate(request.scope)

    def _by_key(self, shown: set[bytes]) -> Caller:
        if len(shown) > 1:
            raise Unauthorized("The request carries different API keys.")
        (secret,) = shown
        found = self._by_digest.get(digest_of(secret))
        if found is None:
            raise Unauthorized("The API key is not valid.")
        return found

    def _by_ticket(self, text: str, scope: Mapping[str, Any]) -> Caller:
        ticket = self._tickets.check(text)
        known = self._by_owner.get(ticket.owner)
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if known is None or known.key != ticket.key or not ticket.allows(scope["method"], path):
            raise Unauthorized("The ticket is not valid.")
        return known._replace(stream=ticket.name)

    def _by_session(self, headers: Iterable[tuple[bytes, bytes]]) -> Caller:
        session = self._sessions.of(headers)
        known = self._by_owner.get(session.owner) if session else None
        if session is None or known is None or known.key != session.key:
            raise Unauthorized("An API key is needed: Authorization: Bearer KEY.")
        return known


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


def _id(digest: bytes) -> str:
    """A key's id: enough of its digest to tell keys apart, too little to be of use."""
    return digest[:6].hex()


# Both only tell the API's description how a key is passed; what counts is what the authenticator reads.
_bearer = HTTPBearer(auto_error=False, description="An API key, as the OpenAI SDKs send it.")
_header = APIKeyHeader(name="x-api-key", auto_error=False, description="An API key, as the Anthropic SDKs send it.")


async def caller(
    request: Request,
    _: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
    __: Annotated[str | None, Security(_header)],
) -> Caller:
    """FastAPI's dependency for who asks. Raises Unauthorized."""
    return await caller_of(request)


async def caller_of(request: Request) -> Caller:
    """Who asks, as the authenticator of the app's service has it. Raises Unauthorized."""
    found: Caller = request.app.state.service.authenticate(request)
    return found
