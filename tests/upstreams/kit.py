"""What the tests of the upstreams share."""

import json
from typing import Any, Self

from headrace.core.routing import Answer, Call
from headrace.errors import (
    HeadraceError,
)
from headrace.model.record import Record
from headrace.testing.scripted_upstream import (
    ScriptedUpstream,
)
from headrace.upstreams.openai import OpenAI

KEY = "sk-canary-0123456789"


def ask(*, stream: bool = True, headers: dict[str, str] | None = None, **fields: Any) -> Call:
    body = {"model": "alias", "messages": [{"role": "user", "content": "Hi"}], "stream": stream, **fields}
    return Call(dialect="openai.chat", body=body, model="real", stream=stream, headers=headers or {})


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


def text_of(records: list[Record]) -> str:
    chunks = [json.loads(record.data) for record in records]
    return "".join(choice["delta"].get("content", "") for chunk in chunks for choice in chunk.get("choices", ()))
