"""A relay before a server that loses its answers: requests get through, and then the connection breaks."""

import asyncio
from typing import Self


class Relay:
    """Used as a context; ``port`` is where it listens."""

    port: int

    def __init__(self, target: int) -> None:
        self._target = target
        self._losing = False
        self._always = False
        self.lost = False

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    def lose_answers(self, *, always: bool = False) -> None:
        """Lose the next answer to a script, or all of them, and break the connection that waited for it."""
        self._losing, self._always, self.lost = True, always, False

    def heal(self) -> None:
        """Lose nothing more."""
        self._losing = False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection("127.0.0.1", self._target)
        asked = [False]
        await asyncio.gather(self._forward(reader, forth, asked), self._answer(back, writer, asked))

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: list[bool]) -> None:
        while data := await _read(reader):
            asked[0] = b"EVAL" in data and b"epoch" not in data
            writer.write(data)
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: list[bool]) -> None:
        while data := await _read(reader):
            if self._losing and asked[0]:
                self._losing, self.lost = self._always, True
                break
            writer.write(data)
        writer.close()


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(1 << 16)
    except ConnectionError:
        return b""
