"""A disk that fills up under running answers: nothing uncommitted is told, reading goes on, and it heals by itself."""

# ruff: noqa: ASYNC110 - it looks at another process again and again

import asyncio
import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.clients import Client, chat
from tests.e2e.server import HeadraceServer, upstream_toml

from headrace.testing.scripted_upstream import Received, ScriptedUpstream, Stall, Trickle, answer, head, sse

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

WORDS = [f"{number} " for number in range(4000)]

#: Makes the first argument a file system of its own, which nobody else sees, and executes the rest.
_SMALL_DISK = 'mount -t tmpfs -o size=16m tmpfs "$0" && exec "$@"'


def _can_mount() -> bool:
    probe = ["unshare", "-Urm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    with contextlib.suppress(OSError):
        return subprocess.run(probe, capture_output=True, check=False).returncode == 0
    return False


def script(request: Received) -> list[object]:
    """A short answer, or words without end."""
    if b"at once" in request.body:
        return [answer("one ", "two")]
    return [head(body="close"), Trickle(sse(*WORDS), size=1400, pause=0.01), Stall()]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[HeadraceServer]:
    """Its data folder is a disk of 16 MB. Not started yet."""
    if not _can_mount():
        pytest.fail("this test needs user namespaces (unshare -Urm) to mount a small file system of its own")
    (tmp_path / "data").mkdir()
    made = HeadraceServer(tmp_path, wrapper=["unshare", "-Urm", "sh", "-c", _SMALL_DISK, str(tmp_path / "data")])
    yield made
    made.stop()


def fill(server: HeadraceServer) -> Path:
    """Take all the space that is left on its disk."""
    filler = Path(f"/proc/{server.pid}/root{server.folder}/data/filler")
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        for size in (1 << 16, 1 << 12):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)):
                    pass
    return filler


async def get(server: HeadraceServer, path: str) -> Client:
    return await (await Client(server.port).open("GET", path)).rest()


async def test_a_full_disk_stops_writing_only_and_for_as_long_as_it_is_full(server: HeadraceServer) -> None:
    """Readers are cut, the upstream is let go, ``/ready`` is red; with space again it is failed, and all goes on."""
    async with ScriptedUpstream(script) as upstream:
        (server.folder / "headrace.toml").write_text(upstream_toml(f"{upstream.url}/v1"))
        await asyncio.to_thread(server.start)
        pid = server.pid
        whole = await (await Client(server.port).open("POST", "/v1/chat/completions", chat(text="at once"))).rest()
        assert whole.done
        client = await Client(server.port).open("POST", "/v1/chat/completions", chat())
        await client.until(lambda client: len(client.body) > 20_000)
        filler = await asyncio.to_thread(fill, server)
        await client.rest()
        assert not client.whole, "an end that is not kept is not told"
        assert not client.done
        assert not client.errors
        assert "".join(WORDS).startswith(client.text)
        async with asyncio.timeout(2):
            await upstream.connections[-1].closed.wait()

        assert (await get(server, "/ready")).status == 503
        assert (await get(server, "/health")).status == 200
        again = await get(server, f"/v1/chat/completions/{whole.stream}?stream=true&starting_after=0")
        assert again.text == "one two"
        assert again.done
        refused = await (await Client(server.port).open("POST", "/v1/chat/completions", chat(text="at once"))).rest()
        assert refused.status in (503, 507), (refused.status, refused.body)
        asked = len(upstream.requests)

        filler.unlink()
        async with asyncio.timeout(10):
            while (await get(server, "/ready")).status != 200:
                await asyncio.sleep(0.1)
        headers = {"Last-Event-ID": client.last_id.rpartition(":")[2]}
        resumed = await Client(server.port).open("GET", f"/v1/streams/{client.stream}", headers=headers)
        await resumed.rest()
        assert resumed.errors == ["storage"]
        assert "".join(WORDS).startswith(client.text + resumed.text)
        fresh = await (await Client(server.port).open("POST", "/v1/chat/completions", chat(text="at once"))).rest()
        assert fresh.done
        assert len(upstream.requests) == asked + 1
        assert server.pid == pid
