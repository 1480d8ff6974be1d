"""The tables, as SQLAlchemy Core sees them; :mod:`headrace.records.migrations` makes them.

Times are Unix seconds, as everywhere. What nobody knows is NULL, which is not zero.
"""

from sqlalchemy import JSON, BigInteger, Boolean, Column, Double, Index, MetaData, String, Table

#: The newest migration. A database that is older is migrated; one that is newer is left alone.
REVISION = "0001"

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
    Index("generations_by_owner", "owner", "created", "id"),
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
