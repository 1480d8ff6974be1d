"""Where streams are kept, as settings: the table ``[store]``."""

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, field_validator

from headrace.config.fields import Value, seconds

#: The forms of a Redis URL.
REDIS = ("redis", "rediss", "unix")


class Store(Value):
    """Where streams are kept."""

    data: Annotated[str, Field(min_length=1, repr=False)] = "./headrace-data"
    """A folder (also as `sqlite:FOLDER`); `redis://HOST:PORT/DB` (`rediss://` with TLS, `unix://PATH`) for several
    machines, which needs `headrace[redis]`; with a password in it better as a reference to the environment, `${NAME}`;
    or `memory:` for streams that end with the process."""
    durability: Literal["process", "power"] = "process"
    """What a record that is committed to a folder survives: the death of the `process`, or a `power` cut too
    (slower). On Redis this is Redis's own `appendfsync`."""
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,64}$")] = "headrace:"
    """How all keys on Redis begin; servers with the same one share their streams."""
    lease: Annotated[float, BeforeValidator(seconds), Field(ge=1, le=300)] = 10.0
    """Seconds after which a server that Redis has not heard of is taken for dead, and its answers end as
    `interrupted`. It is heard three times as often."""
    local: Annotated[str, Field(min_length=1)] = "./headrace-data"
    """With Redis: the folder for what this machine keeps by itself: `records.db`, where there is no PostgreSQL."""

    @field_validator("data")
    @classmethod
    def _data(cls, data: str) -> str:
        scheme, colon, rest = data.partition(":")
        if not colon or len(scheme) == 1:  # a drive letter is not a scheme
            return data
        if scheme == "memory" and not rest:
            return data
        if scheme == "sqlite" and rest:
            return data
        if scheme in REDIS and _is_redis(data):
            return data
        raise ValueError("expected a folder, 'sqlite:FOLDER', 'redis://HOST:PORT/DB' or 'memory:'")

    @property
    def redis(self) -> bool:
        """Whether streams are kept on Redis."""
        return self.data.partition(":")[0] in REDIS

    @property
    def folder(self) -> Path | None:
        """The folder for what this machine keeps by itself; None for `memory:`."""
        if self.data == "memory:":
            return None
        return Path(self.local if self.redis else self.data.removeprefix("sqlite:")).expanduser()

    @property
    def place(self) -> str:
        """Where streams are kept, for people: without a password."""
        if not self.redis:
            return self.data
        parts = urlsplit(self.data)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _is_redis(url: str) -> bool:
    try:
        parts = urlsplit(url)
        numbered = parts.port is None or parts.port > 0
    except ValueError:
        return False
    if parts.scheme == "unix":
        there = bool(parts.path)
    else:
        there = bool(parts.hostname) and numbered and (parts.path.strip("/") or "0").isdigit()
    return url.startswith(f"{parts.scheme}://") and there and not any(c <= " " for c in url)
