"""Models that need no provider and no network, for a first look, for tests and for load.

The text of an answer depends on its request alone. Usage is exact, counted in tokens of the demo's own (a word of up to
sixteen letters, a CJK character or a punctuation mark, each with the white space before it).

========================  ==========================================================================
``demo``                  a readable answer in Markdown
``demo/echo``             the user's last message
``demo/counter``          ``1 2 3 …`` to 300, or to ``max_tokens``: a lost or doubled token shows
``demo/tools``            calls the request's tools, two of them at once; text once they have answered
``demo/reasoning``        thinks before it answers
``demo/slow-start``       as ``demo``, five seconds before its first token
``demo/stall``            falls silent for ever after a dozen tokens
``demo/truncate``         stops before its end after a dozen tokens
``demo/error-midstream``  reports an error after a dozen tokens
``demo/rate-limit``       refuses with 429
========================  ==========================================================================
"""

import asyncio
import itertools
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Never

import msgspec

from headrace.core.clock import Clock, SystemClock
from headrace.core.routing import Answer, Call, ModelCard
from headrace.errors import ErrorDetail, UpstreamFault, UpstreamRefused, UpstreamTruncated
from headrace.model import dialect
from headrace.model.outcome import Usage
from headrace.model.record import Record
from headrace.upstreams.demo_words import COUNT_MOST, FAULTS, Piece, pieces, tokens_in
from headrace.upstreams.prepare import prepared
from headrace.wire.chat.usage import usage_object
from headrace.wire.manner import Manner

#: The tokens that come before a demo of a fault shows it.
TOKENS_BEFORE_FAULT = 12
#: Seconds before the first token of ``demo/slow-start``.
SLOW_START = 5.0
#: Tokens that one read returns at most.
BATCH = 64
#: Alternatives that a request may ask for.
MAX_CHOICES = 8

#: All model names, the default first.
MODELS = (
    "demo",
    "demo/echo",
    "demo/counter",
    "demo/tools",
    "demo/reasoning",
    "demo/slow-start",
    "demo/stall",
    "demo/truncate",
    "demo/error-midstream",
    "demo/rate-limit",
)


