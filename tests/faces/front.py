"""The whole app in process, over upstreams that play scripts, with a clock that stands still."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from headrace.app import create_app
from headrace.config import Settings, Store, Upstream
from headrace.core.clock import Clock
from headrace.core.registry import Registry
from headrace.parts import Parts
from headrace.testing.asgi import AppDriver, Exchange, Headers, Response
from headrace.testing.clock import FakeClock, settle
from headrace.testing.fake_upstream import End, FakeUpstream, chunk, finish
from headrace.upstreams.demo import Demo
from headrace.wire.sse import Decoder, Frame

#: Keys of two owners.
ALICE, BOB = "alice-key-0123456789", "bob-key-0123456789ab"
KEYS = {"alice": ALICE, "bob": BOB}

MESSAGES = [{"role": "user", "content": "Hello"}]


class Fake(FakeUpstream):
    """The upstream of most tests: it knows one model, ``fake``."""

    def __init__(self, steps: Any = (), **options: Any) -> None:
        super().__init__(steps, **options)
        self.configured = ("fake",)

    def known(self) -> Sequence[str]:
        return self.configured


class Front:
    """What a test asks."""

    def __init__(self, driver: AppDriver, parts: Parts, clock: Clock) -> None:
        self.driver = driver
        self.service = parts.service
        self.registry: Registry = parts.service.registry
        self.clock = clock

    def open(self, method: str, target: str, body: Any = b"", headers: Headers = (), **options: Any) -> Exchange:
        """As the driver's; a ``body`` that is no bytes becomes JSON."""
        raw = body if isinstance(body, bytes | tuple) else json.dumps(body).encode()
        return self.driver.open(method, target, raw, headers, **options)

    async def ask(self, method: str, target: str, body: Any = b"", headers: Headers = (), **options: Any) -> Response:
        async with self.open(method, target, body, headers, **options) as exchange:
            return await exchange.response()

    async def json(self, method: str, target: str, body: Any = b"", headers: Headers = (), status: int = 200) -> Any:
        reply = await self.ask(method, target, body, headers)
        assert reply.status == status, (reply.status, reply.body)
        return json.loads(reply.body)


class ScriptedParts(Parts):
    """The parts of the house, with upstreams that are given."""

    def __init__(self, settings: Settings, clock: Clock, upstreams: Mapping[str, Any]) -> None:
        super().__init__(settings, clock)
        self._given = upstreams

    def _upstream(self, name: str, given: Upstream) -> Any:
        return self._given[name] if name in self._given else Demo(clock=self._clock, tokens_per_second=0.0, name=name)


@asynccontextmanager
async def front(
    *upstreams: FakeUpstream, folder: Path | None = None, spec_version: str = "2.4", **settings: Any
) -> AsyncIterator[Front]:
    """An app over ``memory:``, or over SQLite in ``folder``. The demo's tokens come at once here."""
    given = {upstream.name: upstream for upstream in upstreams}
    made = Settings(
        store=Store(data="memory:" if folder is None else str(folder)),
        upstreams={**{name: Upstream(kind="demo") for name in given}, "demo": Upstream(kind="demo")},
        **settings,
    )
    clock = FakeClock()
    async with ScriptedParts(made, clock, given) as parts:
        app = create_app(made)
        app.state.service = parts.service
        yield Front(AppDriver(app, spec_version=spec_version), parts, clock)
        await settle()


def script(*texts: str, usage: Any = None) -> list[Any]:
    """A good answer."""
    return [*(chunk(text) for text in texts), [finish()], End("stop", usage)]


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def frames(body: bytes) -> list[Frame]:
    """What a client with a real parser reads of a body."""
    decoder = Decoder()
    found = decoder.feed(body)
    decoder.close()
    assert not decoder.discarded
    return found


def blocks(body: bytes) -> list[str]:
    """The blocks of a body as text, each without its blank line."""
    text = body.decode()
    assert text.endswith("\n\n")
    return text[:-2].split("\n\n")


def token_text(found: Sequence[Frame]) -> str:
    """The text in chat chunks."""
    datas = [json.loads(frame.data) for frame in found if frame.data != b"[DONE]"]
    return "".join(choice["delta"].get("content") or "" for data in datas for choice in data.get("choices", ()))
