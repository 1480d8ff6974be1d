"""Sessions: what a browser shows instead of a key, in a cookie that no script can read.

A session says whose it is and with which key it was opened; it ends by itself, and with that key. It is signed with the
secret of the tickets, so it opens every worker and outlives a restart. ``SameSite=Strict`` and the guard, which refuses
what a page from elsewhere would start or change, keep others from using it.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from itsdangerous import BadData
from starlette.responses import Response

from headrace.core.clock import Clock
from headrace.faces.access.tickets import serializer

COOKIE = "headrace_session"

#: Seconds for which a session is good.
LIFETIME = 12 * 3600

#: The longest cookie that is looked at, in characters.
LONGEST = 2048


class Session(NamedTuple):
    """Whose it is; ``key`` is the id of the key with which it was opened. ``expires`` is in Unix seconds."""

    owner: str
    key: str
    expires: int


class Sessions:
    """Opens sessions and knows them again. ``secret`` is shared by all workers."""

    def __init__(self, secret: bytes, clock: Clock) -> None:
        self._clock = clock
        self._signed = serializer(secret, "headrace.session.1")

    def open(self, reply: Response, owner: str, key: str, *, secure: bool) -> None:
        """Have a reply give its browser a session. ``secure`` where the browser came by HTTPS."""
        expires = int(self._clock.time() + LIFETIME)
        value = str(self._signed.dumps(list(Session(owner, key, expires))))
        reply.set_cookie(COOKIE, value, max_age=LIFETIME, httponly=True, samesite="strict", secure=secure)

    @staticmethod
    def end(reply: Response, *, secure: bool) -> None:
        """Have a reply take its browser's session away."""
        reply.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=secure)

    def of(self, headers: Iterable[tuple[bytes, bytes]]) -> Session | None:
        """The session that a request shows; None where there is none, or none that is good any more."""
        text = _cookie(headers)
        if not 0 < len(text) <= LONGEST:
            return None
        try:
            session = Session(*self._signed.loads(text))
        except (BadData, TypeError):
            return None
        return session if self._clock.time() < session.expires else None


def _cookie(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The cookie's value; empty where there is none, or several, of which nobody knows which is ours."""
    lines = [value.decode("latin-1") for name, value in headers if name == b"cookie"]
    found = [line.partition("=")[2] for line in "; ".join(lines).split("; ") if line.startswith(f"{COOKIE}=")]
    return found[0] if len(found) == 1 else ""


def is_secure(scope: Mapping[str, Any]) -> bool:
    """Whether a browser came by HTTPS, here or at a proxy in front. A false word binds only the client that says it."""
    if scope.get("scheme") == "https":
        return True
    return any(
        name == b"x-forwarded-proto" and value.strip().lower().startswith(b"https") for name, value in scope["headers"]
    )
