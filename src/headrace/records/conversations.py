"""Conversations: kept per owner, found again, named, paged and removed.

What is said in them is a tree of messages. Answers that are being written are the business of
:mod:`headrace.records.answers`; what is here shows them as they stand.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, delete, exists, func, or_, select, update

from headrace.core.clock import Clock
from headrace.errors import NameTaken, NotFound
from headrace.records.database import Database
from headrace.records.rows import insert_new, storable
from headrace.records.spending import keep_costs
from headrace.records.tables import conversations, generations, messages, requests

#: How many of an owner's conversations, the latest, are looked at for changes.
WATCHED = 1000

USER, ASSISTANT = "user", "assistant"


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation without its messages. Times are Unix seconds; ``leaf`` is the message that was shown last."""

    id: str
    title: str
    created: float
    updated: float
    settings: dict[str, Any]
    leaf: str | None


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation in a list. It is ``open`` while an answer is being written."""

    id: str
    title: str
    created: float
    updated: float
    model: str
    open: bool


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message. An answer has a ``stream`` once it was begun, and no ``state`` until it has ended."""

    id: str
    parent: str | None
    role: str
    text: str
    parts: list[dict[str, Any]]
    model: str
    stream: str | None
    state: str | None
    reason: str | None
    usage: dict[str, Any] | None
    created: float


class Conversations:
    """What is kept of them. Every method may raise StoreError; what is somebody else's is not there."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        #: A search reads all that an owner has. One at a time: whoever shows a key finds a thread that reads.
        self._searching = asyncio.Lock()

    async def list(self, owner: str, *, search: str = "", before: str = "", limit: int = 50) -> Sequence[Listed]:
        """An owner's conversations, the latest change first. ``before`` is the id with which the last page ended.

        ``search`` is looked for in titles and messages, whatever its case.
        """
        columns = conversations.c
        query = select(conversations, _is_open().label("open")).where(columns.owner == owner)
        if search:
            query = query.where(_mentions(search))
        if before:
            last = select(columns.updated).where(columns.id == before, columns.owner == owner).scalar_subquery()
            query = query.where(or_(columns.updated < last, and_(columns.updated == last, columns.id < before)))
        query = query.order_by(columns.updated.desc(), columns.id.desc()).limit(limit)
        async with self._searching if search else nullcontext():
            rows = await self._database.read(lambda connection: connection.execute(query).mappings().all())
        return [_listed(row) for row in rows]

    async def create(self, owner: str, id: str, title: str, settings: dict[str, Any]) -> tuple[Conversation, bool]:
        """Make a conversation; False where this owner has it already. Raises NameTaken where nobody can have the id."""
        now = self._clock.time()
        row = {
            "id": id,
            "owner": owner,
            "title": storable(title, conversations.c.title),
            "created": now,
            "updated": now,
            "settings": settings,
        }

        def make(connection: Connection) -> tuple[Conversation, bool]:
            made = insert_new(connection, conversations, [row])
            try:
                return found_in(connection, owner, id), made > 0
            except NotFound:
                raise NameTaken("This id cannot be had; choose another.", param="id") from None

        return await self._database.run(make)

    async def find(self, owner: str, id: str) -> Conversation:
        """A conversation. Raises NotFound."""
        return await self._database.read(lambda connection: found_in(connection, owner, id))

    async def messages(self, owner: str, id: str) -> Sequence[Message]:
        """Its messages, the oldest first; none where there is no such conversation."""
        query = (
            shown_messages()
            .join(conversations, conversations.c.id == messages.c.conversation)
            .where(messages.c.conversation == id, conversations.c.owner == owner)
            .order_by(messages.c.created, messages.c.id)
        )
        return await self._database.read(lambda connection: messages_of(connection, query))

    async def change(
        self,
        owner: str,
        id: str,
        *,
        title: str | None = None,
        settings: dict[str, Any] | None = None,
        leaf: str | None = None,
    ) -> Conversation:
        """Change what is given. Raises NotFound, for the message ``leaf`` too."""
        values: dict[str, Any] = {"updated": self._clock.time()}
        if title is not None:
            values["title"] = storable(title, conversations.c.title)
        if settings is not None:
            values["settings"] = settings
        if leaf is not None:
            values["leaf"] = leaf

        def write(connection: Connection) -> Conversation:
            found_in(connection, owner, id)
            if leaf is not None:
                message_in(connection, id, leaf, "leaf")
            connection.execute(update(conversations).where(conversations.c.id == id).values(values))
            return found_in(connection, owner, id)

        return await self._database.run(write)

    async def streams(self, owner: str, id: str) -> Sequence[str]:
        """The streams of its answers. Raises NotFound."""

        def look(connection: Connection) -> Sequence[str]:
            found_in(connection, owner, id)
            query = select(messages.c.stream).where(messages.c.conversation == id, messages.c.stream.is_not(None))
            return connection.execute(query).scalars().all()

        return await self._database.read(look)

    async def delete(self, owner: str, id: str) -> None:
        """Remove it with its messages, and what is recorded of its answers but for their costs.

        Harmless where it is not there.
        """
        now = self._clock.time()
        mine = exists().where(conversations.c.id == messages.c.conversation, conversations.c.owner == owner)
        streams = select(messages.c.stream).where(messages.c.conversation == id, messages.c.stream.is_not(None), mine)

        def remove(connection: Connection) -> None:
            keep_costs(connection, owner, generations.c.id.in_(streams), now)
            for table in (generations, requests):
                connection.execute(delete(table).where(table.c.owner == owner, table.c.id.in_(streams)))
            connection.execute(delete(messages).where(messages.c.conversation == id, mine))
            connection.execute(delete(conversations).where(conversations.c.id == id, conversations.c.owner == owner))

        await self._database.run(remove)

    async def versions(self, owner: str) -> Mapping[str, float]:
        """When each of an owner's latest conversations was last changed, the latest first; ``WATCHED`` at most."""
        columns = conversations.c
        query = (
            select(columns.id, columns.updated)
            .where(columns.owner == owner)
            .order_by(columns.updated.desc(), columns.id.desc())
            .limit(WATCHED)
        )
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return {row.id: row.updated for row in rows}


