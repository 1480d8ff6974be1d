"""Any server that speaks OpenAI's chat completions: OpenAI itself, vLLM, Ollama, OpenRouter and many more."""

import asyncio
import re
from collections.abc import AsyncIterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from headrace.core.clock import Clock, SystemClock
from headrace.core.routing import Answer, Call, ModelCard
from headrace.errors import ConfigError, HeadraceError, NotFound, UpstreamProtocol
from headrace.model import dialect
from headrace.model.outcome import Usage
from headrace.model.record import Record
from headrace.upstreams.http import Exchange, Http
from headrace.upstreams.prepare import prepared
from headrace.upstreams.refusal import refusal
from headrace.wire.chat.intake import Intake
from headrace.wire.chat.usage import usage_of
from headrace.wire.json_object import encode, lenient
from headrace.wire.openai_errors import fault, scrub, scrub_value
from headrace.wire.sse import Decoder

#: Bytes of an answer that is not streamed, and of a list of models.
MAX_WHOLE = 16 << 20
MAX_MODELS = 4 << 20
#: Seconds for which a list of models is kept, for which a failure to get it is, and that asking for it may take.
MODELS_KEPT = 300.0
MODELS_RETRY = 30.0
MODELS_TIMEOUT = 5.0
#: Seconds that a body may take to end once its answer has, before its connection is given up.
PATIENCE = 1.0

#: A client's headers that go on to the upstream. Never a credential, nor an idempotency key: clients of ours that do
#: not know of each other share the account there.
CLIENT_HEADERS = frozenset(
    {"accept", "content-type", "openai-beta", "range", "traceparent", "tracestate", "x-client-request-id"}
)
_SSE_STARTS = (b"data:", b"event:", b"id:", b"retry:", b":")
_BOM = b"\xef\xbb\xbf"
_PATH = re.compile(r"(?:/[A-Za-z0-9_:~-][A-Za-z0-9._:~-]*)+")
_QUERY = re.compile(r"[\x21-\x22\x24-\x7e]*")
_FIELD = re.compile(r"[\x20-\x7e]*")
_MAX_NAME = 256


