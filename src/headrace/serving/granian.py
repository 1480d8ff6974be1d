"""HTTP/2 and TLS in front of the app: Granian, on a socket that listens already."""

import socket

from granian._granian import SocketHolder
from granian.constants import Interfaces, TaskImpl
from granian.http import HTTP1Settings, HTTP2Settings
from granian.log import LogLevels
from granian.server.embed import Server
from starlette.types import ASGIApp

from headrace.config import Server as ServerSettings
from headrace.serving.sockets import BACKLOG, HEAD_BYTES, HEAD_TIMEOUT


class GranianListener(Server):
    """Granian on a socket that is bound already; by itself it takes addresses only."""

    def __init__(self, app: ASGIApp, listening: socket.socket, server: ServerSettings, connections: int) -> None:
        super().__init__(
            app,
            interface=Interfaces.ASGINL,
            # Its other implementation has no real tasks, and a reply must be able to cancel a blocked send.
            task_impl=TaskImpl.asyncio,
            backlog=BACKLOG,
            backpressure=connections,
            websockets=False,
            http1_settings=HTTP1Settings(header_read_timeout=int(HEAD_TIMEOUT * 1000), max_buffer_size=HEAD_BYTES),
            http2_settings=HTTP2Settings(max_concurrent_streams=1000, max_headers_size=64 << 10),
            log_level=LogLevels.error,
            ssl_cert=server.tls_certificate,
            ssl_key=server.tls_key,
        )
        self._listening = listening

    def _init_shared_socket(self) -> None:
        self._ssp = None
        self._shd = SocketHolder(self._listening.fileno(), False, BACKLOG)  # type: ignore[assignment, call-arg]
