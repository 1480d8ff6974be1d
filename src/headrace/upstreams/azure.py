"""Azure OpenAI: the same dialects at a deployment's own URL."""

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from headrace.core.clock import Clock
from headrace.errors import ConfigError
from headrace.upstreams.http import Http
from headrace.upstreams.openai import OpenAI
from headrace.upstreams.profile import PROFILES, Profile

#: The version of the API that is spoken where none is named.
API_VERSION = "2024-10-21"


class Azure(OpenAI):
    """An Azure OpenAI resource. A model's name is the name of its deployment.

    ``endpoint`` is the resource's, such as ``https://name.openai.azure.com``. It is not asked for models: what it could
    tell are base models, not deployments. Responses, where the profile says so, and ``forward`` use the resource's
    ``/openai/v1``, which has no version. Raises ConfigError.
    """

    def __init__(
        self,
        *,
        endpoint: str,
        api_key: str,
        models: Sequence[str],
        api_version: str = API_VERSION,
        name: str = "azure",
        headers: Mapping[str, str] | None = None,
        profile: Profile | None = None,
        http: Http | None = None,
        clock: Clock | None = None,
    ) -> None:
        if not models:
            raise ConfigError("Azure OpenAI needs the names of its deployments (AZURE_OPENAI_MODEL).")
        super().__init__(
            name=name,
            base_url=endpoint.strip().rstrip("/").removesuffix("/openai"),
            api_key=api_key,
            headers=headers,
            models=models,
            profile=profile or PROFILES["azure"],
            http=http,
            clock=clock,
        )
        self._version = quote(api_version or API_VERSION, safe="")

    def _credentials(self, api_key: str) -> dict[str, str]:
        return {"api-key": api_key}

    def _chat_url(self, model: str) -> str:
        deployment = quote(model, safe="")
        return f"{self._endpoint.base}/openai/deployments/{deployment}/chat/completions?api-version={self._version}"

    def _responses_url(self) -> str:
        return f"{self._forward_base()}/responses"

    def _forward_base(self) -> str:
        return f"{self._endpoint.base}/openai/v1"
