"""Quantiles of what came between two moments, from the counts of a histogram's buckets."""

from collections.abc import Sequence
from itertools import accumulate


def quantile(bounds: Sequence[float], counts: Sequence[float], share: float) -> float | None:
    """The value below which that share lies, linear within its bucket; None where nothing was counted.

    ``counts`` are those of each bucket and, at the end, of all above the last bound, which are told as that bound.
    """
    total = sum(counts)
    if total <= 0:
        return None
    wanted = share * total
    lower = 0.0
    for upper, count, upto in zip(bounds, counts, accumulate(counts), strict=False):
        if upto >= wanted and count:
            return lower + (upper - lower) * (1 - (upto - wanted) / count)
        lower = upper
    return bounds[-1]


class Latest:
    """The quantiles of the last interval in which anything was counted."""

    def __init__(self, bounds: Sequence[float], shares: Sequence[float]) -> None:
        self._bounds = bounds
        self._shares = shares
        #: The counts where nothing was counted.
        self.nothing: Sequence[float] = [0.0] * (len(bounds) + 1)
        self._before: Sequence[float] = self.nothing
        self._told: dict[str, float | None] = {f"p{round(share * 100)}": None for share in shares}

    def after(self, counts: Sequence[float]) -> dict[str, float | None]:
        """The quantiles, now that the counts have come to this. What a process took with it counts as nothing new."""
        before, self._before = self._before, counts
        new = [max(0.0, now - then) for now, then in zip(counts, before, strict=True)]
        if any(new):
            self._told = {f"p{round(share * 100)}": quantile(self._bounds, new, share) for share in self._shares}
        return self._told
