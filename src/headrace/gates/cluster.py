"""Two nodes behind nginx on one Redis: what the gates of several machines examine, on one."""

import asyncio
import signal
from contextlib import ExitStack
from typing import Self

from headrace.gates.gate import Run
from headrace.gates.words import configuration
from headrace.testing.client import Client
from headrace.testing.nginx import Nginx
from headrace.testing.redis_server import RedisServer
from headrace.testing.scripted_upstream import ScriptedUpstream
from headrace.testing.server import HeadraceServer

#: Seconds of a node's lease on Redis, and those that its answers get when it is told to stop.
LEASE = 2.0
DRAIN = 2.0

#: As docs/deployment.md has it: the last second may be lost, and what is full refuses to take more.
_REDIS = ("--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction")


class Cluster:
    """Use it as an async context. ``port`` is nginx's: who comes there is led to any of the ``nodes``."""

    def __init__(self, run: Run, upstream: ScriptedUpstream) -> None:
        folders = {name: run.folder / name for name in ("redis", "nginx")}
        for folder in folders.values():
            folder.mkdir()
        self.redis = RedisServer(folders["redis"], *_REDIS)
        more = f"[store]\nlease = {LEASE}\n[server]\ndrain = {DRAIN}\n"
        env = {"HEADRACE_DATA": self.redis.url}
        self.nodes = [run.server(name, configuration(upstream, more), env=env) for name in ("a", "b")]
        self._folder = folders["nginx"]
        self._stack = ExitStack()
        self.port = 0

    async def __aenter__(self) -> Self:
        try:
            self._stack.callback(self.redis.stop, signal.SIGKILL)
            await asyncio.to_thread(self.redis.start)
            await asyncio.gather(*(asyncio.to_thread(self._start, node) for node in self.nodes))
            nginx = Nginx(self._folder, [node.port for node in self.nodes])
            self.port = (await asyncio.to_thread(self._stack.enter_context, nginx)).port
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self._stack.close)

    def _start(self, node: HeadraceServer) -> None:
        self._stack.callback(node.stop, signal.SIGKILL)
        node.start()

    def other(self, node: HeadraceServer) -> HeadraceServer:
        """The one of the two that this is not."""
        return self.nodes[1 - self.nodes.index(node)]

    async def cancel(self, stream: str, port: int) -> None:
        """Stop an answer; one that has ended stays as it is."""
        await (await Client(port).open("POST", f"/v1/streams/{stream}/cancel")).rest()
