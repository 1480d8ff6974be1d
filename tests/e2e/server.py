"""The server process of end-to-end tests, and configurations for it."""

from headrace.testing.child import START, STOP, ServerFailed, free_port
from headrace.testing.server import KINDS, UVICORN, HeadraceServer

__all__ = ["KINDS", "START", "STOP", "UVICORN", "HeadraceServer", "ServerFailed", "free_port", "upstream_toml"]


def upstream_toml(url: str, *, name: str = "up", models: str = '["m"]', extra: str = "") -> str:
    """Configuration for an OpenAI-compatible upstream at ``url`` (which ends in ``/v1``), beside the demo's."""
    return f"""
[upstreams.{name}]
kind = "openai"
base_url = "{url}"
api_key = "sk-upstream-secret-0123456789"
models = {models}
{extra}
"""
