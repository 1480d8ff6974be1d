"""A TCP connection to a host of several addresses: the first that answers wins (RFC 8305, "Happy Eyeballs").

asyncio can do this by itself, uvloop cannot.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import chain, zip_longest
from typing import Any

#: Seconds after which the next address is tried beside those that have not answered yet.
STAGGER = 0.25

#: Family and address, as ``getaddrinfo`` tells them.
Address = tuple[socket.AddressFamily, Any]

#: Whether a numerical address may be connected to.
Allowed = Callable[[str], bool]


async def dial(host: str, port: int, allowed: Allowed | None = None) -> socket.socket:
    """A connected socket, which is the caller's to close. Raises OSError where no address takes the connection.

    Where ``allowed`` refuses one of the host's addresses, none is tried: a name that leads inside as well as outside
    is a trap. What was asked is what is connected to, so it does not help to tell another address the next time.
    There is no deadline in here; cancelling closes what was begun.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    if allowed is not None and not all(allowed(str(address[0])) for *_, address in found):
        raise OSError("an address that is not allowed")
    addresses = in_turn((family, address) for family, _, _, _, address in found)
    if len(addresses) == 1:
        return await _connected(addresses[0])
    return await first(addresses)


def in_turn(addresses: Iterable[Address]) -> Sequence[Address]:
    """The same addresses, their families taking turns, the first of them first."""
    by_family: dict[socket.AddressFamily, list[Address]] = {}
    for address in dict.fromkeys(addresses):
        by_family.setdefault(address[0], []).append(address)
    return [address for address in chain.from_iterable(zip_longest(*by_family.values())) if address is not None]


async def first(addresses: Sequence[Address], stagger: float = STAGGER) -> socket.socket:
    """The connection that is there first; the next address is tried when one fails, or after ``stagger`` seconds."""
    untried = deque(addresses)
    running: set[asyncio.Task[socket.socket]] = set()
    failure: BaseException = OSError("no address")
    try:
        while untried or running:
            if untried:
                running.add(asyncio.create_task(_connected(untried.popleft())))
            done, running = await asyncio.wait(
                running, timeout=stagger if untried else None, return_when=asyncio.FIRST_COMPLETED
            )
            errors = {task: task.exception() for task in done}
            won = [task for task, error in errors.items() if error is None]
            if won:
                running.update(won[1:])
                return won[0].result()
            failure = next(filter(None, errors.values()), failure)
        raise failure
    finally:
        for task in running:
            task.add_done_callback(_give_up)
            task.cancel()


def _give_up(task: asyncio.Task[socket.socket]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()


async def _connected(address: Address) -> socket.socket:
    sock = socket.socket(address[0], socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setblocking(False)
        with suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(sock, address[1])
    except BaseException:
        sock.close()
        raise
    return sock
