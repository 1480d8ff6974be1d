"""Answers of conversations while they are written: begun in the tree, bound to their streams, and ended.

Three writes, in an order that leaves no lie wherever a process dies between them:

1. **begin**: the user's message and the answer, open and without a stream. What the user wrote is safe first. If the
   process dies here, nothing was asked of an upstream; whoever looks later finds no stream under the answer's name,
   and ends it as interrupted.
2. The stream is started under that name (:func:`name_of`), which only one can have: a retry, another tab or another
   worker finds it and asks no upstream again. If the process dies here, the name leads to the stream, and the stream's
   own meta to the answer.
3. **bind**: the answer learns its stream. What an earlier refusal has removed meanwhile is written again, so no stream
   is without its answer.

Then **take**, when the stream has ended: its text becomes the answer's. Done twice, it is done once. All of them may be
done again after a crash, and what is somebody else's is not there.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Executable, String, and_, cast, delete, exists, func, or_, select, update

from headrace.core.clock import Clock
from headrace.core.log import Name
from headrace.errors import NameTaken, RequestError
from headrace.model.outcome import Outcome, State
from headrace.records.conversations import (
    ASSISTANT,
    USER,
    Conversation,
    Message,
    found_in,
    message_in,
    messages_of,
    shown_messages,
)
from headrace.records.database import Database
from headrace.records.rows import LARGEST, insert_new, storable
from headrace.records.tables import conversations, messages
from headrace.wire.said import Said

#: Messages in one conversation, in all its branches.
MOST = 5_000
#: Characters of all of them together, images as text included: a page reads a conversation whole.
LONGEST = 64 << 20

#: Characters of a title that is made of a first message.
TITLE = 80


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """A user's message."""

    id: str
    text: str
    parts: list[dict[str, Any]]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that is asked for: below a new ``message``, or below ``parent`` itself.

    ``settings`` are those of the request alone.
    """

    answer: str
    parent: str | None
    message: Written | None
    model: str
    goes_on: bool = False
    settings: Mapping[str, Any] = {}


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """An answer in its tree, with the messages from the root to its parent (none where it has a stream already).

    ``conversation`` is what it was before; ``fresh`` are the messages that were made for this request.
    """

    asked: Asked
    conversation: Conversation
    message: Message | None
    answer: Message
    chain: Sequence[Message]
    fresh: Sequence[str]


class Open(NamedTuple):
    """An answer that has not ended."""

    conversation: str
    id: str
    stream: str | None
    created: float


class Ended(NamedTuple):
    """An answer whose stream has ended."""

    owner: str
    conversation: str
    id: str
    stream: str
    said: Said
    outcome: Outcome


def usage_of(outcome: Outcome) -> dict[str, Any] | None:
    """What an answer has used, as it is kept; None where nobody knows."""
    usage = outcome.usage
    if usage is None:
        return None
    return {"input": min(usage.input, LARGEST), "output": min(usage.output, LARGEST), "exact": usage.exact}


def name_of(conversation: str, answer: str, fingerprint: str = "") -> Name:
    """The name under which an answer's stream is started; ``fingerprint`` tells its request from another."""
    return Name("idempotency", f"{conversation}/{answer}", fingerprint)


