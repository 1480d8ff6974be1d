"""Providers: an upstream for each kind that the settings know."""

from collections.abc import Callable, Mapping

from headrace.config import Upstream as UpstreamSettings
from headrace.core.clock import Clock
from headrace.core.routing import Upstream
from headrace.model.dialect import CHAT, RESPONSES
from headrace.upstreams.anthropic import ANTHROPIC_URL, Anthropic
from headrace.upstreams.azure import Azure
from headrace.upstreams.http import Http
from headrace.upstreams.openai import OPENAI_URL, OpenAI
from headrace.upstreams.profile import PROFILES, Profile, profile_of


def _openai(name: str, given: UpstreamSettings, http: Http, clock: Clock) -> Upstream:
    url = given.base_url or OPENAI_URL
    return OpenAI(
        name=name,
        base_url=url,
        api_key=given.api_key.get_secret_value(),
        organization=given.organization,
        project=given.project,
        models=given.models,
        profile=_profile(given, PROFILES[given.profile] if given.profile else profile_of(url)),
        http=http,
        clock=clock,
    )


def _azure(name: str, given: UpstreamSettings, http: Http, clock: Clock) -> Upstream:
    return Azure(
        name=name,
        endpoint=given.base_url,
        api_key=given.api_key.get_secret_value(),
        models=given.models,
        api_version=given.api_version,
        profile=_profile(given, PROFILES[given.profile or "azure"]),
        http=http,
        clock=clock,
    )


def _anthropic(name: str, given: UpstreamSettings, http: Http, clock: Clock) -> Upstream:
    return Anthropic(
        name=name,
        base_url=given.base_url or ANTHROPIC_URL,
        api_key=given.api_key.get_secret_value(),
        auth_token=given.auth_token.get_secret_value(),
        api_version=given.api_version,
        max_tokens=given.max_tokens,
        models=given.models,
        http=http,
        clock=clock,
    )


#: Makes an upstream of each kind that is asked over HTTP.
PROVIDERS: Mapping[str, Callable[[str, UpstreamSettings, Http, Clock], Upstream]] = {
    "openai": _openai,
    "azure": _azure,
    "anthropic": _anthropic,
}
#: As OpenTelemetry's conventions name them.
MAKERS = {"openai": "openai", "azure": "azure.ai.openai", "anthropic": "anthropic", "demo": "headrace.demo"}
_APIS = {"chat": CHAT, "responses": RESPONSES}


def _profile(given: UpstreamSettings, profile: Profile) -> Profile:
    """A profile with what the configuration says otherwise."""
    if given.apis:
        profile = profile._replace(apis=tuple(_APIS[api] for api in given.apis))
    if given.include_usage is not None:
        profile = profile._replace(usage_option=given.include_usage)
    if given.done_marker is not None:
        profile = profile._replace(done_marker=given.done_marker)
    return profile
