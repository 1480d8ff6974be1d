"""API keys in the database: made, listed, revoked, rotated, and found again.

Only a key's SHA-256 is kept. Rows stay when a key is revoked or has expired: its id stands in records, and a database
that has ever had a key never looks like one that needs none.
"""

from collections.abc import Collection
from functools import partial
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, insert, select, update

from headrace.config.key_text import digest_of, id_of, new_key
from headrace.core.clock import Clock
from headrace.errors import NotFound, RequestError
from headrace.model.grants import Grants
from headrace.records.database import Database
from headrace.records.tables import keys

_of = keys.c

#: What a row grants that nobody here can read: it was written by a newer server, and may well be a restriction.
NOTHING = Grants(models=(), routes=())


class StoredKey(NamedTuple):
    """A key's row. Times are Unix seconds; ``expires`` and ``revoked`` are None where it does not, and is not."""

    id: str
    owner: str
    digest: bytes
    created: float
    expires: float | None
    revoked: float | None
    grants: Grants

    def is_good(self, now: float) -> bool:
        """Whether it may still be used."""
        return self.revoked is None and (self.expires is None or now < self.expires)


class NewKey(NamedTuple):
    """A key that has just been made, with its text, which nobody will tell again."""

    secret: str
    stored: StoredKey


class Keys:
    """The table of keys. Every call raises StoreUnavailable where the database cannot be used."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def create(self, owner: str, grants: Grants) -> NewKey:
        """Make a key; it expires when its grants' lifetime is over."""
        return await self._database.run(partial(_create, owner, grants, self._clock.time()))

    async def all(self) -> list[StoredKey]:
        """Every key, the oldest first; also those that are not good any more."""
        return await self._database.read(_all)

    async def revoke(self, id: str) -> StoredKey:
        """End a key at once. Idempotent. Raises NotFound."""
        return await self._database.run(partial(_revoke, id, self._clock.time()))

    async def rotate(self, id: str, overlap: float) -> NewKey:
        """Make a key with the owner and grants of another, which expires in ``overlap`` seconds, or when it would have.

        Raises NotFound, and RequestError for a key that is not good any more.
        """
        return await self._database.run(partial(_rotate, id, overlap, self._clock.time()))

    async def find(self, ids: Collection[str]) -> dict[str, StoredKey]:
        """Those of some keys that are there, by their ids."""
        return await self._database.read(partial(_find, ids))

    async def are_there(self) -> bool:
        """Whether there is, or ever was, a key."""
        return await self._database.read(_are_there)


def _create(owner: str, grants: Grants, now: float, connection: Connection) -> NewKey:
    secret = new_key()
    digest = digest_of(secret.encode())
    expires = None if grants.lifetime is None else now + grants.lifetime
    stored = StoredKey(id_of(digest), owner, digest, now, expires, None, grants)
    connection.execute(insert(keys).values(stored._replace(grants=msgspec.to_builtins(grants))._asdict()))
    return NewKey(secret, stored)


def _all(connection: Connection) -> list[StoredKey]:
    return [_read(row) for row in connection.execute(select(keys).order_by(_of.created, _of.id))]


def _revoke(id: str, now: float, connection: Connection) -> StoredKey:
    found = _get(id, connection)
    if found.revoked is not None:
        return found
    connection.execute(update(keys).where(_of.id == id).values(revoked=now))
    return found._replace(revoked=now)


def _rotate(id: str, overlap: float, now: float, connection: Connection) -> NewKey:
    found = _get(id, connection)
    if not found.is_good(now):
        raise RequestError("The key is revoked or has expired; create another one.")
    ends = now + overlap if found.expires is None else min(now + overlap, found.expires)
    connection.execute(update(keys).where(_of.id == id).values(expires=ends))
    return _create(found.owner, found.grants, now, connection)


def _find(ids: Collection[str], connection: Connection) -> dict[str, StoredKey]:
    return {row.id: _read(row) for row in connection.execute(select(keys).where(_of.id.in_(ids)))}


def _are_there(connection: Connection) -> bool:
    return connection.execute(select(_of.id).limit(1)).first() is not None


def _get(id: str, connection: Connection) -> StoredKey:
    row = connection.execute(select(keys).where(_of.id == id)).first()
    if row is None:
        raise NotFound("There is no key with this id in the database.")
    return _read(row)


def _read(row: Any) -> StoredKey:  # noqa: ANN401 - a row of SQLAlchemy's knows its columns by name only
    try:
        grants = msgspec.convert(row.grants, Grants)
    except msgspec.ValidationError:
        grants = NOTHING
    return StoredKey(row.id, row.owner, bytes(row.digest), row.created, row.expires, row.revoked, grants)