class Answers:
    """What is kept of them. Every method may raise StoreError. A conversation has at ``most`` so many messages."""

    def __init__(self, database: Database, clock: Clock, *, most: int = MOST, longest: int = LONGEST) -> None:
        self._database = database
        self._clock = clock
        self._most = most
        self._longest = longest

    async def begin(self, owner: str, conversation: str, asked: Asked) -> Begun:
        """Put an answer into its tree, open; or find it there.

        Raises NotFound, NameTaken where another message has an id of these, and RequestError for what fits nowhere.
        """
        now = self._clock.time()

        def write(connection: Connection) -> Begun:
            begun = _begin(connection, owner, conversation, asked, now)
            if begun.fresh:
                self._check_room(connection, conversation)
            return begun

        return await self._database.run(write)

    def _check_room(self, connection: Connection, conversation: str) -> None:
        """Raise RequestError where a conversation has more than it may. What its answers grow to is not foreseen."""
        columns = messages.c
        size = func.sum(func.length(columns.text) + func.length(cast(columns.parts, String)))
        query = select(func.count(), size).where(columns.conversation == conversation)
        count, characters = connection.execute(query).one()
        if count > self._most:
            raise RequestError(f"A conversation has at most {self._most} messages; begin a new one.")
        if characters > self._longest:
            raise RequestError(f"A conversation has at most {self._longest} characters; begin a new one.")

    async def bind(self, owner: str, begun: Begun, stream: str) -> Message:
        """Let an answer know its stream, and the conversation how it goes on. Raises NotFound where that is gone."""
        id, asked = begun.conversation.id, begun.asked
        mine = and_(messages.c.conversation == id, messages.c.id == asked.answer)

        def write(connection: Connection) -> Message:
            found = found_in(connection, owner, id)
            insert_new(connection, messages, _rows(id, asked, begun.answer.created))
            statement = update(messages).where(mine, messages.c.stream.is_(None))
            if connection.execute(statement.values(stream=stream, state=None)).rowcount:
                change = update(conversations).where(conversations.c.id == id)
                connection.execute(change.values(_goes_on(found, asked, self._clock.time())))
            return message_in(connection, id, asked.answer, "id")

        return await self._database.run(write)

    async def undo(self, begun: Begun) -> None:
        """Take back what was made for a request that was refused, unless it was bound or answered by others."""
        id = begun.conversation.id
        below = messages.alias()
        for message in reversed(begun.fresh):
            alone = ~exists().where(below.c.conversation == id, below.c.parent == message)
            statement = delete(messages).where(
                messages.c.conversation == id, messages.c.id == message, messages.c.stream.is_(None), alone
            )
            await self._database.run(partial(_execute, statement=statement))

    async def open_in(self, owner: str, conversation_ids: Sequence[str]) -> Sequence[Open]:
        """The answers of these conversations that have not ended."""
        if not conversation_ids:
            return ()
        query = (
            select(messages.c.conversation, messages.c.id, messages.c.stream, messages.c.created)
            .join(conversations, conversations.c.id == messages.c.conversation)
            .where(messages.c.conversation.in_(conversation_ids), conversations.c.owner == owner)
            .where(messages.c.role == ASSISTANT, messages.c.state.is_(None))
        )
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [Open(*row) for row in rows]

    async def learn(self, open: Open, stream: str) -> None:
        """Let an answer know its stream, where whoever started that did not come to it."""
        statement = update(messages).where(_is(open), messages.c.stream.is_(None)).values(stream=stream)
        await self._database.run(lambda connection: connection.execute(statement))

    async def interrupt(self, open: Open) -> None:
        """End an answer that nobody writes and of which nothing is left. It stays as it is where it got a stream."""
        same = messages.c.stream.is_(None) if open.stream is None else messages.c.stream == open.stream
        statement = update(messages).where(_is(open), messages.c.state.is_(None), same)

        def write(connection: Connection) -> None:
            if connection.execute(statement.values(state=str(State.INTERRUPTED))).rowcount:
                _touch(connection, open.conversation, self._clock.time())

        await self._database.run(write)

    async def take(self, ended: Ended) -> None:
        """Let an answer say what its stream said. One that has ended already, or is gone, stays as it is."""

        def write(connection: Connection) -> None:
            if connection.execute(_taken(ended)).rowcount:
                _touch(connection, ended.conversation, self._clock.time())

        await self._database.run(write)

    async def forget(self, owner: str, stream: str) -> None:
        """Remove what an answer says, because its stream is removed; its place in the tree stays."""
        mine = exists().where(conversations.c.id == messages.c.conversation, conversations.c.owner == owner)
        found = select(messages.c.conversation).where(messages.c.stream == stream, mine)
        statement = update(messages).where(messages.c.stream == stream, mine)
        nothing = {"text": "", "parts": [], "state": func.coalesce(messages.c.state, str(State.CANCELLED))}

        def write(connection: Connection) -> None:
            for conversation in connection.execute(found).scalars().all():
                connection.execute(statement.values(nothing))
                _touch(connection, conversation, self._clock.time())

        await self._database.run(write)


# -- beginning ---------------------------------------------------------------------------------------------------------


def _begin(connection: Connection, owner: str, conversation: str, asked: Asked, now: float) -> Begun:
    found = found_in(connection, owner, conversation)
    rows = _rows(conversation, asked, now)
    there = {message.id: message for message in _among(connection, conversation, [row["id"] for row in rows])}
    for row in rows:
        if row["id"] in there:
            _check_same(there[row["id"]], row)
    new = [row for row in rows if row["id"] not in there]
    if new:
        _check_place(connection, conversation, asked)
        insert_new(connection, messages, new)
        there |= {message.id: message for message in _among(connection, conversation, [row["id"] for row in new])}
    answer = there[asked.answer]
    return Begun(
        asked=asked,
        conversation=found,
        message=there[asked.message.id] if asked.message else None,
        answer=answer,
        chain=() if answer.stream else _chain(connection, conversation, answer.parent),
        fresh=[row["id"] for row in new],
    )


