"""The tables, as SQLAlchemy Core sees them; :mod:`headrace.records.migrations` makes them.

Times are Unix seconds, as everywhere. What nobody knows is NULL, which is not zero.
"""

from sqlalchemy import JSON, BigInteger, Boolean, Column, Double, Index, LargeBinary, MetaData, String, Table

#: The newest migration. A database that is older is migrated; one that is newer is left alone.
REVISION = "0005"

metadata = MetaData()

generations = Table(
    "generations",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("owner", String(128), nullable=False),
    Column("dialect", String(64), nullable=False),
    Column("model", String, nullable=False),
    Column("upstream", String(128), nullable=False),
    Column("upstream_model", String, nullable=False),
    Column("created", Double, nullable=False),
    Column("first_at", Double),
    Column("ended_at", Double, nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", String, nullable=False),
    Column("input_tokens", BigInteger),
    Column("output_tokens", BigInteger),
    Column("cached_tokens", BigInteger),
    Column("reasoning_tokens", BigInteger),
    Column("usage_exact", Boolean),
    Column("records", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("conversation", String, nullable=False),
    Column("key", String(64), nullable=False, server_default=""),
    Column("cost", Double),
    Index("generations_by_owner", "owner", "created", "id"),
)

#: What answers have cost of which nothing else is kept.
costs = Table(
    "costs",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("owner", String(128), nullable=False),
    Column("created", Double, nullable=False),
    Column("cost", Double, nullable=False),
    Index("costs_by_owner", "owner", "created"),
)

requests = Table(
    "requests",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("owner", String(128), nullable=False),
    Column("created", Double, nullable=False),
    Column("body", JSON, nullable=False),
    Index("requests_by_age", "created"),
)

keys = Table(
    "keys",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("owner", String(128), nullable=False),
    Column("digest", LargeBinary(32), nullable=False, unique=True),
    Column("created", Double, nullable=False),
    Column("expires", Double),
    Column("revoked", Double),
    Column("grants", JSON, nullable=False),
    Index("keys_by_owner", "owner", "created"),
)

conversations = Table(
    "conversations",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("owner", String(128), nullable=False),
    Column("title", String, nullable=False),
    Column("created", Double, nullable=False),
    Column("updated", Double, nullable=False),
    Column("settings", JSON, nullable=False),
    Column("leaf", String(64)),
    Index("conversations_by_owner", "owner", "updated", "id"),
)

#: A conversation's messages are a tree; ``parent`` is NULL for the first of a conversation. ``text`` is what can be
#: read and searched, ``parts`` all else (pictures, reasoning, tool calls). An answer has a ``stream``, and NULL for a
#: ``state`` until that has ended and its text has been taken over.
messages = Table(
    "messages",
    metadata,
    Column("conversation", String(64), primary_key=True),
    Column("id", String(64), primary_key=True),
    Column("parent", String(64)),
    Column("role", String(16), nullable=False),
    Column("text", String, nullable=False),
    Column("parts", JSON, nullable=False),
    Column("model", String, nullable=False),
    Column("stream", String(64), unique=True),
    Column("state", String(16)),
    Column("usage", JSON),
    Column("created", Double, nullable=False),
)
