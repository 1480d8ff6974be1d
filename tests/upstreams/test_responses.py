"""Servers that speak OpenAI's Responses, against scripted servers on real sockets."""

import json
from typing import Any

import pytest
from tests.upstreams.kit import KEY, Opened, ask, drain, speaking, told

from headrace.errors import UpstreamFault, UpstreamProtocol
from headrace.model.dialect import CHAT, MESSAGES, RESPONSES
from headrace.testing.scripted_upstream import Next, Script, ScriptedUpstream, head
from headrace.testing.spoken import Said, Use, dialect_at, spoken, whole_body
from headrace.upstreams.azure import Azure
from headrace.upstreams.openai import OpenAI
from headrace.upstreams.profile import COMPATIBLE, PROFILES

SAID = Said(texts=("One", " two"))
BOTH = COMPATIBLE._replace(apis=(CHAT, RESPONSES))


def stream_of(dialect: str, said: Said = SAID) -> Script:
    return [head(), b"".join(spoken(dialect, said))]


def body_of(value: bytes) -> Script:
    return [head(type="application/json", body=str(len(value))), value, Next()]


async def test_the_request_is_the_clients_without_what_is_ours_to_do():
    """Other owners' answers lie in the same account: no request of one client's may lead to them."""
    ours: dict[str, Any] = {"background": True, "previous_response_id": "resp_other", "conversation": "conv_other"}
    call = ask(RESPONSES, **ours, store=True, include=["reasoning.encrypted_content"], vendor=[1])
    async with ScriptedUpstream(stream_of(RESPONSES)) as server, speaking(RESPONSES, server) as upstream:
        one = await upstream.open(call)
        records, error = await drain(one)
    assert error is None
    assert told(one.format, records) == "One two"
    assert (one.format, one.upstream_id, one.model, one.finish_reason) == (RESPONSES, "resp_spoken", "m-1", "stop")
    [request] = server.requests
    assert request.target == "/v1/responses"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.json() == {
        "model": "real",
        "input": "Hi",
        "stream": True,
        "store": True,
        "include": ["reasoning.encrypted_content"],
        "vendor": [1],
    }


@pytest.mark.parametrize(
    ("apis", "client", "target"),
    [
        ((CHAT, RESPONSES), CHAT, CHAT),
        ((CHAT, RESPONSES), RESPONSES, RESPONSES),
        ((CHAT, RESPONSES), MESSAGES, CHAT),
        ((CHAT,), RESPONSES, CHAT),
        ((RESPONSES,), CHAT, RESPONSES),
        ((RESPONSES, CHAT), MESSAGES, RESPONSES),
    ],
)
async def test_a_call_goes_to_the_api_that_speaks_its_dialect(apis: tuple[str, ...], client: str, target: str):
    """Where none does, it is converted to the first."""
    profile = COMPATIBLE._replace(apis=apis)
    async with (
        ScriptedUpstream(lambda request: stream_of(dialect_at(request.target))) as server,
        speaking(CHAT, server, profile=profile) as upstream,
    ):
        one = await upstream.open(ask(client))
        records, error = await drain(one)
    assert error is None
    assert one.format == dialect_at(server.requests[0].target) == target
    assert told(one.format, records) == "One two"


@pytest.mark.parametrize(
    ("url", "apis"),
    [
        ("https://api.openai.com/v1", (CHAT, RESPONSES)),
        ("https://API.openai.com/v1/", (CHAT, RESPONSES)),
        ("https://api.openai.com.evil.example/v1", (CHAT,)),
        ("http://127.0.0.1:8000/v1", (CHAT,)),
    ],
)
def test_only_openai_itself_speaks_both_unasked(url: str, apis: tuple[str, ...]):
    upstream = OpenAI(base_url=url, api_key=KEY)
    spoken_here = tuple(api for api in (CHAT, RESPONSES) if upstream.prepare(ask(api)).dialect == api)
    assert spoken_here == apis


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (SAID, "stop"),
        (Said(texts=("a",), finish="length"), "length"),
        (Said(texts=("a",), finish="content_filter"), "content_filter"),
        (Said(calls=(Use(id="c", name="f", arguments=("{}",)),), finish="tool_calls"), "tool_calls"),
        (Said(refusal=("No",)), "refusal"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_says_why_it_finished(said: Said, reason: str, stream: bool):
    """In the same words, streamed or whole."""
    script = stream_of(RESPONSES, said) if stream else body_of(whole_body(RESPONSES, said))
    async with ScriptedUpstream(script) as server, speaking(RESPONSES, server) as upstream:
        one = await upstream.open(ask(RESPONSES, stream=stream))
        _, error = await drain(one)
    assert error is None
    assert (one.finish_reason, one.upstream_id, one.model) == (reason, "resp_spoken", "m-1")
    assert one.usage is not None
    assert (one.usage.input, one.usage.cached, one.usage.output, one.usage.reasoning) == (11, 3, 7, 2)


_WHOLE = json.loads(whole_body(RESPONSES, SAID))


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"status": "failed", "error": {"code": "server_error", "message": "No"}}, UpstreamFault),
        ({"status": "failed", "error": None}, UpstreamFault),
        ({"status": "cancelled"}, UpstreamFault),
        ({"error": {"message": "No"}}, UpstreamFault),
        ({"status": "in_progress"}, UpstreamProtocol),
        ({"status": "queued"}, UpstreamProtocol),
        ({"output": None}, UpstreamProtocol),
        ({"status": ["x"]}, None),
        ({"usage": "much", "id": 7, "model": None}, None),
    ],
)
async def test_a_whole_body_that_may_be_no_answer(fields: dict[str, Any], error: type[Exception] | None):
    script = body_of(json.dumps({**_WHOLE, **fields}).encode())
    async with ScriptedUpstream(script) as server, speaking(RESPONSES, server) as upstream:
        _, found = await drain(await upstream.open(ask(RESPONSES, stream=False)))
    assert type(found) is (error or type(None))


async def test_azure_speaks_responses_where_it_is_configured():
    """At the resource's own path, which has no version and no deployment in it."""
    async with ScriptedUpstream(stream_of(RESPONSES)) as server:
        for profile, target in ((PROFILES["azure"], CHAT), (BOTH, RESPONSES)):
            azure = Azure(endpoint=server.url, api_key=KEY, models=["dep"], profile=profile)
            assert azure.prepare(ask(RESPONSES)).dialect == target
            await azure.close()
        azure = Azure(endpoint=server.url, api_key=KEY, models=["dep"], profile=BOTH)
        async with Opened(azure) as opened:
            await drain(await opened.open(ask(RESPONSES)))
    [request] = server.requests
    assert request.target == "/openai/v1/responses"
    assert request.headers["api-key"] == KEY
