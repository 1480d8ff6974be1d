"""How much is kept of an owner's streams."""

from collections.abc import Collection, Mapping

from headrace.core.log import Log

#: Streams that are looked at in one step.
PAGE = 1000


async def stored_bytes(log: Log, owners: Collection[str]) -> Mapping[str, float]:
    """The bytes of all records that are kept of each owner. Raises StoreError."""
    return {owner: await _stored(log, owner) for owner in owners}


async def _stored(log: Log, owner: str) -> float:
    total, before = 0, ""
    while heads := await log.list(owner, before=before, limit=PAGE):
        total += sum(head.size for head in heads)
        before = heads[-1].id
    return total
