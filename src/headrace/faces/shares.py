"""Shares: how many of one thing each owner may have under way at once, in this process."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from headrace.errors import TooManyStreams


class Shares:
    """A count for each owner, of what it has under way now."""

    def __init__(self, most: int, what: str) -> None:
        self._most = most
        self._what = what
        self._taken: Counter[str] = Counter()

    @contextmanager
    def one(self, owner: str) -> Iterator[None]:
        """Have one under way. Raises TooManyStreams where the owner's share is used up."""
        if self._taken[owner] >= self._most:
            raise TooManyStreams(f"At most {self._most} {self._what} may be under way at once under one key.")
        self._taken[owner] += 1
        try:
            yield
        finally:
            self._taken[owner] -= 1
            if not self._taken[owner]:
                del self._taken[owner]
