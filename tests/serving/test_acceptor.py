"""Accepting: how fast it goes, and what becomes of who cannot be taken."""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from headrace.serving import acceptor
from headrace.serving.acceptor import AT_ONCE, Acceptor
from headrace.serving.room import Room

PATIENCE = 10.0


class Listening:
    """A listening socket which may have to say that there are no descriptors left."""

    def __init__(self) -> None:
        self.real = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.real.setblocking(False)
        self.address = self.real.getsockname()
        self.fileno, self.close = self.real.fileno, self.real.close
        self.failures: list[int] = []

    def accept(self):
        if self.failures:
            raise OSError(self.failures.pop(), "canary")
        return self.real.accept()


class Accepted(asyncio.Protocol):
    """One connection; ``turn`` is the turn of the loop in which it began."""

    def __init__(self, at: "Accepting") -> None:
        self.at = at

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.at.made.append(self)
        self.turn = self.at.turn


class Accepting:
    """An acceptor, what it has accepted, and a count of the loop's turns."""

    def __init__(self, most: int) -> None:
        self.made: list[Accepted] = []
        self.turn = 0
        self.listening = Listening()
        self.acceptor = Acceptor(self.listening, lambda: Accepted(self), Room(most))  # type: ignore[arg-type]
        self.clients: list[socket.socket] = []

    def connect(self, count: int) -> None:
        """So many clients, all at once."""
        for _ in range(count):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(self.listening.address)
            self.clients.append(client)

    async def until(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while len(self.made) < count:
                self.turn += 1
                await asyncio.sleep(0)


@asynccontextmanager
async def accepting(most: int = 1000) -> AsyncIterator[Accepting]:
    at = Accepting(most)
    try:
        yield at
    finally:
        await at.acceptor.close()
        for accepted in at.made:
            accepted.transport.close()
        for client in at.clients:
            client.close()
        await asyncio.sleep(0)


async def test_a_turn_of_the_loop_takes_many() -> None:
    """And not more than so many, whoever waits."""
    async with accepting() as at:
        at.connect(4 * AT_ONCE)
        await at.until(4 * AT_ONCE)
        turns = [accepted.turn for accepted in at.made]
        assert max(map(turns.count, turns)) == AT_ONCE
        assert turns[-1] - turns[0] < 4 * 4  # a turn or two for each


async def test_without_descriptors_it_rests_and_goes_on(monkeypatch, caplog) -> None:
    """Who wants to connect waits in the kernel meanwhile."""
    monkeypatch.setattr(acceptor, "PAUSE", 0.02)
    async with accepting() as at:
        at.listening.failures = [errno.EMFILE, errno.ENOMEM]
        at.connect(2)
        await at.until(2)
        assert not at.listening.failures
        assert [record.getMessage() for record in caplog.records] == [
            "no connection can be accepted (ENOMEM)",
            "no connection can be accepted (EMFILE)",
        ]


async def test_who_has_left_already_stops_nobody() -> None:
    async with accepting() as at:
        at.listening.failures = [errno.ECONNABORTED] * 3
        at.connect(2)
        await at.until(2)


async def test_who_is_not_admitted_is_told_so() -> None:
    """Also of several that come at once, when those before them have not begun yet."""
    async with accepting(most=2) as at:
        at.connect(5)
        await at.until(2)
        said = []
        for client in at.clients:
            try:
                async with asyncio.timeout(0.2 if len(said) < 2 else PATIENCE):
                    said.append(await asyncio.get_running_loop().sock_recv(client, 100))
            except TimeoutError:
                said.append(b"")
        assert [text.split(b"\r\n")[0] for text in said] == [b""] * 2 + [b"HTTP/1.1 503 Service Unavailable"] * 3
        assert len(at.made) == 2


async def test_closing_leaves_nobody_behind() -> None:
    """What was accepted has its protocol by then; a pause ends with it; twice is once."""
    async with accepting() as at:
        at.connect(3)
        await at.until(1)
        await at.acceptor.close()
        begun = len(at.made)
        await asyncio.sleep(0.01)
        assert len(at.made) == begun
    async with accepting() as at:
        at.listening.failures = [errno.EMFILE]
        at.connect(1)
        async with asyncio.timeout(PATIENCE):
            while at.listening.failures:  # noqa: ASYNC110 - it is the kernel that brings it about
                await asyncio.sleep(0.001)
        await at.acceptor.close()
        assert not at.made
