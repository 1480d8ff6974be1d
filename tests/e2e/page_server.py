"""What a web page needs around it: a server of its own on loopback, a browser, and a network that breaks."""

import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, Queue
from typing import Self

#: As drivers of browsers start it: it asks nobody for updates, and no keyring for what its cookies are sealed with.
_OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--password-store=basic",
    "--use-mock-keychain",
)


class PageServer:
    """Serves pages by their path, and keeps what they send home by POST."""

    def __init__(self) -> None:
        self.pages: dict[str, str] = {}
        self.results: Queue[str] = Queue()
        #: What was asked of it, and when, by the monotonic clock.
        self.asked: list[tuple[float, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def parse_request(self) -> bool:
                parsed = super().parse_request()
                outer.asked.append((time.monotonic(), self.requestline))
                return parsed

            def do_GET(self) -> None:
                page = outer.pages.get(self.path.partition("?")[0])
                self.send_response(404 if page is None else 200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.end_headers()
                self.wfile.write((page or "").encode())

            def do_POST(self) -> None:
                outer.results.put(self.rfile.read(int(self.headers["content-length"])).decode())
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join(5)
        self._server.server_close()

    def shown_in_browser(self, path: str, folder: Path, *, timeout: float = 50) -> str:
        """Open a page in Chromium and wait for what it sends home.

        It takes up to five seconds on a busy machine of ours; another was not done after 15.
        """
        command = [chromium(), *_OPTIONS, f"--user-data-dir={folder}", f"{self.origin}{path}"]
        begun, before = time.monotonic(), len(self.asked)
        with (folder / "log").open("wb") as log:
            browser = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            return self.results.get(timeout=timeout)
        except Empty:
            asked = [f"{at - begun:.1f} s: {line}" for at, line in self.asked[before:]]
            log = [line for line in (folder / "log").read_text().splitlines() if "dbus" not in line]
            told = "\n".join([*asked, *log[-20:]])
            raise AssertionError(f"the page sent nothing home, and asked:\n{told}") from None
        finally:
            browser.send_signal(signal.SIGTERM)
            try:
                browser.wait(5)
            except subprocess.TimeoutExpired:
                browser.kill()
                browser.wait()


def chromium() -> str:
    """Where Chromium is. Fails the test where it is missing: these tests are not skipped by chance."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert found, "this test needs Chromium: sudo apt-get install chromium (or: make test LEAVE_OUT=browser)"
    return found


class CuttingProxy:
    """A network that breaks: each connection's answer is cut, with a reset, when it has brought ``after``.

    Only the first ``cuts`` answers with these bytes in them are cut; all else passes.
    """

    def __init__(self, port: int, after: bytes, cuts: int = 1) -> None:
        self._target = port
        self._after = after
        self._left = cuts
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._accept, daemon=True)

    @property
    def url(self) -> str:
        """Its origin."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        for one in list(self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._socket.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                self._open |= {client, server}
                threading.Thread(target=self._pass, args=(client, server, False), daemon=True).start()
                threading.Thread(target=self._pass, args=(server, client, True), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, answer: bool) -> None:
        seen = b""
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
                seen += data if answer and self._left else b""
                if self._after in seen and self._left:
                    self._left -= 1
                    break
        for one in (source, sink):
            self._open.discard(one)
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


def page(script: str, values: Mapping[str, str]) -> str:
    """A page that runs a script, with some constants in front of it, and sends home what ``finish`` is given."""
    constants = "".join(f"const {name} = {value!r};" for name, value in values.items())
    home = "const finish = (told) => fetch('/result', {method: 'POST', body: JSON.stringify(told)});"
    return f"<!doctype html><title>page</title><script>{constants}{home}{script}</script>"