class Demo:
    """The demo models as an :class:`~headrace.core.routing.Upstream`.

    ``tokens_per_second`` of 0 is as fast as they are read. ``new_id`` gives the random part of an answer's id.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        tokens_per_second: float = 40.0,
        new_id: Callable[[], str] = lambda: secrets.token_hex(16),
        name: str = "demo",
    ) -> None:
        self.name = name
        self._clock = clock or SystemClock()
        self._rate = tokens_per_second
        self._new_id = new_id

    def prepare(self, call: Call) -> Call:
        """It speaks OpenAI chat. See the port."""
        return prepared(call, (dialect.CHAT,), Manner(max_tokens_field="max_tokens"))

    async def open(self, call: Call) -> Answer:
        """Answer at once. Raises UpstreamRefused as a provider would: bad parameters, and ``demo/rate-limit``."""
        if call.model not in MODELS:
            raise _refused("The demo has no such model.", "model", status=404, code="model_not_found")
        if call.model == "demo/rate-limit":
            detail = ErrorDetail(message="The demo is out of tokens.", type="requests", code="rate_limit_exceeded")
            raise UpstreamRefused(accepted=False, code="rate_limit", status=429, detail=detail, retry_after=2.0)
        return DemoAnswer(call, f"chatcmpl-demo{self._new_id()}", self._clock, self._rate)

    async def models(self) -> Sequence[ModelCard]:
        """All of them."""
        return [ModelCard(id=model, owned_by="headrace") for model in MODELS]

    async def close(self) -> None:
        """Nothing to let go of."""


class DemoAnswer:
    """The :class:`~headrace.core.routing.Answer` of a demo model."""

    def __init__(self, call: Call, id: str, clock: Clock, rate: float) -> None:
        body = call.body
        self.format = dialect.CHAT if call.stream else dialect.whole(dialect.CHAT)
        self.upstream_id = id
        self.model = call.model
        self.finish_reason = ""
        self.usage: Usage | None = None
        self.ignored = 0
        self.ended = False
        self._stream = call.stream
        self._wants_usage = _wants_usage(body)
        self._choices = range(_count(body, "n", most=MAX_CHOICES) or 1)
        limit = _count(body, "max_completion_tokens") or _count(body, "max_tokens")
        self._limit = limit or COUNT_MOST
        self._input = tokens_in(body)
        self._pieces = pieces(call.model, body, limit, _stops(body))
        self._common = {"id": id, "created": int(clock.time()), "model": call.model}
        self._clock = clock
        self._rate = rate
        self._start = clock.monotonic() + (SLOW_START if call.model == "demo/slow-start" else 0.0)
        self._sent = 0
        self._thought = 0
        self._calls = 0
        self._begun = False
        self._closed = False
        self._sleeper: asyncio.Future[None] | None = None

    async def read(self) -> Sequence[Record]:
        """The tokens that are due by now, after a wait for the next one. See the port."""
        if not self._stream:
            return await self._read_whole()
        coming = await self._next()
        records = [] if self._begun else [self._chunk({"role": "assistant", "content": ""})]
        self._begun = True
        records += [self._chunk(self._delta(piece), choice) for piece in coming for choice in self._choices]
        return records + self._ending() if self.finish_reason else records

    def close(self) -> None:
        """Stop; a read that waits ends as one whose connection was cut."""
        self._closed = True
        self._wake()

    async def _read_whole(self) -> Sequence[Record]:
        """The whole body as one record, at the time at which its last token is due."""
        said: list[Piece] = []
        while not self.finish_reason:
            said += await self._next()
        message = self._message(said)
        choices = [{"index": i, "message": message, "finish_reason": self.finish_reason} for i in self._choices]
        self._end()
        return [self._record("chat.completion", choices=choices, usage=self._usage_body())]

    async def _next(self) -> list[Piece]:
        """The next tokens; sets ``finish_reason`` where these are the last."""
        most = min(BATCH, self._limit - self._sent)
        if self.model in FAULTS:
            most = min(most, TOKENS_BEFORE_FAULT - self._sent)
            if most <= 0:
                await self._fail()
        count = min(most, await self._due())
        coming = list(itertools.islice(self._pieces, count))
        self._sent += len(coming)
        self._thought += sum(piece.kind == "reasoning_content" for piece in coming)
        self._calls += sum(bool(piece.name) for piece in coming)
        if len(coming) < count or (self._sent == self._limit and next(self._pieces, None) is None):
            self.finish_reason = "tool_calls" if self._calls else "stop"
        elif self._sent == self._limit:
            self.finish_reason = "length"
        return coming

    async def _due(self) -> int:
        """How many tokens are due, at least one: where none is, after a wait."""
        if self._rate <= 0:
            await asyncio.sleep(0)
            return BATCH
        wait = self._start + (self._sent + 1) / self._rate - self._clock.monotonic()
        if wait > 0:
            await self._sleep(wait)
        return max(1, int((self._clock.monotonic() - self._start) * self._rate) - self._sent)

    async def _sleep(self, seconds: float | None) -> None:
        """Wait, for ever where there is no time given. Raises UpstreamTruncated where the answer is closed."""
        self._sleeper = asyncio.get_running_loop().create_future()
        timer = None if seconds is None else self._clock.call_later(seconds, self._wake)
        try:
            await self._sleeper
        finally:
            if timer is not None:
                timer.cancel()
        if self._closed:
            raise UpstreamTruncated

    def _wake(self) -> None:
        if self._sleeper is not None and not self._sleeper.done():
            self._sleeper.set_result(None)

    async def _fail(self) -> Never:
        """Show the model's fault."""
        if self.model == "demo/error-midstream":
            raise UpstreamFault(
                code="overloaded",
                detail=ErrorDetail(message="The demo is overloaded.", type="server_error", code="overloaded"),
            )
        if self.model == "demo/stall":
            await self._sleep(None)
        raise UpstreamTruncated

    def _ending(self) -> list[Record]:
        """The last chunks: each choice's finish, and usage where the client asked for it."""
        records = [self._chunk({}, choice, self.finish_reason) for choice in self._choices]
        self._end()
        if self._wants_usage:
            records.append(self._record("chat.completion.chunk", choices=[], usage=self._usage_body()))
        return records

    def _end(self) -> None:
        several = len(self._choices)
        self.usage = Usage(input=self._input, output=self._sent * several, reasoning=self._thought * several)
        self.ended = True

    def _usage_body(self) -> dict[str, Any]:
        return usage_object(self.usage) if self.usage else {}

    def _delta(self, piece: Piece) -> dict[str, Any]:
        if piece.kind != "arguments":
            return {piece.kind: piece.text}
        if not piece.name:
            return {"tool_calls": [{"index": piece.call, "function": {"arguments": piece.text}}]}
        return {"tool_calls": [{"index": piece.call, **self._call(piece.call, piece.name, piece.text)}]}

    def _message(self, said: Sequence[Piece]) -> dict[str, Any]:
        """The whole message that pieces are of."""
        texts: dict[str, str] = {}
        calls: list[dict[str, Any]] = []
        for piece in said:
            if piece.name:
                calls.append(self._call(piece.call, piece.name, piece.text))
            elif piece.kind == "arguments":
                calls[-1]["function"]["arguments"] += piece.text
            else:
                texts[piece.kind] = texts.get(piece.kind, "") + piece.text
        content = {"content": None, "tool_calls": calls} if calls else {"content": ""}
        return {"role": "assistant", **content, **texts}

    def _call(self, number: int, name: str, arguments: str) -> dict[str, Any]:
        id = f"{str(self._common['id']).replace('chatcmpl-', 'call_')}_{number}"
        return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}

    def _chunk(self, delta: Mapping[str, Any], choice: int = 0, finish_reason: str | None = None) -> Record:
        more = {"usage": None} if self._wants_usage else {}
        choices = [{"index": choice, "delta": delta, "finish_reason": finish_reason}]
        return self._record("chat.completion.chunk", choices=choices, **more)

    def _record(self, kind: str, **fields: object) -> Record:
        return Record("", msgspec.json.encode({**self._common, "object": kind, **fields}))


def _stops(body: Mapping[str, Any]) -> Sequence[str]:
    stop = body.get("stop")
    if stop is None:
        return ()
    stops = [stop] if isinstance(stop, str) else stop
    if not isinstance(stops, list) or not all(isinstance(item, str) and item for item in stops):
        raise _refused("stop must be a string or a list of strings, none of them empty.", "stop")
    return stops


def _count(body: Mapping[str, Any], field: str, most: int | None = None) -> int | None:
    """A positive integer of the request; None where it is absent or null."""
    value = body.get(field)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1 or (most is not None and value > most):
        raise _refused(f"{field} must be a whole number from 1" + (f" to {most}." if most else " on."), field)
    return value


def _wants_usage(body: Mapping[str, Any]) -> bool:
    options = body.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True


def _refused(message: str, param: str, *, status: int = 400, code: str = "invalid_value") -> UpstreamRefused:
    detail = ErrorDetail(message=message, type="invalid_request_error", code=code, param=param)
    return UpstreamRefused(accepted=False, status=status, detail=detail)
