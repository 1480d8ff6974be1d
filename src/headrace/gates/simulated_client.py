"""A client of a simulation: it starts or joins a stream, reads, is cut off, and comes back with its cursor."""

import re
from collections.abc import Callable

from headrace.core.log import Head, Name
from headrace.core.reader import Reader
from headrace.core.registry import Registry
from headrace.core.routing import Attempt
from headrace.core.stream import NOTHING_SEEN, parse_event_id
from headrace.errors import NotFound, OffsetAhead, StreamGone
from headrace.faces.dialects import all_seen, view
from headrace.model.leave import LeavePolicy
from headrace.model.request import Meta

OWNER = "local"
_IDS = re.compile(rb"id: (\S+)\n\n")


class Client:
    """One of them. ``key`` is its idempotency key where it starts the stream itself; ``shown`` the dialect it reads."""

    def __init__(
        self,
        name: str,
        shown: str,
        *,
        key: str = "",
        id: str = "",
        policy: LeavePolicy,
        attempt: Attempt | None = None,
        seen: Callable[["Client"], None],
    ) -> None:
        self.name = name
        self.shown = shown
        self.key = key
        self.id = id
        self.text = b""
        #: What was told without a place in the log.
        self.parting = b""
        self.cursor = NOTHING_SEEN
        #: It has read everything, its stream was taken away, or it does not come back.
        self.done = self.gone = self.left = False
        self.refused = False
        self._policy = policy
        self._attempt = attempt
        self._seen = seen

    async def visit(self, registry: Registry, now: float) -> None:
        """One connection, from its beginning to its end. Raises what it meets, as a route would answer it."""
        if not self.id:
            self.id = await self._start(registry, now)
        try:
            head = await registry.find(OWNER, self.id)
            if all_seen(head, self.cursor, self.shown):
                self.done = True
                return
        except (StreamGone, NotFound):
            self.gone = True
            return
        except OffsetAhead:
            self.refused = self.done = True
            return
        await self._read(registry, head)

    async def _start(self, registry: Registry, now: float) -> str:
        if self._attempt is None:
            raise AssertionError
        meta = Meta(owner=OWNER, dialect=self.shown, created=now, model="m", on_leave=str(self._policy))
        names = [Name("idempotency", self.key, "the same body")]
        try:
            return (await registry.start(meta, [self._attempt], self._policy, names)).head.id
        except StreamGone:
            self.gone = True
            raise

    async def _read(self, registry: Registry, head: Head) -> None:
        shape = view(self.shown)
        reader = registry.read(head, shape, self.cursor, participant=True)
        try:
            while data := await reader.read():
                if data != shape.ping:
                    self._take(data)
        finally:
            reader.close()
        self._ended(reader)

    def _ended(self, reader: Reader) -> None:
        outcome = reader.outcome
        self.gone = outcome is not None and outcome.reason == "gone"
        self.done = outcome is not None and not self.gone

    def _take(self, data: bytes) -> None:
        end = 0
        for match in _IDS.finditer(data):
            end = match.end()
            self.cursor = parse_event_id(match[1].decode())[1]
        self.text += data[:end]
        self.parting += data[end:]
        self._seen(self)
