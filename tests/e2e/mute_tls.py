"""Servers with which no TLS handshake succeeds: one says nothing, one has a certificate that nobody trusts."""

import socket
import ssl
import threading
from typing import Self

import trustme


class MuteServer:
    """Accepts connections (the kernel does) and says nothing, so that a handshake never ends."""

    def __enter__(self) -> Self:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._socket.getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


class TlsServer:
    """Shows every connection a certificate for its address, of an authority that nobody knows."""

    def __enter__(self) -> Self:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trustme.CA().issue_cert("127.0.0.1").configure_cert(self._context)
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, name="untrusted TLS", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._socket.accept()
            except OSError:
                return
            plain.settimeout(2)
            try:
                self._context.wrap_socket(plain, server_side=True).close()
            except OSError:
                plain.close()
