"""A server as its client sees it: every question is asked until it is answered.

Lost connections, restarts and overload are waited out, with pauses that grow. So only ask what may be asked twice.
"""

import http.client
import math
import random
import time
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

#: Seconds for which a server may stay away before it is given up.
PATIENCE = 60.0
#: The first pause and the longest, in seconds.
PAUSES = (0.1, 5.0)
#: Seconds of silence after which a connection counts as lost; a server that is there is heard from every fifteen.
SILENCE = 45.0

#: What a proxy says where the server is away. The server itself says whether to try again.
_AWAY = frozenset({408, 429, 500, 502, 503, 504})


class Unreachable(Exception):
    """The server has not answered for as long as it was waited for."""


class Refused(Exception):
    """The server has answered, and does not do what it was asked for."""

    def __init__(self, message: str, *, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class Reply(NamedTuple):
    """An answer; its headers' names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Patience:
    """Pauses that grow until something succeeds; where nothing does for so many seconds, it is over."""

    def __init__(
        self,
        seconds: float = PATIENCE,
        *,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seconds = seconds
        self._sleep = sleep
        self._now = now
        self._since: float | None = None
        self._tries = 0

    def succeeded(self) -> None:
        """Begin anew."""
        self._since = None
        self._tries = 0

    def pause(self, at_least: float = 0.0) -> None:
        """Wait a little longer than the last time, not in step with others. Raises Unreachable."""
        now = self._now()
        self._since = now if self._since is None else self._since
        left = self._since + self._seconds - now
        if left <= 0:
            raise Unreachable
        first, longest = PAUSES
        pause = min(longest, first * 2 ** min(self._tries, 16)) * random.uniform(0.5, 1.0)  # noqa: S311
        self._tries += 1
        self._sleep(min(left, max(pause, at_least)))


class Server:
    """One server, over one connection at a time. Raises ValueError for a URL or a key that cannot be one."""

    def __init__(self, url: str, key: str = "", *, patience: Patience | None = None) -> None:
        parts = urlsplit(url)
        plain = not (parts.username or parts.password or parts.query or parts.fragment)
        if parts.scheme not in ("http", "https") or not parts.hostname or not plain:
            raise ValueError("The server is a URL such as http://127.0.0.1:8003.")
        if not key.isascii() or any(char <= " " for char in key):
            raise ValueError("A key is printable ASCII without spaces.")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname, parts.port, timeout=SILENCE)
        self._root = parts.path.rstrip("/")
        self._headers = {"authorization": f"Bearer {key}"} if key else {}
        self.patience = patience or Patience()

    def close(self) -> None:
        """Let go of the connection. The next question opens another."""
        self._connection.close()

    def ask(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Reply:
        """A question and its whole answer. Raises Refused and Unreachable."""
        while True:
            try:
                response = self._request(method, path, body, headers or {})
                reply = _reply(response, response.read())
            except (OSError, http.client.HTTPException):
                self._lost()
                continue
            if not _again(reply):
                return self._settled(reply)
            self.patience.pause(_retry_after(reply))

    def listen(self, path: str, headers: Mapping[str, str]) -> Iterator[bytes] | None:
        """What one connection says until it is lost; None where there is nothing (204). Raises as ``ask`` does."""
        while True:
            try:
                response = self._request("GET", path, b"", headers)
                reply = _reply(response, b"" if response.status == 200 else response.read())
            except (OSError, http.client.HTTPException):
                self._lost()
                continue
            if not _again(reply):
                break
            self.patience.pause(_retry_after(reply))
        self._settled(reply)
        return self._pieces(response) if reply.status == 200 else None

    def _pieces(self, response: http.client.HTTPResponse) -> Iterator[bytes]:
        try:
            while data := response.read1(1 << 16):
                self.patience.succeeded()
                yield data
        except (OSError, http.client.HTTPException):
            pass  # whoever listens finds out by what is missing
        finally:
            self.close()

    def _request(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        self._connection.request(method, self._root + path, body or None, {**self._headers, **headers})
        return self._connection.getresponse()

    def _settled(self, reply: Reply) -> Reply:
        self.patience.succeeded()
        if reply.status >= 300:
            raise Refused(_message(reply), status=reply.status)
        return reply

    def _lost(self) -> None:
        self.close()
        self.patience.pause()


def _reply(response: http.client.HTTPResponse, body: bytes) -> Reply:
    return Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, body)


def _again(reply: Reply) -> bool:
    """Whether the same question may find a better answer later."""
    if reply.status < 400:
        return False
    return reply.headers.get("x-should-retry", "true" if reply.status in _AWAY else "false") == "true"


def _retry_after(reply: Reply) -> float:
    try:
        seconds = float(reply.headers.get("retry-after", ""))
    except ValueError:
        return 0.0
    return min(seconds, PATIENCE) if math.isfinite(seconds) else 0.0


def _message(reply: Reply) -> str:
    """What the server says is wrong, in one line."""
    try:
        said = msgspec.json.decode(reply.body)["error"]["message"]
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError, IndexError):
        said = None
    text = said if isinstance(said, str) else f"The server answers with status {reply.status}."
    return "".join(char if char.isprintable() else " " for char in text)
