"""The order in which a model's upstreams are tried: by chance and weight where they share, the fit before the failing.

How to choose fairly is from Efraimidis and Spirakis, "Weighted random sampling with a reservoir" (2006): of numbers
drawn as ``u ** (1 / weight)``, the largest is the next.
"""

import random
from collections.abc import Callable, Mapping, Sequence

from headrace.core.clock import Clock
from headrace.core.condition import Condition
from headrace.core.routing import Target, Upstream

#: Targets that share what is asked, each with its weight.
Shares = Sequence[tuple[Target, float]]


class Order:
    """Knows the condition of each upstream. ``others`` are the same upstream under more keys, by its name."""

    def __init__(
        self,
        clock: Clock,
        *,
        others: Mapping[str, Sequence[Upstream]] | None = None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._clock = clock
        self._others = others or {}
        self._draw = draw
        self._conditions: dict[Upstream, Condition] = {}

    def of(self, choices: Sequence[Shares]) -> Sequence[Target]:
        """All targets of the choices, one choice after the other; but those that have failed lately come last."""
        targets = [target for shares in choices for target in self._shuffled(self._spread(shares))]
        return sorted(targets, key=_cooling)

    def _shuffled(self, shares: Shares) -> Sequence[Target]:
        if len(shares) == 1:
            return [shares[0][0]]
        drawn = [(self._draw() ** (1 / weight), number) for number, (_, weight) in enumerate(shares)]
        return [shares[number][0] for _, number in sorted(drawn, reverse=True)]

    def _spread(self, shares: Shares) -> Shares:
        """The same, with each upstream's share spread over its keys."""
        return [
            (Target(upstream, target.model, self._condition(upstream)), weight / len(alike))
            for target, weight in shares
            for alike in [[target.upstream, *self._others.get(target.upstream.name, ())]]
            for upstream in alike
        ]

    def _condition(self, upstream: Upstream) -> Condition:
        found = self._conditions.get(upstream)
        if found is None:
            found = self._conditions[upstream] = Condition(self._clock)
        return found


def _cooling(target: Target) -> float:
    return target.condition.cooling if target.condition else 0.0
