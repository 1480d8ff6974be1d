"""The first address that answers wins, and what the others had begun is closed."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from headrace.upstreams.http_dial import Address, dial, first, in_turn

V4, V6 = socket.AF_INET, socket.AF_INET6


@contextmanager
def listening(backlog: int = 8) -> Iterator[Address]:
    with socket.create_server(("127.0.0.1", 0), backlog=backlog) as server:
        yield V4, server.getsockname()


@contextmanager
def mute() -> Iterator[Address]:
    """An address that neither takes a connection nor refuses it: its queue is full."""
    with listening(backlog=0) as address, socket.create_connection(address[1]), socket.socket() as second:
        second.setblocking(False)
        second.connect_ex(address[1])
        yield address


def refusing() -> Address:
    with listening() as address:
        return address


def test_families_take_turns_and_the_first_stays_first():
    given = [(V6, "a"), (V6, "b"), (V6, "b"), (V4, "c"), (V4, "d"), (V4, "e")]
    assert in_turn(given) == [(V6, "a"), (V4, "c"), (V6, "b"), (V4, "d"), (V4, "e")]


async def test_an_address_that_refuses_is_passed_over_at_once():
    with listening() as good:
        sock = await first([refusing(), refusing(), good], stagger=60.0)
        assert sock.getpeername() == good[1]
        sock.close()


async def test_an_address_that_is_mute_is_overtaken():
    with mute() as deaf, listening() as good:
        sock = await first([deaf, good], stagger=0.01)
        assert sock.getpeername() == good[1]
        sock.close()


async def test_of_two_that_answer_at_once_one_is_closed():
    """Closed by us: one that was left to the garbage collector is a ResourceWarning, and so an error here."""
    with listening() as one, listening() as other:
        (await first([one, other], stagger=0.0)).close()
        await asyncio.sleep(0)


async def test_the_last_failure_is_told_when_all_have_failed():
    with pytest.raises(ConnectionRefusedError):
        await first([refusing(), refusing()], stagger=60.0)
    with pytest.raises(OSError, match="no address"):
        await first([])


async def test_cancelling_closes_what_was_begun():
    """A socket that was left would be a ResourceWarning, and so an error here; a task fails every test."""
    with mute() as deaf:
        dialling = asyncio.ensure_future(first([deaf, deaf], stagger=0.0))
        await asyncio.sleep(0.02)
        assert not dialling.done()
        dialling.cancel()
        await asyncio.wait({dialling})


async def test_a_connection_does_not_wait_to_fill_its_packets():
    with listening() as good:
        sock = await dial("localhost", good[1][1])
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        sock.close()
