"""The whole reply: an answer that is delivered when it has ended."""

import asyncio
from collections.abc import Callable, Sequence

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from headrace.core.reader import Reader
from headrace.core.registry import Registry
from headrace.core.replay import all_records
from headrace.errors import StreamGone
from headrace.faces.reply import left
from headrace.model.outcome import Outcome
from headrace.model.record import Record

#: Makes the reply from the records, their format and the outcome.
Finish = Callable[[Sequence[Record], str, Outcome], Response]


class WholeReply(Response):
    """Waits for the end of a stream and sends what ``finish`` makes of its records and its outcome.

    The client who waits is a participant: it is the ``reader``, which is closed with the reply.
    """

    def __init__(self, registry: Registry, reader: Reader, finish: Finish) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers({})
        self._registry = registry
        self._reader = reader
        self._finish = finish

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait, then reply; where the client leaves first, send nothing."""
        leaving = asyncio.create_task(left(receive))
        ending = asyncio.create_task(self._registry.finished(self._reader.id))
        try:
            await asyncio.wait([leaving, ending], return_when=asyncio.FIRST_COMPLETED)
            if ending.done():
                if (outcome := ending.result()) is None:
                    raise StreamGone
                head = await self._registry.log.head(self._reader.id)
                records = await all_records(self._registry.log, self._reader.id)
                reply = self._finish(records, head.format if head else "", outcome)
                await reply(scope, receive, send)
        finally:
            leaving.cancel()
            ending.cancel()
            self._reader.close()
