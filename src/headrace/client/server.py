"""A server as its client sees it: every question is asked until it is answered.

Lost connections, restarts and overload are waited out, with pauses that grow. So only ask what may be asked twice.
"""

import http.client
import time
from collections.abc import Callable, Iterator

from headrace.client.exchange import Address, Asked, Head, Lost, Reply, again
from headrace.client.following import Following
from headrace.client.patience import SILENCE, Patience
from headrace.model.events import Event

#: What waits between two tries, in seconds.
Sleep = Callable[[float], None]

_LOST = (OSError, http.client.HTTPException)


class Link:
    """A connection to a server, made where there is none. Used by one thread at a time."""

    def __init__(self, address: Address) -> None:
        kind = http.client.HTTPSConnection if address.secure else http.client.HTTPConnection
        self._connection = kind(address.host, address.port, timeout=SILENCE)
        self._root = address.root
        self._headers = address.headers
        self._response: http.client.HTTPResponse | None = None

    def send(self, asked: Asked, silence: float = SILENCE, *, later: float | None = None) -> Head:
        """Ask, and wait for the head of the reply. So many seconds without a byte of it are a loss. Raises Lost.

        ``later`` is the same for its body, where that is another.
        """
        self._connection.timeout = silence
        if self._connection.sock is not None:
            self._connection.sock.settimeout(silence)
        try:
            self._connection.request(
                asked.method, self._root + asked.path, asked.body or None, {**self._headers, **asked.headers}
            )
            sock = self._connection.sock  # which the reply may keep for itself
            self._response = self._connection.getresponse()
            if later is not None:
                sock.settimeout(later)
        except _LOST:
            raise Lost from None
        return Head(self._response.status, {name.lower(): value for name, value in self._response.getheaders()})

    def read(self) -> bytes:
        """What has come of the reply's body; empty at its end. Raises Lost."""
        assert self._response is not None  # noqa: S101 - the head was waited for
        try:
            data = self._response.read1(1 << 16)
        except _LOST:
            raise Lost from None
        if not data:
            self._response.close()
            if self._response.length:
                raise Lost  # fewer bytes than its head has said, which read1 takes for an end
        return data

    def close(self) -> None:
        """Let go of the connection. The next question opens another."""
        if self._response is not None:
            self._response.close()
        self._connection.close()


class Server:
    """One server, over one connection at a time."""

    def __init__(self, address: Address, *, patience: Patience | None = None, sleep: Sleep = time.sleep) -> None:
        self._link = Link(address)
        self._patience = patience or Patience()
        self._sleep = sleep

    def close(self) -> None:
        """Let go of the connection. The next question opens another."""
        self._link.close()

    def ask(self, asked: Asked) -> Reply:
        """A question and its whole answer. Raises Refused and Unreachable."""
        while True:
            try:
                head = self._link.send(asked, SILENCE if asked.waits else self._patience.asked())
                reply = Reply(*head, b"".join(iter(self._link.read, b"")))
            except Lost:
                pause: float | None = self._patience.pause()
            else:
                pause = again(reply, self._patience)
                if pause is None:
                    return reply
            self._link.close()
            self._sleep(pause or 0.0)

    def follow(self, following: Following) -> Iterator[Event]:
        """The events of an answer, until it has an outcome. Raises as ``ask`` does."""
        try:
            while following.goes_on():
                try:
                    following.replied(self._link.send(following.asked(), following.silence(), later=SILENCE))
                    while following.goes_on() and (data := self._link.read()):
                        yield from following.received(data)
                except Lost:
                    pass  # what is missing is asked for
                self._link.close()
                if following.goes_on() and (pause := following.pause()):
                    self._sleep(pause)
        finally:
            self._link.close()
