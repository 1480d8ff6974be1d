"""What an upstream's HTTP status means for the client.

A credential that the upstream does not take is ours, so its 401 is never the client's. An error object with a 4xx
passes on, scrubbed: agents must be able to read ``context_length_exceeded``. Of everything else the client learns no
more than that it failed.
"""

import asyncio
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC
from email.utils import parsedate_to_datetime

from headrace.errors import ErrorDetail, UpstreamRefused
from headrace.upstreams.http import Exchange

#: Bytes of an error's body that are read.
MAX_ERROR_BODY = 65536
#: Seconds that it may take to come.
ERROR_BODY_TIMEOUT = 1.0
#: Seconds that a client is asked to wait at most.
MAX_RETRY_AFTER = 60.0

_RATE_LIMITED = 429
_OVERLOADED = frozenset({503, 529})
#: What the client itself can put right.
_CLIENTS_FAULT = frozenset({400, 404, 409, 413, 415, 422})


async def refusal(exchange: Exchange, scrub: Callable[[bytes], ErrorDetail], now: float) -> UpstreamRefused:
    """The error for a response that is not a success; reads its body and closes the connection.

    ``scrub`` reads the dialect's error object (an empty detail where there is none); ``now`` is in Unix seconds.
    """
    status = exchange.status
    body = b""
    try:
        # The status is known: a body that does not come must not turn it into a deadline's.
        with suppress(TimeoutError):
            async with asyncio.timeout(ERROR_BODY_TIMEOUT):
                body = await exchange.read_head(MAX_ERROR_BODY)
    finally:
        exchange.release()
    detail = scrub(body)
    told = detail if detail.message or detail.code or detail.type else None
    wait = retry_after(exchange.headers, now)
    if status == _RATE_LIMITED:
        return UpstreamRefused(accepted=False, code="rate_limit", status=429, detail=told, retry_after=wait)
    if status in _OVERLOADED:
        return UpstreamRefused(accepted=False, code="overloaded", status=503, retry_after=wait)
    if status >= 500:
        # A gateway's 502 or 504 may come when the model has long begun.
        return UpstreamRefused(accepted=True, retry_after=wait)
    theirs = status in _CLIENTS_FAULT and told is not None
    error = UpstreamRefused(accepted=False, status=status if theirs else 502, detail=told if theirs else None)
    if not theirs:
        error.code = "upstream_error"
    error.retryable = False
    return error


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait, capped; None where the upstream does not say or says nonsense (RFC 9110, section 10.2.3)."""
    if (milliseconds := _number(headers.get("retry-after-ms", ""))) is not None:
        return min(milliseconds / 1000, MAX_RETRY_AFTER)
    text = headers.get("retry-after", "")
    if (seconds := _number(text)) is not None:
        return min(seconds, MAX_RETRY_AFTER)
    try:
        date = parsedate_to_datetime(text)
        at = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, at - now), MAX_RETRY_AFTER)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
