"""HTTP/1.1 in front of the app: all connections of one listening socket.

They run on the event loop itself, so a chunk crosses no thread on its way out. Their deadlines are looked at once a
second for all of them.
"""

import asyncio
import socket
from email.utils import formatdate

from starlette.types import ASGIApp
from uvicorn import Config
from uvicorn.server import ServerState

from headrace.serving.acceptor import Acceptor
from headrace.serving.connection import Connection
from headrace.serving.room import Room

#: Seconds for which a connection is kept between two requests; longer than proxies and clients keep theirs.
KEEP_ALIVE = 75

#: Seconds between two looks at all connections.
TICK = 1.0


class Http1Listener:
    """Serves an app on a socket that listens already.

    ``connections`` is how many may be open. For one more an idle one is closed; where none is, it gets a 503.
    """

    def __init__(self, app: ASGIApp, listening: socket.socket, connections: int) -> None:
        self._listening = listening
        self._config = Config(
            app,
            interface="asgi3",
            http="httptools",
            loop="none",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE,
        )
        self._config.load()
        self._state = ServerState()
        self._room = Room(connections)
        self._stopped = asyncio.Event()
        self._empty = asyncio.Event()

    async def serve(self) -> None:
        """Serve until told to stop, and until every connection has ended."""
        self._tick()
        acceptor = Acceptor(self._listening, self._made, self._room)
        ticking = asyncio.create_task(self._ticking())
        try:
            await self._stopped.wait()
            await acceptor.close()
            for connection in tuple(self._state.connections):
                connection.shutdown()
            self._lost()
            await self._empty.wait()
        finally:
            ticking.cancel()
            await acceptor.close()
            for connection in tuple(self._state.connections):
                connection.transport.abort()

    def stop(self) -> None:
        """Accept no more, and close each connection after the reply that is under way."""
        self._stopped.set()

    def _made(self) -> Connection:
        return Connection(self._config, self._state, self._lost, self._room)

    def _lost(self) -> None:
        if self._stopped.is_set() and not self._state.connections:
            self._empty.set()

    async def _ticking(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            self._tick()

    def _tick(self) -> None:
        self._state.default_headers = [(b"date", formatdate(usegmt=True).encode())]
        now = asyncio.get_running_loop().time()
        for connection in tuple(self._state.connections):
            if isinstance(connection, Connection):
                connection.tick(now)