def found_in(connection: Connection, owner: str, id: str) -> Conversation:
    """A conversation, within a transaction. Raises NotFound."""
    query = select(conversations).where(conversations.c.id == id, conversations.c.owner == owner)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise NotFound("There is no such conversation.")
    return Conversation(**{name: value for name, value in row.items() if name != "owner"})


def message_in(connection: Connection, conversation: str, id: str, param: str) -> Message:
    """A message of a conversation, within a transaction. Raises NotFound, which names ``param``."""
    query = shown_messages().where(messages.c.conversation == conversation, messages.c.id == id)
    found = messages_of(connection, query)
    if not found:
        raise NotFound("There is no such message.", param=param)
    return found[0]


def shown_messages() -> Any:  # noqa: ANN401 - a Select of many columns
    """Messages with the reason of their end, which stands in the records of answers."""
    columns = [column for column in messages.c if column.name != "conversation"]
    return select(*columns, generations.c.reason).select_from(
        messages.outerjoin(generations, generations.c.id == messages.c.stream)
    )


def messages_of(connection: Connection, query: Any) -> Sequence[Message]:  # noqa: ANN401 - as above
    """What such a query finds."""
    return [Message(**row) for row in connection.execute(query).mappings()]


def _listed(row: Mapping[Any, Any]) -> Listed:
    fields = {name: row[name] for name in ("id", "title", "created", "updated")}
    return Listed(**fields, model=row["settings"].get("model", ""), open=bool(row["open"]))


def _is_open() -> ColumnElement[bool]:
    """The role stands first: a user's message may hold pictures, which are long to read over."""
    return exists().where(
        messages.c.conversation == conversations.c.id, messages.c.role == ASSISTANT, messages.c.state.is_(None)
    )


def _mentions(search: str) -> ColumnElement[bool]:
    wanted = search.lower()
    said = exists().where(
        messages.c.conversation == conversations.c.id, func.lower(messages.c.text).contains(wanted, autoescape=True)
    )
    return or_(func.lower(conversations.c.title).contains(wanted, autoescape=True), said)
