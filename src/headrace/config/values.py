"""The settings as values: small, frozen, one per table of ``headrace.toml``.

Their defaults are complete: ``Settings()`` is a server on loopback with the demo model.
"""

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    BeforeValidator,
    Field,
    SecretStr,
    field_validator,
)

from headrace.config.fields import (
    NAME,
    STRONG_KEY,
    Count,
    Policy,
    Seconds,
    Size,
    Texts,
    Value,
    base_url,
    seconds,
    texts,
)
from headrace.config.files import Files
from headrace.config.keys import Keys
from headrace.config.models import Models
from headrace.config.observing import Log, Metrics, Otel
from headrace.config.prices import Prices
from headrace.config.records import Records
from headrace.config.stores import Store
from headrace.config.targets import Targets
from headrace.model.leave import LeavePolicy

_HOST = re.compile(r"\*|[A-Za-z0-9.-]{1,253}|\[[0-9a-fA-F:.]+\]")


ProfileName = Literal[
    "",
    "openai",
    "compatible",
    "azure",
    "deepseek",
    "gemini",
    "groq",
    "llama.cpp",
    "lmstudio",
    "mistral",
    "ollama",
    "openrouter",
    "vllm",
]


class Server(Value):
    """Where the server listens, and how it treats a connection."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    """The address to listen on. Beyond loopback an API key is needed."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8003
    """The port to listen on; 0 takes any that is free."""
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    """Worker processes. More than one needs a store that they can share: not `memory:`."""
    hosts: Texts = ()
    """More names that the `Host` header may have; `*` allows any. Beyond loopback any may, unless some are named."""
    tls_certificate: Path | None = None
    """The certificate chain (PEM), for TLS."""
    tls_key: Path | None = None
    """The certificate's private key (PEM)."""
    http2: bool = False
    """Take HTTP/2 without TLS (h2c) beside HTTP/1.1, for a proxy that speaks it; with TLS both are spoken anyway."""
    keep_alive: Seconds = 15.0
    """Seconds of silence after which a streaming reply carries a keep-alive."""
    gate: Annotated[float, BeforeValidator(seconds), Field(ge=0, le=60)] = 5.0
    """Seconds for which SDK faces hold the HTTP status back, so that an early upstream error keeps its own."""
    drain: Annotated[float, BeforeValidator(seconds), Field(ge=0, le=3600)] = 30.0
    """Seconds that running answers get to finish after SIGTERM."""

    @field_validator("hosts")
    @classmethod
    def _hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            if not _HOST.fullmatch(host):
                raise ValueError(f"expected host names without scheme and port, found {host[:60]!r}")
        return tuple(host.lower() for host in hosts)

    @property
    def loopback(self) -> bool:
        """Whether only this machine can connect."""
        return is_loopback(self.host)


class Limits(Value):
    """How large things may grow."""

    body_bytes: Size = 32 << 20
    """The largest request body."""
    stream_bytes: Size = 64 << 20
    """The largest answer."""
    stream_records: Count = 1_000_000
    """The most frames in one answer."""
    open_streams: Count = 20_000
    """The most answers being written at once, in each worker."""
    open_streams_per_owner: Count = 10_000
    """The most answers being written at once for one key, in each worker."""
    readers_per_stream: Count = 10_000
    """The most readers of one answer, in each worker."""
    exports_per_owner: Count = 4
    """The most exports under way at once for one key, in each worker."""
    topic_record_bytes: Size = 1 << 20
    """The largest JSON value in a topic."""
    topic_bytes: Size = 1 << 30
    """The largest topic."""
    topics_per_owner: Count = 10_000
    """The most topics of one key."""


class Deadlines(Value):
    """How long others may take. An upstream's time never includes time that we spend on ourselves."""

    connect: Seconds = 5.0
    """Until an upstream is connected, its DNS and TLS included: a network that needs longer is broken (U1, U2)."""
    first: Seconds = 120.0
    """Until the first record: reasoning models think for a minute or two before their first token (U5)."""
    idle: Seconds = 60.0
    """Between two records: a model that has begun and then says nothing for a minute has stalled (U6)."""
    total: Seconds = 3600.0
    """For the whole answer, keep-alives or not: an hour ends what only trickles (U7)."""
    send: Seconds = 30.0
    """How long a reader may take none of what it is sent before it is let go; it can rejoin (C3, C4)."""
    body: Seconds = 30.0
    """Between two pieces of a request's body, and for all that of it comes slower than 512 bytes a second (C5)."""


class Upstream(Value):
    """A model provider."""

    kind: Literal["openai", "azure", "anthropic", "demo"] = "openai"
    """`openai` is any server that speaks OpenAI's API; `azure` is Azure OpenAI; `anthropic` is any server that speaks
    Anthropic's; `demo` needs no network."""
    enabled: bool = True
    """Whether it is used at all."""
    base_url: str = ""
    """Where it is: `https://host/v1`; for `azure` the resource's endpoint, `https://NAME.openai.azure.com`."""
    api_key: SecretStr = SecretStr("")
    """Its key; better as a reference to the environment, `${NAME}`. Sent to this `base_url` only."""
    api_keys: Annotated[tuple[SecretStr, ...], BeforeValidator(texts)] = ()
    """More keys of the same upstream. What is asked is spread over all; one that fails comes after the others."""
    auth_token: SecretStr = SecretStr("")
    """For `anthropic`: a bearer token, where there is no key."""
    models: Texts = ()
    """The models it offers; where none are named, it is asked. For `azure`: the deployments."""
    api_version: str = ""
    """For `azure`: its `api-version`. For `anthropic`: its `anthropic-version`; empty is `2023-06-01`."""
    organization: str = ""
    """For `openai`: the organization that is billed."""
    project: str = ""
    """For `openai`: the project that is billed."""
    profile: ProfileName = ""
    """For `openai`: what server it is, which says what is peculiar to it; empty: by its host, else `compatible`."""
    apis: Annotated[tuple[Literal["chat", "responses"], ...], BeforeValidator(texts)] = ()
    """For `openai` and `azure`: what it speaks, `chat`, `responses` or both. Calls in another dialect are converted to
    the first. Empty: by its profile, which is both for OpenAI itself and `chat` for all others."""
    include_usage: bool | None = None
    """For `openai` and `azure`: ask for the usage of streamed answers too. `false` for a server that refuses
    `stream_options`, which then never reach it. Unset: by its profile."""
    done_marker: bool | None = None
    """For `openai` and `azure`: whether a stream of its chat API ends with `[DONE]`; without it, one that has finished
    ends with its body. Unset: by its profile."""
    max_tokens: Count = 8192
    """For `anthropic`: how long a converted answer may get where the request does not say."""
    ca_file: Path | None = None
    """A certificate authority (PEM) to trust instead of the system's."""

    @field_validator("base_url")
    @classmethod
    def _base_url(cls, url: str) -> str:
        return base_url(url)


