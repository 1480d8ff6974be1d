"""The models that an upstream has: as configured, else as it tells when it is asked."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from headrace.core.clock import Clock
from headrace.core.routing import ModelCard
from headrace.errors import HeadraceError, UpstreamProtocol
from headrace.upstreams.http import Exchange
from headrace.wire.json_object import lenient, objects

#: Bytes of a list of models.
MAX_MODELS = 4 << 20
#: Seconds for which a list of models is kept, for which a failure to get it is, and that asking for it may take.
MODELS_KEPT = 300.0
MODELS_RETRY = 30.0
MODELS_TIMEOUT = 5.0


class ModelList:
    """One upstream's models. ``ask`` asks the upstream, where the configuration names none."""

    def __init__(
        self, owner: str, models: Sequence[str], ask: Callable[[], Awaitable[Sequence[ModelCard]]], clock: Clock
    ) -> None:
        #: The names that the configuration gives it.
        self.configured = tuple(models)
        self._cards: Sequence[ModelCard] = [ModelCard(id=model, owned_by=owner) for model in models]
        self._ask = ask
        self._clock = clock
        self._asking = asyncio.Lock()
        self._ask_again_at = float("-inf")

    def known(self) -> Sequence[str]:
        """The names of its models, without asking: those configured, else those it told last."""
        return [card.id for card in self._cards]

    async def cards(self) -> Sequence[ModelCard]:
        """The configured models, else those that the server tells, asked for every five minutes at most."""
        if self.configured:
            return self._cards
        async with self._asking:
            if self._clock.monotonic() >= self._ask_again_at:
                try:
                    async with asyncio.timeout(MODELS_TIMEOUT):
                        self._cards = await self._ask()
                    self._ask_again_at = self._clock.monotonic() + MODELS_KEPT
                except (HeadraceError, TimeoutError):
                    self._ask_again_at = self._clock.monotonic() + MODELS_RETRY
        return self._cards


async def listed(exchange: Exchange) -> list[dict[str, Any]]:
    """The objects of a list of models, the same in all dialects. Raises UpstreamProtocol where there is no list."""
    try:
        value = lenient(await exchange.read_all(MAX_MODELS))
    finally:
        exchange.release()
    data = value.get("data") if isinstance(value, dict) else None
    if not isinstance(data, list):
        raise UpstreamProtocol
    return objects(data)
