"""The targets of the proxy as values: one table ``[proxy.NAME]`` each."""

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator

from headrace.config.fields import Seconds, Size, Value, base_url, table, texts

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_VALUE = re.compile(r"[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?")
#: Headers that say where a message goes and how it is framed: how that is done is no setting.
_OURS = frozenset(
    {"connection", "content-length", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


class ProxyTarget(Value):
    """A server that requests below `/v1/proxy/NAME/` are passed on to."""

    base_url: str
    """Where it is: `https://host/path`. A request's path goes on from here, and never leads out of it."""
    headers: Annotated[dict[str, SecretStr], BeforeValidator(table)] = {}  # noqa: RUF012 - pydantic copies it
    """What it is sent with each request, such as its key; better as a reference to the environment, `${NAME}`. Sent to
    this `base_url` only, and stronger than the client's own headers."""
    methods: Annotated[tuple[Method, ...], BeforeValidator(texts)] = ("GET", "HEAD", "POST")
    """What it may be asked: of `GET`, `HEAD`, `POST`, `PUT`, `PATCH`, `DELETE`."""
    record: bool = False
    """Whether its successful answers become durable streams, which can be left, rejoined and read by others."""
    private: bool = False
    """Whether it may be at an address that is not public: on this machine, in this network."""
    first: Seconds | None = None
    """Seconds until its answer begins, from when it took the last piece of the request. Unset: `deadlines.first`."""
    idle: Seconds | None = None
    """Seconds between two pieces of its answer. Unset: `deadlines.idle`."""
    max_bytes: Size | None = None
    """The largest body, of a request and of an answer. Unset: any. Recorded ones are bounded by `[limits]` too."""
    ca_file: Path | None = None
    """A certificate authority (PEM) to trust instead of the system's."""

    @field_validator("base_url")
    @classmethod
    def _base_url(cls, url: str) -> str:
        if not url or not url.isascii() or any(c in url for c in "\\%"):
            raise ValueError("expected a URL such as https://host/path, in ASCII and without escapes")
        return base_url(url)

    @field_validator("headers")
    @classmethod
    def _headers(cls, headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, value in headers.items():
            if not _NAME.fullmatch(name) or name.lower() in _OURS or not _VALUE.fullmatch(value.get_secret_value()):
                raise ValueError(f"the header {name[:60]!r} cannot be sent")
        return headers

    @field_validator("methods")
    @classmethod
    def _methods(cls, methods: tuple[Method, ...]) -> tuple[Method, ...]:
        if not methods:
            raise ValueError("expected at least one method")
        return tuple(dict.fromkeys(methods))

    @model_validator(mode="after")
    def _public(self) -> "ProxyTarget":
        try:
            literal = ipaddress.ip_address(urlsplit(self.base_url).hostname or "")
        except ValueError:
            return self
        if not (self.private or literal.is_global):
            raise ValueError("the address is not public; where that is meant, say private = true")
        return self


Targets = Annotated[dict[str, ProxyTarget], BeforeValidator(table), Field()]