class Cors(Value):
    """Which web pages may call this server from another origin."""

    origins: Texts = ()
    """Origins such as `https://app.example.com`, or `*` for every one (then without credentials)."""
    credentials: bool = False
    """Whether such pages may send cookies."""
    max_age: Annotated[int, BeforeValidator(seconds), Field(ge=0, le=86_400)] = 600
    """Seconds for which a browser may remember a preflight's answer."""

    @field_validator("origins")
    @classmethod
    def _origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            parts = urlsplit(origin)
            plain = f"{parts.scheme}://{parts.netloc}".lower() == origin.lower() and "@" not in parts.netloc
            if origin != "*" and not (plain and parts.scheme and parts.netloc and "*" not in origin):
                raise ValueError(f"expected origins such as https://app.example.com, or '*', found {origin[:60]!r}")
        return tuple(origin.lower() for origin in origins)


class Retention(Value):
    """For how long an ended stream is kept, each stage counted from its end."""

    frames: Seconds = 3600.0
    """Its frames, for rejoining and replay."""
    stored: Seconds = 30 * 86_400.0
    """Its frames, where the request asked to `store` it."""
    tombstone: Seconds = 7 * 86_400.0
    """The mark that says it was here (410 instead of 404)."""


class OnLeave(Value):
    """What happens when everybody has left an answer: `cancel`, `linger=SECONDS` or `keep`."""

    default: Policy = LeavePolicy(5.0)
    """Where nothing else is said: five seconds are enough for a reload."""
    api_chat: Policy = LeavePolicy(60.0)
    """On `/api/chat`, whose pages come back by themselves, but only once they are looked at again."""


class Tickets(Value):
    """Signed links to one stream, for clients that cannot send a header."""

    secret: SecretStr = SecretStr("")
    """What signs them. Where it is empty, one is made and kept in the data folder."""
    lifetime: Annotated[float, BeforeValidator(seconds), Field(gt=0, le=3600)] = 300.0
    """Seconds for which a ticket is good."""

    @field_validator("secret")
    @classmethod
    def _secret(cls, secret: SecretStr) -> SecretStr:
        if 0 < len(secret.get_secret_value()) < STRONG_KEY:
            raise ValueError(f"expected at least {STRONG_KEY} characters")
        return secret


class Settings(Value):
    """Everything that can be set."""

    server: Server = Server()
    store: Store = Store()
    records: Records = Records()
    limits: Limits = Limits()
    deadlines: Deadlines = Deadlines()
    keys: Keys = {}  # noqa: RUF012 - pydantic copies it, here and below
    """API keys by name. The name is the owner of what is made with the key."""
    upstreams: dict[str, Upstream] = {"demo": Upstream(kind="demo")}  # noqa: RUF012
    """Model providers by name."""
    models: Models = {}  # noqa: RUF012
    """Other names for upstreams' models; a list is tried in its order, a table shares what is asked by weight."""
    prices: Prices = {}  # noqa: RUF012
    """What models cost, by the upstream's own name for each, or by the name that is asked for."""
    default_model: str = ""
    """The model where a simple face's request names none. Where it is empty: the first real upstream's, or `demo`."""
    proxy: Targets = {}  # noqa: RUF012
    """Servers that requests are passed on to, by name."""
    files: Files = Files()
    cors: Cors = Cors()
    retention: Retention = Retention()
    on_leave: OnLeave = OnLeave()
    tickets: Tickets = Tickets()
    metrics: Metrics = Metrics()
    log: Log = Log()
    otel: Otel = Otel()

    @property
    def active(self) -> dict[str, Upstream]:
        """The upstreams that are used, the configured ones before the built-in demo."""
        return {name: upstream for name, upstream in self.upstreams.items() if upstream.enabled}

    @property
    def records_last(self) -> bool:
        """Whether the records outlive the process, so that others can write there."""
        return self.store.folder is not None or bool(self.records.url.get_secret_value())

    @field_validator("keys", "upstreams", "proxy")
    @classmethod
    def _names(cls, tables: dict[str, Value]) -> dict[str, Value]:
        for name in tables:
            if not NAME.fullmatch(name):
                raise ValueError("expected names of up to 64 letters, digits, '.', '_' and '-'")
        return tables

    @field_validator("models")
    @classmethod
    def _targets(cls, models: Models) -> Models:
        for name, choices in models.items():
            if not choices or not all(all(shares) and shares for shares in choices):
                raise ValueError(f"expected at least one model for {name!r}")
        return models


def is_loopback(host: str) -> bool:
    """Whether a server that listens on ``host`` can be reached from this machine only."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
