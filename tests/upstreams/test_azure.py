"""Azure OpenAI, against a scripted server."""

import pytest
from tests.upstreams.kit import KEY, ask, drain

from headrace.core.routing import Call
from headrace.errors import (
    ConfigError,
)
from headrace.testing.scripted_upstream import (
    ScriptedUpstream,
    head,
    sse,
)
from headrace.upstreams.azure import Azure


async def test_azure_has_a_url_for_each_deployment():
    """The key goes in a header of its own, and a first chunk without choices is part of the answer."""
    first = b'data: {"id": "", "choices": [], "prompt_filter_results": [{"prompt_index": 0}]}\n\n'
    async with ScriptedUpstream([head(), first + sse("One", finish_reason="stop", done=True)]) as server:
        azure = Azure(endpoint=f"{server.url}/", api_key=KEY, models=["my dep"], api_version="2025-01-01")
        call = ask()
        one = await azure.open(Call(dialect=call.dialect, body=call.body, model="my dep", stream=True))
        records, error = await drain(one)
        one.close()
        assert [card.id for card in await azure.models()] == ["my dep"]
        await azure.close()
    assert error is None
    assert len(records) == 3
    assert one.upstream_id == "chatcmpl-fake"
    [request] = server.requests
    assert request.target == "/openai/deployments/my%20dep/chat/completions?api-version=2025-01-01"
    assert request.headers["api-key"] == KEY
    assert "authorization" not in request.headers


def test_azure_needs_its_deployments():
    with pytest.raises(ConfigError):
        Azure(endpoint="https://x.openai.azure.com", api_key=KEY, models=[])