def _rows(conversation: str, asked: Asked, now: float) -> list[dict[str, Any]]:
    """The messages of a request as rows, the upper one first. Times rise by more than a double's grain."""
    common: dict[str, Any] = {"conversation": conversation, "stream": None, "state": None}
    rows: list[dict[str, Any]] = []
    if (message := asked.message) is not None:
        user = {"id": message.id, "parent": asked.parent, "role": USER, "text": message.text, "parts": message.parts}
        rows.append({**common, **user, "model": "", "created": now})
    parent = asked.parent if asked.message is None else asked.message.id
    answer: dict[str, Any] = {
        "id": asked.answer,
        "parent": parent,
        "role": ASSISTANT,
        "text": "",
        "parts": [],
        "model": asked.model,
    }
    return [*rows, {**common, **answer, "created": now + 0.001}]


def _check_same(there: Message, row: Mapping[str, Any]) -> None:
    """Raise NameTaken where a message is not the one that a row would make. What an answer says came later."""
    fields = ("parent", "role", "model") if there.role == ASSISTANT else ("parent", "role", "text", "parts")
    if any(getattr(there, field) != row[field] for field in fields):
        raise NameTaken("Another message has this id.", param="id")


def _check_place(connection: Connection, conversation: str, asked: Asked) -> None:
    """Raise NotFound or RequestError where a request does not fit below its parent."""
    parent = message_in(connection, conversation, asked.parent, "parent") if asked.parent is not None else None
    if asked.message is None and (parent is None or parent.role != (ASSISTANT if asked.goes_on else USER)):
        what = "the answer that is to go on" if asked.goes_on else "the user's message that is to be answered"
        raise RequestError(f"'parent' must be {what}.", param="parent")


def _among(connection: Connection, conversation: str, ids: Sequence[str]) -> Sequence[Message]:
    query = shown_messages().where(messages.c.conversation == conversation, messages.c.id.in_(ids))
    return messages_of(connection, query)


def _chain(connection: Connection, conversation: str, leaf: str | None) -> Sequence[Message]:
    """The messages from the root to a leaf."""
    here = messages.c.conversation == conversation
    line = select(messages.c.id, messages.c.parent).where(here, messages.c.id == leaf).cte(recursive=True)
    line = line.union(select(messages.c.id, messages.c.parent).where(here, messages.c.id == line.c.parent))
    found = messages_of(connection, shown_messages().where(here, messages.c.id.in_(select(line.c.id))))
    by_id = {message.id: message for message in found}
    chain = []
    while leaf is not None:
        chain.append(by_id[leaf])
        leaf = chain[-1].parent
    return chain[::-1]


def _goes_on(conversation: Conversation, asked: Asked, now: float) -> dict[str, Any]:
    """What a conversation becomes by a new answer: another device goes on as this one did."""
    first = asked.message.text.strip().partition("\n")[0][:TITLE] if asked.message else ""
    return {
        "updated": now,
        "leaf": asked.answer,
        "title": conversation.title or storable(first, conversations.c.title),
        "settings": {**conversation.settings, **asked.settings, "model": asked.model},
    }


# -- ending ------------------------------------------------------------------------------------------------------------


def _taken(ended: Ended) -> Any:  # noqa: ANN401 - an Update
    mine = exists().where(conversations.c.id == messages.c.conversation, conversations.c.owner == ended.owner)
    unbound = messages.c.stream.is_(None)
    bound = and_(messages.c.stream == ended.stream, messages.c.state.is_(None))
    return (
        update(messages)
        .where(messages.c.conversation == ended.conversation, messages.c.id == ended.id, mine, or_(unbound, bound))
        .values(
            stream=ended.stream,
            state=str(ended.outcome.state),
            text=ended.said.text.replace("\0", ""),
            parts=ended.said.parts,
            usage=usage_of(ended.outcome),
        )
    )


def _execute(connection: Connection, statement: Executable) -> None:
    connection.execute(statement)


def _is(open: Open) -> Any:  # noqa: ANN401 - a condition
    return and_(messages.c.conversation == open.conversation, messages.c.id == open.id)


def _touch(connection: Connection, conversation: str, now: float) -> None:
    connection.execute(update(conversations).where(conversations.c.id == conversation).values(updated=now))
