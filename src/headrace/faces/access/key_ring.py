"""The keys that are good: those of the configuration, and those of the database as they were seconds ago.

A key is found by its id, which follows from its digest, and counts if all of the digest is the same. So one look-up is
enough for whoever shows a key and for whoever shows a ticket or a session made with it, and time tells nothing of a
key. What is made, revoked or rotated in the database is known to every process five seconds later.
"""

import contextlib
import math
from collections.abc import Collection, Mapping
from functools import partial
from hmac import compare_digest
from typing import NamedTuple

from headrace.config import Key
from headrace.config.key_text import digest_of, id_of, is_new_key
from headrace.core.clock import Clock
from headrace.core.recent import Recent
from headrace.errors import StoreUnavailable
from headrace.model.grants import Grants
from headrace.model.leave import LeavePolicy
from headrace.records.keys import Keys, StoredKey


class GoodKey(NamedTuple):
    """A key that was good when it was looked up, and until ``expires`` (Unix seconds)."""

    id: str
    owner: str
    digest: bytes
    expires: float
    grants: Grants
    on_leave: LeavePolicy | None = None


class KeyRing:
    """All keys. ``stored`` is None where no database outlives the process; ``exposed`` where strangers may connect."""

    def __init__(self, configured: Mapping[str, Key], stored: Keys | None, clock: Clock, *, exposed: bool) -> None:
        self._configured = {key.id: key for key in (_configured(name, given) for name, given in configured.items())}
        self._clock = clock
        self._stored = Recent(partial(_find, stored), clock) if stored is not None else None
        self._openings = Recent(partial(_find_opening, stored), clock) if stored is not None else None
        self._protected = bool(configured) or exposed

    async def open(self) -> None:
        """Look for the first time, so that no request waits for it. A database that is away is asked again by those."""
        with contextlib.suppress(StoreUnavailable):
            await self.is_protected()

    async def is_protected(self) -> bool:
        """Whether a key is needed. Raises StoreUnavailable where nobody can tell any more: that opens no door.

        It is where strangers may connect, or once there has been any key: the first that is made in the database
        protects a server that runs already, and for good.
        """
        if not self._protected and self._openings is not None:
            self._protected = await self._openings.get(True) is None
        return self._protected

    async def by_secret(self, secret: bytes) -> GoodKey | None:
        """The key that is shown; None where it is not good. Raises StoreUnavailable.

        What cannot be a key of the database is not looked up there.
        """
        digest = digest_of(secret)
        found = await self._by_id(id_of(digest), in_database=is_new_key(secret))
        return found if found is not None and compare_digest(found.digest, digest) else None

    async def by_id(self, owner: str, id: str) -> GoodKey | None:
        """An owner's key that was shown before, as a ticket tells; None where it is not good any more."""
        found = await self._by_id(id, in_database=True)
        return found if found is not None and found.owner == owner else None

    async def close(self) -> None:
        """Look nothing up any more."""
        for recent in (self._stored, self._openings):
            if recent is not None:
                await recent.close()

    async def _by_id(self, id: str, *, in_database: bool) -> GoodKey | None:
        found = self._configured.get(id)
        if found is None and in_database and self._stored is not None:
            found = await self._stored.get(id)
        return found if found is not None and self._clock.time() < found.expires else None


async def _find(keys: Keys, ids: Collection[str]) -> dict[str, GoodKey]:
    rows = await keys.find(ids)
    return {id: _stored(row) for id, row in rows.items() if row.revoked is None}


async def _find_opening(keys: Keys, _: Collection[bool]) -> dict[bool, bool]:
    """That a server is open is what is there while there is no key."""
    return {} if await keys.are_there() else {True: True}


def _configured(name: str, given: Key) -> GoodKey:
    expires = math.inf if given.expires is None else given.expires.timestamp()
    return GoodKey(id_of(given.digest), name, given.digest, expires, given.grants, given.on_leave)


def _stored(row: StoredKey) -> GoodKey:
    return GoodKey(row.id, row.owner, row.digest, math.inf if row.expires is None else row.expires, row.grants)
