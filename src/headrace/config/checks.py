"""Settings that are each valid and together are not."""

import os
import re
from collections.abc import Iterator
from importlib.util import find_spec
from urllib.parse import urlsplit

from headrace.config.fields import STRONG_KEY
from headrace.config.key_text import new_key
from headrace.config.sources import PREFIX, Layers, Problem
from headrace.config.values import Settings, Upstream, is_loopback

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def contradictions(settings: Settings, layers: Layers) -> Iterator[Problem]:
    """What cannot be. ``layers`` know where it was said."""
    yield from _exposure(settings, layers)
    yield from _server(settings, layers)
    yield from _upstreams(settings, layers)
    yield from _targets(settings, layers)
    yield from _models(settings, layers)
    yield from _files(settings, layers)
    if settings.store.redis and not _is_there("redis"):
        yield Problem(layers.place(("store", "data")), "needs redis-py: pip install 'headrace[redis]'")
    if settings.otel.enabled and not _is_there("opentelemetry", "exporter", "otlp", "proto", "http"):
        yield Problem(layers.place(("otel", "enabled")), "needs OpenTelemetry: pip install 'headrace[otel]'")


def exposure(settings: Settings) -> str:
    """Why a server may not be started with these settings alone, and the line that fixes it; empty where it may.

    It may all the same where the records have a key, which only they can tell.
    """
    if settings.server.loopback or settings.keys:
        return ""
    text = f"{settings.server.host!r} is reachable from other machines, which needs an API key. Make one:"
    return f"{text}\n    headrace keys create me\nor configure one; for example:\n    {PREFIX}API_KEYS=me={new_key()}"


def _is_there(*package: str) -> bool:
    """Whether a package can be imported; looked for from its top, for below what is absent nothing can be found."""
    return all(find_spec(".".join(package[:end])) for end in range(1, len(package) + 1))


def _exposure(settings: Settings, layers: Layers) -> Iterator[Problem]:
    beyond = not settings.server.loopback
    owners: dict[bytes, str] = {}
    for name, key in settings.keys.items():
        if beyond and key.weak:
            text = f"the API key {name!r} needs at least {STRONG_KEY} characters to listen beyond this machine"
            yield Problem(layers.place(("keys", name)), text)
        if key.digest in owners:
            text = f"the API keys {owners[key.digest]!r} and {name!r} are the same; each owner needs its own"
            yield Problem(layers.place(("keys", name)), text)
        owners[key.digest] = name
    if "*" in settings.cors.origins and settings.cors.credentials:
        text = "origins = '*' with credentials would let every web page act for your users; name the origins"
        yield Problem(layers.place(("cors", "credentials")), text)


def _server(settings: Settings, layers: Layers) -> Iterator[Problem]:
    server = settings.server
    if (server.tls_certificate is None) != (server.tls_key is None):
        missing = "tls_key" if server.tls_key is None else "tls_certificate"
        there = "tls_certificate" if server.tls_key is None else "tls_key"
        yield Problem(layers.place(("server", there)), f"{missing} is needed beside it")
    for name in ("tls_certificate", "tls_key"):
        file = getattr(server, name)
        if file is not None and not file.is_file():
            yield Problem(layers.place(("server", name)), "there is no such file")
    if server.workers > 1 and settings.store.folder is None:
        text = "'memory:' belongs to one process; more workers need a data folder or Redis"
        yield Problem(layers.place(("server", "workers")), text)


