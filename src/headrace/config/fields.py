"""What settings are made of: durations, sizes, lists, policies, URLs.

Seconds may be written as a number or as ``30s``, ``5m``, ``2h``, ``7d``; sizes as bytes or as ``64KiB``, ``32MiB``,
``1GiB``.
"""

import json
import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from headrace.errors import RequestError
from headrace.model.leave import LeavePolicy

#: The name of a table that its user names: an upstream, a target, a key's owner.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

#: A key with fewer characters than this can be guessed.
STRONG_KEY = 16

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_SIZE = re.compile(r"(\d+)\s*(B|KiB|MiB|GiB)", re.IGNORECASE)
_SIZES = {"b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}


def seconds(value: object) -> object:
    """A number; or a text with a unit."""
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    return float(match[1]) * _UNITS[match[2]] if match else value


def _bytes(value: object) -> object:
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    return int(match[1]) * _SIZES[match[2].lower()] if match else value


def texts(value: object) -> object:
    """A list; or a text with commas, which is how an environment variable holds one."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def table(value: object) -> object:
    """A table; or its JSON, which is how an environment variable holds one."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError("expected a table, or JSON of one") from None


def _policy(value: object) -> object:
    if value is None or isinstance(value, LeavePolicy):
        return value
    try:
        return LeavePolicy.parse(value if isinstance(value, str) else "")
    except RequestError:
        raise ValueError("expected 'cancel', 'keep' or 'linger=SECONDS' (at most a day)") from None


Seconds = Annotated[float, BeforeValidator(seconds), Field(gt=0, le=10 * 366 * 86_400, allow_inf_nan=False)]
Size = Annotated[int, BeforeValidator(_bytes), Field(ge=1)]
Count = Annotated[int, Field(ge=1)]
Texts = Annotated[tuple[str, ...], BeforeValidator(texts)]
Policy = Annotated[LeavePolicy, BeforeValidator(_policy), PlainSerializer(str)]


class Value(BaseModel):
    """What all tables have in common: they never change, and know every one of their keys."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True, validate_default=False
    )


def base_url(url: str) -> str:
    """Where somebody else's server is, without the slash at its end; empty stays so. Raises ValueError."""
    if not url:
        return url
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        valid = False
    if not valid or parts.query or parts.fragment or any(c <= " " for c in url):
        raise ValueError("expected a URL such as https://host/v1, without query and fragment")
    if parts.username is not None or parts.password is not None:
        raise ValueError("expected a URL without user and password (use api_key)")
    return url.rstrip("/")
