"""A generator, wrapped, survives cuts and ``kill -9``: an app of the public API, in a process, over real sockets."""

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.e2e.server import HeadraceServer, free_port
from tests.e2e.wire import CLEAN, CUT, Http1

from headrace.wire.sse import Decoder, Frame

APP = Path(__file__).parent / "survivor.py"


class AppServer(HeadraceServer):
    """uvicorn with an app file."""

    def launch(self) -> "subprocess.Popen[bytes]":
        self.port = self.port or free_port()
        shutil.copy(APP, self.folder / APP.name)
        command = [sys.executable, "-m", "uvicorn", f"{APP.stem}:app", "--port", str(self.port)]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [*command, "--log-level", "warning"], cwd=self.folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )


class Follower:
    """A client that reads events, loses its connection as often as it is told, and goes on from the last id."""

    def __init__(self, port: int, path: str) -> None:
        self._port = port
        self._path = path
        self.where = ""
        self.frames: list[Frame] = []
        self.ended = ""

    @property
    def numbers(self) -> list[int]:
        return [json.loads(frame.data)["number"] for frame in self.frames if not frame.event]

    @property
    def last(self) -> list[str]:
        """What came after the numbers."""
        return [frame.event for frame in self.frames if frame.event]

    async def read(self, more: int) -> bool:
        """One connection: read so many events more, then cut it. False where the stream has come to its end."""
        async with await Http1.connect(self._port) as http:
            if self.where:
                await http.ask("GET", self.where, headers={"last-event-id": self.frames[-1].id} if self.frames else {})
            else:
                await http.ask("POST", self._path)
                self.where = http.headers["location"]
            if http.status == 204:
                return False
            assert http.status == 200, http.status
            decoder, enough = Decoder(), len(self.frames) + more
            while len(self.frames) < enough and (chunk := await http.chunk()):
                self.frames += decoder.feed(chunk)[: enough - len(self.frames)]
            self.ended = http.ended
            return not self.ended


def runs(server: AppServer) -> int:
    return server.json("GET", "/runs")


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/async", "/plain"])
async def test_stream_survives_a_cut_at_every_item(tmp_path, path):
    """While it is made, and once it is complete: every item comes once, in order, and the generator ran once."""
    with AppServer(tmp_path) as server:
        follower = Follower(server.port, f"{path}?last=40")
        while await follower.read(1):
            pass
        assert (follower.numbers, follower.last) == (list(range(40)), ["close"])

        for seen in range(41):
            late = Follower(server.port, path)
            late.where, late.frames = follower.where, follower.frames[:seen]
            assert not await late.read(1000)
            assert late.ended == CLEAN
            assert (late.numbers, late.last) == (list(range(40)), ["close"])
        assert runs(server) == 1


@pytest.mark.slow
@pytest.mark.timeout(60)
async def test_stream_survives_kill_9(tmp_path):
    """What was seen goes on exactly, and then the interruption is told; nothing is run a second time."""
    with AppServer(tmp_path) as server:
        for seen in (1, 17, 80):
            followers = [Follower(server.port, path) for path in ("/async", "/plain") * 3]
            await asyncio.gather(*(follower.read(seen + n) for n, follower in enumerate(followers)))
            watching = [asyncio.create_task(follower.read(10**6)) for follower in followers[:2]]
            await asyncio.sleep(0.1)
            server.kill()
            assert not any(await asyncio.gather(*watching))
            assert [follower.ended for follower in followers[:2]] == [CUT, CUT]

            server.start()
            before = [len(follower.numbers) for follower in followers]
            for follower in followers:
                assert not await follower.read(10**6)
                assert follower.ended == CLEAN
            for follower, had in zip(followers, before, strict=True):
                assert follower.numbers == list(range(len(follower.numbers)))
                assert len(follower.numbers) >= had > 0
                assert follower.last == ["error", "close"]
                told = json.loads(follower.frames[-2].data)
                assert (told["code"], told["retry"]) == ("interrupted", True)
            assert runs(server) == 0


@pytest.mark.slow
async def test_lines_survive_kill_9(tmp_path):
    """A client without event ids counts its lines, and goes on after as many."""
    with AppServer(tmp_path) as server:
        async with await Http1.connect(server.port) as http:
            await http.ask("POST", "/lines")
            where, seen = http.headers["location"], b""
            while seen.count(b"\n") < 20:
                seen += await http.chunk()
            server.kill()
            seen += await http.rest()
            assert http.ended == CUT
        whole = seen[: seen.rfind(b"\n") + 1]
        server.start()
        async with await Http1.connect(server.port) as http:
            count = whole.count(b"\n")
            await http.ask("GET", f"{where}?after={count}")
            rest = await http.rest()
            assert http.ended == CLEAN

    *lines, error = [json.loads(line) for line in (whole + rest).splitlines()]
    assert [line["number"] for line in lines] == list(range(len(lines)))
    assert len(lines) >= 20
    assert error["error"]["code"] == "interrupted"
