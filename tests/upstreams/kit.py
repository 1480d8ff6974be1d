"""What the tests of the upstreams share."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, Self

from headrace.core.routing import Answer, Call, Upstream
from headrace.errors import HeadraceError
from headrace.model import events
from headrace.model.dialect import CHAT, MESSAGES, RESPONSES
from headrace.model.record import Record
from headrace.testing.scripted_upstream import ScriptedUpstream
from headrace.upstreams.anthropic import Anthropic
from headrace.upstreams.openai import OpenAI
from headrace.upstreams.profile import COMPATIBLE
from headrace.wire.formats import decoder

KEY = "sk-canary-0123456789"

#: Seconds within which what is closed at once is closed: less than an ended answer waits for its connection to be free.
AT_ONCE = 0.5

_TURNS = [{"role": "user", "content": "Hi"}]
_BODIES: dict[str, dict[str, Any]] = {
    CHAT: {"messages": _TURNS},
    RESPONSES: {"input": "Hi"},
    MESSAGES: {"messages": _TURNS, "max_tokens": 100},
}


def ask(
    dialect: str = CHAT, *, stream: bool = True, headers: dict[str, str] | None = None, query: str = "", **fields: Any
) -> Call:
    body = {"model": "alias", **_BODIES[dialect], "stream": stream, **fields}
    return Call(dialect=dialect, body=body, model="real", stream=stream, headers=headers or {}, query=query)


class Opened:
    """An upstream of a test, which closes at its end the answers that were left open."""

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.answers: list[Answer] = []

    async def open(self, call: Call) -> Answer:
        """The answer to a call, prepared as the registry would."""
        self.answers.append(await self.upstream.open(self.upstream.prepare(call)))
        return self.answers[-1]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for one in self.answers:
            one.close()
        await self.upstream.close()


def speaking(dialect: str, server: ScriptedUpstream, **options: Any) -> Opened:
    """An upstream that speaks a dialect with a scripted server."""
    if dialect == MESSAGES:
        return Opened(Anthropic(base_url=server.url, api_key=KEY, **options))
    profile = COMPATIBLE._replace(apis=(dialect,))
    return Opened(OpenAI(base_url=f"{server.url}/v1", api_key=KEY, **{"profile": profile, **options}))


class Client(OpenAI):
    """An upstream that closes at its end the answers that a test left open."""

    def __init__(self, server: ScriptedUpstream, **options: Any) -> None:
        super().__init__(base_url=f"{server.url}/v1", api_key=KEY, **options)
        self.answers: list[Answer] = []

    async def open(self, call: Call) -> Answer:
        self.answers.append(await super().open(call))
        return self.answers[-1]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for one in self.answers:
            one.close()
        await self.close()


async def drain(one: Answer) -> tuple[list[Record], HeadraceError | None]:
    """All records of an answer, and the error that ended it."""
    records: list[Record] = []
    try:
        while not one.ended:
            records += await one.read()
    except HeadraceError as error:
        return records, error
    return records, None


async def stopped(count: Callable[[], int]) -> int:
    """What is counted, once it has begun and then has not changed for several looks at all sockets."""
    async with asyncio.timeout(10):
        before, same = 0, 0
        while same < 5:
            await asyncio.sleep(0.05)
            now = count()
            before, same = now, same + 1 if before == now > 0 else 0
    return before


def text_of(records: list[Record]) -> str:
    chunks = [json.loads(record.data) for record in records]
    return "".join(choice["delta"].get("content", "") for chunk in chunks for choice in chunk.get("choices", ()))


def events_of(format: str, records: list[Record]) -> list[events.Event]:
    """What records say, as any face reads them."""
    reading = decoder(format)
    return [event for record in records for event in reading.decode(record)]


def told(format: str, records: list[Record]) -> str:
    """The text of an answer in any format."""
    return "".join(event.text for event in events_of(format, records) if isinstance(event, events.Text))
