"""The acceptor: takes connections from a listening socket, as many in a turn of the event loop as have come.

uvloop's own server takes one in each turn (libuv does since 1.45), and the turn of a busy loop takes tens of
milliseconds: then clients wait for seconds until somebody listens to them.
"""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from contextlib import suppress

from headrace.core.tasks import Tasks
from headrace.serving.room import Room

logger = logging.getLogger(__name__)

#: Connections that are taken in one turn, so that those who are served already, and other workers, have theirs.
AT_ONCE = 32

#: Seconds without accepting where the system has no descriptor or memory left for one more.
PAUSE = 0.5
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

#: What is said to who cannot be served.
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Acceptor:
    """Accepts on ``listening``, which it closes in the end.

    ``make`` makes a connection's protocol, which gives its place in the ``room`` back when it is lost. For whom there
    is none is told so.
    """

    def __init__(self, listening: socket.socket, make: Callable[[], asyncio.Protocol], room: Room) -> None:
        self._listening = listening
        self._make = make
        self._room = room
        self._loop = asyncio.get_running_loop()
        self._beginning = Tasks("beginning a connection")
        self._paused: asyncio.TimerHandle | None = None
        self._listen()

    async def close(self) -> None:
        """Accept no more. What was accepted before has its protocol when this returns."""
        if self._paused is not None:
            self._paused.cancel()
        elif self._listening.fileno() >= 0:
            self._loop.remove_reader(self._listening)
        self._listening.close()
        await self._beginning.close(PAUSE)

    def _listen(self) -> None:
        self._paused = None
        self._loop.add_reader(self._listening, self._accept)

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            try:
                accepted, _ = self._listening.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._pause(error)
                    return
                continue  # the client has left already
            accepted.setblocking(False)
            if self._room.admit():
                self._beginning.spawn(self._begin(accepted))
            else:
                _refuse(accepted)

    def _pause(self, error: OSError) -> None:
        logger.warning("no connection can be accepted (%s)", errno.errorcode.get(error.errno or 0, "unknown"))
        self._loop.remove_reader(self._listening)
        self._paused = self._loop.call_later(PAUSE, self._listen)

    async def _begin(self, accepted: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._make, accepted)
        except OSError:
            self._room.give_back()
            accepted.close()


def _refuse(accepted: socket.socket) -> None:
    with accepted, suppress(OSError):
        accepted.send(_FULL)
        accepted.shutdown(socket.SHUT_WR)
        accepted.recv(1 << 16)  # else the end would be a reset, and could overtake what is said
