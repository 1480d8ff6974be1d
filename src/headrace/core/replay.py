"""The replay: all records of a stream that has ended."""

from collections.abc import Sequence

from headrace.core.log import Log
from headrace.errors import StoreUnavailable
from headrace.model.record import Record


async def all_records(log: Log, id: str) -> Sequence[Record]:
    """All records of a stream that has ended. Bounded by the limits under which it was written.

    Raises StoreUnavailable where it has not, and as ``Log.read``.
    """
    records: list[Record] = []
    while True:
        batch = await log.read(id, len(records), max_bytes=1 << 20)
        records += batch.records
        if batch.outcome is not None:
            return records
        if not batch.records:
            raise StoreUnavailable
