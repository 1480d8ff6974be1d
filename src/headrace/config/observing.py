"""What operators see, as values: the tables ``[metrics]``, ``[log]`` and ``[otel]``."""

from typing import Literal

from pydantic import SecretStr, field_validator

from headrace.config.fields import STRONG_KEY, Value


class Metrics(Value):
    """`/metrics`, for Prometheus."""

    enabled: bool = True
    """Whether there are metrics at `/metrics`."""
    key: SecretStr = SecretStr("")
    """What Prometheus shows as `Authorization: Bearer KEY`; API keys open nothing there. Where it is empty, only this
    machine may ask, and not through a proxy."""

    @field_validator("key")
    @classmethod
    def _key(cls, key: SecretStr) -> SecretStr:
        text = key.get_secret_value()
        if text and (len(text) < STRONG_KEY or not text.isascii() or any(char <= " " for char in text)):
            raise ValueError(f"expected at least {STRONG_KEY} printable ASCII characters without spaces")
        return key


class Log(Value):
    """What `headrace serve` writes to standard error."""

    format: Literal["console", "json"] = "console"
    """Lines for people (`console`), or an object on each line (`json`)."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is written; `debug` has a line for each request."""


class Otel(Value):
    """OpenTelemetry."""

    enabled: bool = False
    """Whether traces and metrics are sent with OpenTelemetry, which needs `headrace[otel]`. Where to is said by its own
    variables, such as `OTEL_EXPORTER_OTLP_ENDPOINT`."""
