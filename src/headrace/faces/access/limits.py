"""Limits: what a key's quota says to a request, and what the reply tells of it.

The headers are those that the stock SDKs' users know: OpenAI's ``x-ratelimit-*``
(platform.openai.com/docs/guides/rate-limits), and Anthropic's ``anthropic-ratelimit-*``
(docs.anthropic.com/en/api/rate-limits) where its API is spoken.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

from headrace.core.account import Left, Verdict
from headrace.core.asked import ASKED
from headrace.core.quotas import Taken
from headrace.errors import LimitReached
from headrace.faces.access.auth import Caller
from headrace.faces.service import Service
from headrace.model.dialect import MESSAGES


async def check(at: Service, who: Caller) -> None:
    """Count a call that is over at once, and that a key's quota may have no room for. Raises as ``counted``."""
    if who.grants.quota.is_limited:
        await counted(at, who)


async def counted(at: Service, who: Caller, *, dialect: str = "", tokens: int = 0, lasting: bool = False) -> Taken:
    """Count what a request begins. Raises LimitReached, and StoreUnavailable where it cannot be counted."""
    taken = await at.quotas.take(who.owner, who.grants.quota, tokens, lasting=lasting)
    if (asked := ASKED.get()) is not None:
        asked.told = tuple(_headers(taken.left, dialect, at.registry.clock.time()))
    if taken.left.refused:
        raise LimitReached(f"This key's limit is reached: {taken.left.refused}.", wait=taken.left.wait)
    return taken


def _headers(verdict: Verdict, dialect: str, now: float) -> Iterator[tuple[bytes, bytes]]:
    for what, left in (("requests", verdict.requests), ("tokens", verdict.tokens)):
        if left is not None:
            yield from _of_anthropic(what, left, now) if dialect == MESSAGES else _of_openai(what, left)


def _of_openai(what: str, left: Left) -> Iterator[tuple[bytes, bytes]]:
    yield f"x-ratelimit-limit-{what}".encode(), str(left.limit).encode()
    yield f"x-ratelimit-remaining-{what}".encode(), str(left.remaining).encode()
    yield f"x-ratelimit-reset-{what}".encode(), f"{left.reset:.3f}s".encode()


def _of_anthropic(what: str, left: Left, now: float) -> Iterator[tuple[bytes, bytes]]:
    reset = datetime.fromtimestamp(now + left.reset, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    yield f"anthropic-ratelimit-{what}-limit".encode(), str(left.limit).encode()
    yield f"anthropic-ratelimit-{what}-remaining".encode(), str(left.remaining).encode()
    yield f"anthropic-ratelimit-{what}-reset".encode(), reset.encode()
