"""Any server of Anthropic's Messages API, in both of its generations."""

import re
from collections.abc import AsyncIterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from headrace.core.clock import Clock, SystemClock
from headrace.core.routing import Answer, Call, ModelCard
from headrace.errors import ConfigError
from headrace.model.dialect import MESSAGES
from headrace.upstreams.answers import answer_in
from headrace.upstreams.endpoint import CLIENT_HEADERS, Endpoint, checked_base, checked_headers
from headrace.upstreams.http import Exchange, Http
from headrace.upstreams.model_list import ModelList, listed
from headrace.upstreams.prepare import prepared
from headrace.wire.facts import named
from headrace.wire.json_object import encode
from headrace.wire.manner import Manner
from headrace.wire.messages.intake import Intake

ANTHROPIC_URL = "https://api.anthropic.com"
#: The version of the API that is spoken where nobody names one.
API_VERSION = "2023-06-01"
#: From this version on a key is a bearer token, and sampling parameters are refused.
SECOND_GENERATION = "2026-10-21"
#: How long a converted answer may get where the request does not say: this API wants to be told.
MAX_TOKENS = 8192

_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}")
#: The version in a name such as ``claude-sonnet-4-5-20250929`` or ``claude-3-7-sonnet-latest``.
_CLAUDE = re.compile(r"claude-(?:[a-z]+-)?(\d{1,2})(?:-(\d{1,2}))?(?![\d])")
#: The first versions that reason by a budget, and by an effort.
_BUDGETED = (3, 7)
_EFFORT = (4, 6)
_PASSED = CLIENT_HEADERS | {"anthropic-beta", "anthropic-version"}


class Anthropic:
    """One server, as an :class:`~headrace.core.routing.Upstream`.

    ``base_url`` may end with ``/v1`` or before it. An ``auth_token`` is always a bearer token; where there is an
    ``api_key`` that is sent instead, in the header of the API's version: a client's own ``anthropic-version``, else
    ``api_version``. Raises ConfigError.
    """

    def __init__(
        self,
        *,
        name: str = "anthropic",
        base_url: str = ANTHROPIC_URL,
        api_key: str = "",
        auth_token: str = "",
        api_version: str = API_VERSION,
        max_tokens: int = MAX_TOKENS,
        headers: Mapping[str, str] | None = None,
        models: Sequence[str] = (),
        http: Http | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.name = name
        clock = clock or SystemClock()
        self._version = api_version or API_VERSION
        if not _VERSION.fullmatch(self._version):
            raise ConfigError("The version of Anthropic's API is a date, such as 2023-06-01.")
        self._fixed = checked_headers(headers or {})
        self._key = checked_headers({"x-api-key": api_key})["x-api-key"]
        self._token = checked_headers({"authorization": auth_token})["authorization"]
        self._manner = Manner(max_tokens=max_tokens, sampling=self._version < SECOND_GENERATION)
        base = checked_base(base_url).removesuffix("/v1") + "/v1"
        self._endpoint = Endpoint(base, self._own, _PASSED, http, clock)
        self._models = ModelList(name, models, self._ask_models, clock)
        self.configured = self._models.configured

    def prepare(self, call: Call) -> Call:
        """It speaks Messages. See the port."""
        return prepared(call, (MESSAGES,), self._manner._replace(thinking=_thinking(call.model)))

    async def open(self, call: Call) -> Answer:
        """Send the request and wait for the head of the answer. See the port."""
        body = {**call.body, "model": call.model}
        if call.stream or "stream" in body:
            body["stream"] = call.stream
        url = f"{self._endpoint.base}/messages"
        exchange = await self._endpoint.ask(url, encode(body), call.headers, query=call.query, stream=call.stream)
        return await answer_in(exchange, Intake())

    async def forward(
        self,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        body: bytes | AsyncIterable[bytes] | None = None,
    ) -> Exchange:
        """Pass on any other call. See :meth:`~headrace.upstreams.endpoint.Endpoint.forward`."""
        return await self._endpoint.forward(method, path, query, headers, body)

    def known(self) -> Sequence[str]:
        """The names of its models, without asking: those configured, else those it told last."""
        return self._models.known()

    def likely(self, model: str) -> bool:
        """Whether a name looks like one of its maker's."""
        return model.startswith("claude-")

    async def models(self) -> Sequence[ModelCard]:
        """The configured models, else those that the server tells, asked for every five minutes at most."""
        return await self._models.cards()

    async def close(self) -> None:
        """Close all connections."""
        await self._endpoint.close()

    def _own(self, passed: Mapping[str, str]) -> Mapping[str, str]:
        """The version and the credential that goes with it. One header, never both: servers refuse a second one."""
        asked = passed.get("anthropic-version", "")
        version = asked if _VERSION.fullmatch(asked) else self._version
        return {**self._fixed, "anthropic-version": version, **self._credential(version)}

    def _credential(self, version: str) -> dict[str, str]:
        if self._key and version < SECOND_GENERATION:
            return {"x-api-key": self._key}
        bearer = self._key or self._token
        return {"authorization": f"Bearer {bearer}"} if bearer else {}

    async def _ask_models(self) -> Sequence[ModelCard]:
        items = await listed(await self._endpoint.ask(f"{self._endpoint.base}/models", query="limit=1000"))
        return [
            ModelCard(id=name, created=_seconds(item.get("created_at")), owned_by=self.name)
            for item in items
            if (name := named(item.get("id")))
        ]


def _thinking(model: str) -> Literal["effort", "budget", ""]:
    """How a model is told to reason: by its version, where its name has one; other makers' know the older way."""
    match = _CLAUDE.match(model)
    version = (int(match[1]), int(match[2] or 0)) if match else _BUDGETED
    if version < _BUDGETED:
        return ""
    return "budget" if version < _EFFORT else "effort"


def _seconds(value: Any) -> int:  # noqa: ANN401  (any JSON)
    """An RFC 3339 time in Unix seconds; 0 where it is none."""
    try:
        time = datetime.fromisoformat(value)
        return max(0, int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()))
    except (TypeError, ValueError, OverflowError):
        return 0
