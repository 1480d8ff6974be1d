"""Appending to a topic from a shell, each line once however often it has to be sent."""

import secrets
from collections.abc import Callable, Iterator, Sequence

import msgspec

from headrace.client.errors import Refused
from headrace.client.exchange import Asked
from headrace.client.server import Server
from headrace.client.tail import url_of

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"

#: Bytes that a line may have before it is sent in pieces.
LONGEST = 1 << 20


class Appender:
    """A writer of one topic, as what the protocol calls an idempotent producer: what comes twice is taken once.

    ``kind`` is what the topic becomes where it is not there.
    """

    def __init__(self, server: Server, path: str, *, kind: str = TEXT) -> None:
        self._server = server
        self._target = url_of(path)
        self._kind = kind
        self._id = f"cli-{secrets.token_hex(8)}"
        self._sequence = 0
        self._lines = 0

    def open(self) -> None:
        """Find the topic, or create it. Raises Refused and Unreachable, as all of these do."""
        try:
            found = self._server.ask(Asked("HEAD", self._target))
        except Refused as error:
            if error.status != 404:
                raise Refused(f"The topic cannot be used (status {error.status}).", status=error.status) from None
            found = self._server.ask(Asked("PUT", self._target, headers={"content-type": self._kind}))
        self._kind = found.headers.get("content-type", self._kind)

    def append(self, lines: bytes) -> None:
        """Append text: as it is, or in a JSON topic the value of each line. Raises Refused for one that is none."""
        if self._kind.partition(";")[0].strip().lower() != JSON:
            self._send(lines)
            return
        values: list[bytes] = []
        for line in lines.splitlines():
            self._lines += 1
            if not line.strip():
                continue
            if not _is_json(line):
                self._send_values(values)
                raise Refused(f"Line {self._lines} is not JSON, which this topic holds.")
            values.append(line)
        self._send_values(values)

    def close(self) -> None:
        """Close the topic: nothing more is appended to it, by nobody."""
        self._server.ask(Asked("POST", self._target, headers={"stream-closed": "true"}))

    def _send_values(self, values: Sequence[bytes]) -> None:
        if values:
            self._send(b"[" + b",".join(values) + b"]")

    def _send(self, body: bytes) -> None:
        if not body:
            return
        headers = {
            "content-type": self._kind,
            "producer-id": self._id,
            "producer-epoch": "0",
            "producer-seq": str(self._sequence),
        }
        self._server.ask(Asked("POST", self._target, body, headers))
        self._sequence += 1


def blocks(read: Callable[[], bytes]) -> Iterator[bytes]:
    """What a pipe holds, in whole lines, as many at once as have come; an unfinished last one gets its end."""
    rest = bytearray()
    while data := read():
        rest += data
        end = rest.rfind(b"\n", len(rest) - len(data)) + 1
        if not end and len(rest) > LONGEST:
            end = len(rest)
        if end:
            yield bytes(rest[:end])
            del rest[:end]
    if rest:
        yield bytes(rest) + b"\n"


def _is_json(line: bytes) -> bool:
    try:
        msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # or nested deeper than any topic takes it
        return False
    return True