def _upstreams(settings: Settings, layers: Layers) -> Iterator[Problem]:
    for name, upstream in settings.active.items():
        place = layers.place(("upstreams", name))
        if upstream.kind == "azure":
            for field in ("base_url", "api_key"):
                value = getattr(upstream, field)
                if not (value if isinstance(value, str) else value.get_secret_value()):
                    yield Problem(place, f"an upstream of kind 'azure' needs {field}")
        if upstream.kind in ("openai", "anthropic") and not _is_reachable(upstream):
            text = f"an upstream of kind {upstream.kind!r} needs api_key, or base_url where no key is needed"
            yield Problem(place, text)
        if upstream.api_keys and not upstream.api_key.get_secret_value():
            yield Problem(layers.place(("upstreams", name, "api_keys")), "are further ones; the first is api_key")
        if upstream.kind == "anthropic" and not _DATE.fullmatch(upstream.api_version or "2023-06-01"):
            yield Problem(layers.place(("upstreams", name, "api_version")), "expected a date such as 2023-06-01")
        if upstream.ca_file is not None and not upstream.ca_file.is_file():
            yield Problem(layers.place(("upstreams", name, "ca_file")), "there is no such file")
        if _is_self(upstream.base_url, settings):
            yield Problem(layers.place(("upstreams", name, "base_url")), "is this server itself")


def _targets(settings: Settings, layers: Layers) -> Iterator[Problem]:
    for name, target in settings.proxy.items():
        if target.ca_file is not None and not target.ca_file.is_file():
            yield Problem(layers.place(("proxy", name, "ca_file")), "there is no such file")
        if _is_self(target.base_url, settings):
            yield Problem(layers.place(("proxy", name, "base_url")), "is this server itself")


def _is_reachable(upstream: Upstream) -> bool:
    """Whether there is an address of its own, or a credential for its maker's."""
    token = upstream.kind == "anthropic" and upstream.auth_token.get_secret_value()
    return bool(upstream.base_url or upstream.api_key.get_secret_value() or token)


def _is_self(url: str, settings: Settings) -> bool:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    host = parts.hostname or ""
    return bool(url) and port == settings.server.port and (is_loopback(host) or host == settings.server.host.lower())


def _models(settings: Settings, layers: Layers) -> Iterator[Problem]:
    """A target is ``UPSTREAM/MODEL``, a model that an upstream names, or one that it may name when it is asked."""
    used = settings.active
    asked = any(not upstream.models and upstream.kind != "demo" for upstream in used.values())
    named = {model for upstream in used.values() for model in upstream.models}
    for name, choices in settings.models.items():
        for target in (target for shares in choices for target in shares):
            prefix = target.partition("/")[0]
            if prefix not in used and target not in named and not asked:
                text = f"no upstream has {target[:60]!r}; upstreams are {', '.join(used) or 'none'}"
                yield Problem(layers.place(("models", name)), text)


def _files(settings: Settings, layers: Layers) -> Iterator[Problem]:
    """The folder is there, and nothing of ours lies in it: it is for everybody who may ask."""
    folder = settings.files.folder
    if folder is None:
        return
    place = layers.place(("files", "folder"))
    if os.open not in os.supports_dir_fd:
        yield Problem(place, "this system cannot open files without following links")
    if not folder.is_dir():
        yield Problem(place, "there is no such folder")
    root = folder.resolve()
    ours = {"data folder": settings.store.folder, "TLS key": settings.server.tls_key}
    for name, path in ours.items():
        if path is not None and path.resolve().is_relative_to(root):
            yield Problem(place, f"the {name} lies in it, and would be served")
    if settings.store.folder is not None and root.is_relative_to(settings.store.folder.resolve()):
        yield Problem(place, "it lies in the data folder, where nothing but streams may be")


def warnings(settings: Settings) -> list[str]:
    """What works but should not stay as it is, one sentence each."""
    lines = [
        f"The API key {name!r} is shorter than {STRONG_KEY} characters."
        for name, key in settings.keys.items()
        if key.weak
    ]
    if settings.store.folder is None:
        lines.append("Streams are kept in memory: they end with the process.")
    if "*" in settings.server.hosts:
        lines.append("Any Host header is accepted: web pages may reach this server by DNS rebinding.")
    lines += [
        f"The upstream {name!r} is reached without TLS."
        for name, upstream in settings.active.items()
        if upstream.base_url.startswith("http:") and not is_loopback(urlsplit(upstream.base_url).hostname or "")
    ]
    lines += [
        f"The proxy's target {name!r} is reached without TLS."
        for name, target in settings.proxy.items()
        if target.base_url.startswith("http:") and not is_loopback(urlsplit(target.base_url).hostname or "")
    ]
    return lines
