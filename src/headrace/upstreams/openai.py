"""Any server that speaks OpenAI's chat completions or Responses: OpenAI itself, vLLM, Ollama and many more."""

from collections.abc import AsyncIterable, Mapping, Sequence
from typing import Any

from headrace.core.clock import Clock, SystemClock
from headrace.core.routing import Answer, Call, ModelCard
from headrace.model.dialect import RESPONSES
from headrace.upstreams.answers import answer_in
from headrace.upstreams.endpoint import CLIENT_HEADERS, Endpoint, checked_base, checked_headers
from headrace.upstreams.http import Exchange, Http
from headrace.upstreams.model_list import ModelList, listed
from headrace.upstreams.prepare import prepared
from headrace.upstreams.profile import Profile, profile_of
from headrace.wire.chat.intake import Intake as ChatIntake
from headrace.wire.facts import named
from headrace.wire.intake import Intake
from headrace.wire.json_object import encode
from headrace.wire.responses.intake import Intake as ResponsesIntake

OPENAI_URL = "https://api.openai.com/v1"

_PASSED = CLIENT_HEADERS | {"openai-beta"}

#: Of a Responses request these are ours to do: it survives here, and what came before is put in by us. Behind one
#: account stand owners who must not see each other's.
_OURS = frozenset({"background", "previous_response_id", "conversation"})


class OpenAI:
    """One server, as an :class:`~headrace.core.routing.Upstream`.

    ``base_url`` ends where ``/chat/completions`` begins, such as ``https://api.openai.com/v1``. ``models`` are the
    names it serves; where there are none it is asked for them. ``profile`` says what is peculiar to it; where none is
    given it is chosen by the address. Raises ConfigError.
    """

    def __init__(
        self,
        *,
        name: str = "openai",
        base_url: str = OPENAI_URL,
        api_key: str = "",
        organization: str = "",
        project: str = "",
        headers: Mapping[str, str] | None = None,
        models: Sequence[str] = (),
        profile: Profile | None = None,
        http: Http | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.name = name
        clock = clock or SystemClock()
        base = checked_base(base_url)
        own = checked_headers(
            {
                **(headers or {}),
                **self._credentials(api_key),
                **({"openai-organization": organization} if organization else {}),
                **({"openai-project": project} if project else {}),
            }
        )
        self._profile = profile or profile_of(base)
        self._endpoint = Endpoint(base, lambda _: own, _PASSED, http, clock)
        self._models = ModelList(name, models, self._ask_models, clock)
        self.configured = self._models.configured

    def prepare(self, call: Call) -> Call:
        """The call in one of the profile's dialects. See the port."""
        return prepared(call, self._profile.apis, self._profile.manner_for(call.model))

    async def open(self, call: Call) -> Answer:
        """Send the request and wait for the head of the answer. See the port."""
        responses = call.dialect == RESPONSES
        url = self._responses_url() if responses else self._chat_url(call.model)
        body = encode(self._responses_body(call) if responses else self._chat_body(call))
        exchange = await self._endpoint.ask(url, body, call.headers, stream=call.stream)
        return await answer_in(exchange, self._intake(call))

    async def forward(
        self,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        body: bytes | AsyncIterable[bytes] | None = None,
    ) -> Exchange:
        """Pass on any other call. See :meth:`~headrace.upstreams.endpoint.Endpoint.forward`."""
        return await self._endpoint.forward(method, path, query, headers, body, base=self._forward_base())

    def known(self) -> Sequence[str]:
        """The names of its models, without asking: those configured, else those it told last."""
        return self._models.known()

    def likely(self, model: str) -> bool:
        """Whether a name looks like one of its maker's."""
        return self._profile.likely(model)

    async def models(self) -> Sequence[ModelCard]:
        """The configured models, else those that the server tells, asked for every five minutes at most."""
        return await self._models.cards()

    async def close(self) -> None:
        """Close all connections."""
        await self._endpoint.close()

    def _credentials(self, api_key: str) -> dict[str, str]:
        return {"authorization": f"Bearer {api_key}"} if api_key else {}

    def _chat_url(self, model: str) -> str:
        del model
        return f"{self._endpoint.base}/chat/completions"

    def _responses_url(self) -> str:
        return f"{self._endpoint.base}/responses"

    def _forward_base(self) -> str:
        return self._endpoint.base

    def _chat_body(self, call: Call) -> dict[str, Any]:
        """The client's body, with the upstream's name for the model, and usage asked for."""
        body = _body(call)
        options = body.get("stream_options")
        if not self._profile.usage_option:
            body.pop("stream_options", None)
        elif call.stream:
            body["stream_options"] = {**(options if isinstance(options, dict) else {}), "include_usage": True}
        return body

    def _responses_body(self, call: Call) -> dict[str, Any]:
        """The client's body without what is ours to do."""
        return {name: value for name, value in _body(call).items() if name not in _OURS}

    def _intake(self, call: Call) -> Intake:
        if call.dialect == RESPONSES:
            return ResponsesIntake()
        wanted = not self._profile.usage_option or _wants_usage(call.body)
        return ChatIntake(wanted, done_marker=self._profile.done_marker)

    async def _ask_models(self) -> Sequence[ModelCard]:
        items = await listed(await self._endpoint.ask(f"{self._endpoint.base}/models"))
        return [card for item in items if (card := _card(item, self.name)) is not None]


def _body(call: Call) -> dict[str, Any]:
    body = {**call.body, "model": call.model}
    if call.stream or "stream" in body:
        body["stream"] = call.stream
    return body


def _wants_usage(body: Mapping[str, Any]) -> bool:
    options = body.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True


def _card(item: Mapping[str, Any], owner: str) -> ModelCard | None:
    if not (name := named(item.get("id"))):
        return None
    created = item.get("created")
    created = created if isinstance(created, int) and 0 <= created < 1 << 53 else 0
    return ModelCard(id=name, created=created, owned_by=named(item.get("owned_by")) or owner)