class OpenAI:
    """One server, as an :class:`~headrace.core.routing.Upstream`.

    ``base_url`` ends where ``/chat/completions`` begins, such as ``https://api.openai.com/v1``. ``models`` are the
    names it serves; where there are none it is asked for them. ``usage_option`` is false for servers that refuse
    ``stream_options``, ``done_marker`` false for those that end without ``[DONE]``. Raises ConfigError.
    """

    def __init__(
        self,
        *,
        name: str = "openai",
        base_url: str = "https://api.openai.com/v1",
        api_key: str = "",
        organization: str = "",
        project: str = "",
        headers: Mapping[str, str] | None = None,
        models: Sequence[str] = (),
        usage_option: bool = True,
        done_marker: bool = True,
        http: Http | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.name = name
        #: The names that the configuration gives it.
        self.configured = tuple(models)
        self._base = checked_base(base_url)
        self._headers = checked_headers(
            {
                **(headers or {}),
                **self._credentials(api_key),
                **({"openai-organization": organization} if organization else {}),
                **({"openai-project": project} if project else {}),
            }
        )
        self._usage_option = usage_option
        self._done_marker = done_marker
        self._http = http or Http()
        self._clock = clock or SystemClock()
        self._cards: Sequence[ModelCard] = [ModelCard(id=model, owned_by=name) for model in models]
        self._asked = asyncio.Lock()
        self._ask_again_at = float("-inf")

    def prepare(self, call: Call) -> Call:
        """It speaks OpenAI chat. See the port."""
        return prepared(call, (dialect.CHAT,))

    async def open(self, call: Call) -> Answer:
        """Send the request and wait for the head of the answer. See the port."""
        body = encode(self._body(call))
        exchange = await self._request("POST", self._chat_url(call.model), call.headers, body, call.stream)
        try:
            return await self._answer(exchange, call)
        except BaseException:
            exchange.abort()
            raise

    async def forward(
        self,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        body: bytes | AsyncIterable[bytes] | None = None,
    ) -> Exchange:
        """Pass on any other call, such as ``/embeddings``; the answer is read by the caller, who aborts or releases it.

        ``path`` is below the base URL, ``query`` as the client wrote it, without ``?``. Only successes come back.
        Raises NotFound for a path that leads elsewhere, and UpstreamError.
        """
        if not _PATH.fullmatch(path) or not _QUERY.fullmatch(query):
            raise NotFound
        url = self._forward_base() + path + (f"?{query}" if query else "")
        passed = {name.lower(): value for name, value in headers.items()}
        sent = {**_passed(passed), **self._headers}
        if body is not None and not isinstance(body, bytes) and passed.get("content-length", "").isdecimal():
            sent["content-length"] = passed["content-length"]
        exchange = await self._http.request(method, url, sent, body)
        if not 200 <= exchange.status < 300:
            raise await refusal(exchange, scrub, self._clock.time())
        return exchange

    def known(self) -> Sequence[str]:
        """The names of its models, without asking: those configured, else those it told last."""
        return [card.id for card in self._cards]

    async def models(self) -> Sequence[ModelCard]:
        """The configured models, else those that the server tells, asked for every five minutes at most."""
        if self.configured:
            return self._cards
        async with self._asked:
            if self._clock.monotonic() >= self._ask_again_at:
                try:
                    async with asyncio.timeout(MODELS_TIMEOUT):
                        self._cards = await self._ask_models()
                    self._ask_again_at = self._clock.monotonic() + MODELS_KEPT
                except (HeadraceError, TimeoutError):
                    self._ask_again_at = self._clock.monotonic() + MODELS_RETRY
        return self._cards

    async def close(self) -> None:
        """Close all connections."""
        await self._http.close()

    def _credentials(self, api_key: str) -> dict[str, str]:
        return {"authorization": f"Bearer {api_key}"} if api_key else {}

    def _chat_url(self, model: str) -> str:
        del model
        return f"{self._base}/chat/completions"

    def _forward_base(self) -> str:
        return self._base

    def _body(self, call: Call) -> dict[str, Any]:
        """The client's body, with the upstream's name for the model, and usage asked for."""
        body = {**call.body, "model": call.model}
        if call.stream or "stream" in body:
            body["stream"] = call.stream
        if call.stream and self._usage_option:
            options = body.get("stream_options")
            body["stream_options"] = {**(options if isinstance(options, dict) else {}), "include_usage": True}
        return body

    async def _request(
        self, method: str, url: str, passed: Mapping[str, str], body: bytes | None, stream: bool
    ) -> Exchange:
        """A response with status 200. Raises UpstreamError."""
        headers = {
            **_passed({name.lower(): value for name, value in passed.items()}),
            "accept": "text/event-stream" if stream else "application/json",
            **({"content-type": "application/json"} if body is not None else {}),
            **self._headers,
        }
        exchange = await self._http.request(method, url, headers, body)
        if exchange.status != 200:
            raise await refusal(exchange, scrub, self._clock.time())
        return exchange

    async def _answer(self, exchange: Exchange, call: Call) -> Answer:
        """The answer by its content type, or where that says nothing by its first bytes. Raises UpstreamProtocol."""
        kind = exchange.headers.get("content-type", "").partition(";")[0].strip().lower()
        first = b""
        if kind in {"", "application/octet-stream", "text/plain", "binary/octet-stream"}:
            first = await exchange.read_some()
            start = first.removeprefix(_BOM).lstrip()
            if start.startswith(_SSE_STARTS):
                kind = "text/event-stream"
            elif start.startswith(b"{"):
                kind = "application/json"
        if kind == "text/event-stream":
            intake = Intake(not self._usage_option or _wants_usage(call.body), done_marker=self._done_marker)
            return StreamedAnswer(exchange, intake, first)
        if kind == "application/json" or kind.endswith("+json"):
            return WholeAnswer(exchange, first)
        raise UpstreamProtocol

    async def _ask_models(self) -> Sequence[ModelCard]:
        exchange = await self._request("GET", f"{self._base}/models", {}, None, stream=False)
        try:
            value = lenient(await exchange.read_all(MAX_MODELS))
        finally:
            exchange.release()
        listed = value.get("data") if isinstance(value, dict) else None
        if not isinstance(listed, list):
            raise UpstreamProtocol
        return [card for item in listed if (card := _card(item, self.name)) is not None]


class _Coming:
    """What is known of an answer while it comes in. See :class:`~headrace.core.routing.Answer`."""

    def __init__(self, format: str, exchange: Exchange, first: bytes) -> None:
        self.format = format
        self.upstream_id = ""
        self.model = ""
        self.finish_reason = ""
        self.usage: Usage | None = None
        self.ignored = 0
        self.ended = False
        self._exchange = exchange
        self._first = first


class StreamedAnswer(_Coming):
    """An answer that comes as server-sent events."""

    def __init__(self, exchange: Exchange, intake: Intake, first: bytes = b"") -> None:
        super().__init__(intake.format, exchange, first)
        self._intake = intake
        self._decoder = Decoder()

    async def read(self) -> Sequence[Record]:
        """The records of the bytes that have come. See the port."""
        intake, exchange = self._intake, self._exchange
        if intake.error is not None:
            raise intake.error
        data: bytes | None
        data, self._first = self._first, b""
        if not data:
            # Not read_some: each frame of nested coroutines costs on every chunk.
            while (data := exchange.take()) is None:
                await exchange.wait()
        try:
            if data:
                records = intake.take(self._decoder.feed(data))
            else:
                records = []
                self._decoder.close()
                intake.finish()
        finally:
            self._note(intake)
        if not records and intake.error is not None:
            raise intake.error
        return records

    def close(self) -> None:
        """Close the connection at once, or keep it for others where the answer came to its end."""
        self._exchange.release(PATIENCE if self.ended else 0.0)

    def _note(self, intake: Intake) -> None:
        self.upstream_id = intake.upstream_id
        self.model = intake.model
        self.finish_reason = intake.finish_reason
        self.usage = intake.usage
        self.ignored = intake.ignored
        self.ended = intake.ended


class WholeAnswer(_Coming):
    """An answer in one piece: one record with the whole body."""

    def __init__(self, exchange: Exchange, first: bytes = b"") -> None:
        super().__init__(dialect.whole(dialect.CHAT), exchange, first)

    async def read(self) -> Sequence[Record]:
        """The body. Raises LimitExceeded over ``MAX_WHOLE``, UpstreamFault for an error, UpstreamProtocol."""
        body = self._first + await self._exchange.read_all(MAX_WHOLE)
        # A CR in JSON is white space; in a record a line ends in LF.
        body = body.removeprefix(_BOM).replace(b"\r\n", b"\n").replace(b"\r", b"\n").strip()
        value = lenient(body)
        if not isinstance(value, dict):
            raise UpstreamProtocol
        choices = value.get("choices")
        if value.get("error") or not isinstance(choices, list):
            detail = scrub_value(value)
            raise fault(detail) if detail.message or detail.code or value.get("error") else UpstreamProtocol
        self.upstream_id = _name(value.get("id"))
        self.model = _name(value.get("model"))
        self.usage = usage_of(value.get("usage"))
        reasons = [choice.get("finish_reason") for choice in choices if isinstance(choice, dict)]
        self.finish_reason = _name(reasons[0]) if reasons else ""
        self.ended = True
        return [Record("", body)]

    def close(self) -> None:
        """Close the connection at once, or keep it for others where the answer was read."""
        self._exchange.release()


def checked_base(url: str) -> str:
    """A base URL without its last slash. Raises ConfigError where it cannot be one."""
    try:
        parts = urlsplit(url.strip())
        good = parts.scheme in {"http", "https"} and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good or parts.username or parts.password or parts.query or parts.fragment or not _FIELD.fullmatch(url):
        raise ConfigError("An upstream's URL is http:// or https://, a host and a path, without credentials.")
    return quote(url.strip().rstrip("/"), safe=":/[]%@!$&'()*+,;=~")


def checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers with lower-case names. Raises ConfigError where a value cannot be sent, without telling it."""
    for name, value in headers.items():
        if not _FIELD.fullmatch(name + value):
            raise ConfigError(f"The upstream's header {name!r} has characters that cannot be sent.")
    return {name.lower(): value.strip() for name, value in headers.items()}


def _passed(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name in CLIENT_HEADERS and _FIELD.fullmatch(value)}


def _wants_usage(body: Mapping[str, Any]) -> bool:
    options = body.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True


def _card(item: object, owner: str) -> ModelCard | None:
    if not isinstance(item, dict) or not (name := _name(item.get("id"))):
        return None
    created = item.get("created")
    created = created if isinstance(created, int) and 0 <= created < 1 << 53 else 0
    return ModelCard(id=name, created=created, owned_by=_name(item.get("owned_by")) or owner)


def _name(value: object) -> str:
    """An id, a name or a reason, or nothing where it is not fit to be one."""
    return value if isinstance(value, str) and len(value) <= _MAX_NAME and value.isprintable() else ""
