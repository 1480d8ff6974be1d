"""Which listener serves an app."""

import importlib
import socket
from typing import Protocol

from starlette.types import ASGIApp

from headrace.config import Server
from headrace.serving.http1 import Http1Listener
from headrace.serving.sockets import connections


class Listener(Protocol):
    """Serves an app on one socket."""

    async def serve(self) -> None:
        """Serve until told to stop, and until what is under way has ended."""

    def stop(self) -> None:
        """Accept no more, and end each connection after the reply that is under way."""


def listener(app: ASGIApp, listening: socket.socket, server: Server) -> Listener:
    """Granian where HTTP/2 or TLS is asked for, which takes a tenth of a second to load; else our own."""
    if server.http2 or server.tls_certificate is not None:
        granian = importlib.import_module("headrace.serving.granian")
        made: Listener = granian.GranianListener(app, listening, server, connections())
        return made
    return Http1Listener(app, listening, connections())
