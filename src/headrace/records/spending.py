"""What owners have spent: the sum of what their answers cost, where models have prices."""

from collections.abc import Collection, Mapping
from functools import partial

from sqlalchemy import Connection, func, select

from headrace.core.clock import Clock
from headrace.records.database import Database
from headrace.records.tables import generations

#: Seconds for which a budget is.
PERIOD = 30 * 86_400

_of = generations.c


async def spent(database: Database, clock: Clock, owners: Collection[str]) -> Mapping[str, float]:
    """US dollars in the last 30 days, of those who have spent any. Raises StoreUnavailable."""
    return await database.read(partial(_spent, owners, clock.time() - PERIOD))


def _spent(owners: Collection[str], since: float, connection: Connection) -> Mapping[str, float]:
    query = select(_of.owner, func.sum(_of.cost)).where(_of.owner.in_(owners), _of.created >= since, _of.cost > 0)
    return {owner: float(total) for owner, total in connection.execute(query.group_by(_of.owner))}
