"""What owners have spent: the sum of what their answers cost, where models have prices.

What a deleted answer has cost still counts, else whoever deletes could spend without end. So that much is kept of it,
for as long as a budget looks back.
"""

from collections.abc import Collection, Mapping
from functools import partial

from sqlalchemy import ColumnElement, Connection, delete, exists, func, insert, select, union_all

from headrace.core.clock import Clock
from headrace.records.database import Database
from headrace.records.tables import costs, generations

#: Seconds for which a budget is.
PERIOD = 30 * 86_400

_of = generations.c


async def spent(database: Database, clock: Clock, owners: Collection[str]) -> Mapping[str, float]:
    """US dollars in the last 30 days, of those who have spent any. Raises StoreUnavailable."""
    return await database.read(partial(_spent, owners, clock.time() - PERIOD))


def _spent(owners: Collection[str], since: float, connection: Connection) -> Mapping[str, float]:
    each = union_all(
        *(
            select(table.c.owner, table.c.cost).where(
                table.c.owner.in_(owners), table.c.created >= since, table.c.cost > 0
            )
            for table in (generations, costs)
        )
    ).subquery()
    query = select(each.c.owner, func.sum(each.c.cost)).group_by(each.c.owner)
    return {owner: float(total) for owner, total in connection.execute(query)}


def keep_costs(connection: Connection, owner: str, which: ColumnElement[bool], now: float) -> None:
    """Keep what an owner's generations have cost, before they are deleted: ``which`` of them, a condition on rows.

    What no budget looks at any more goes.
    """
    since = now - PERIOD
    connection.execute(delete(costs).where(costs.c.owner == owner, costs.c.created < since))
    again = exists().where(costs.c.id == _of.id)
    kept = select(_of.id, _of.owner, _of.created, _of.cost).where(
        _of.owner == owner, which, _of.created >= since, _of.cost > 0, ~again
    )
    connection.execute(insert(costs).from_select(["id", "owner", "created", "cost"], kept))
