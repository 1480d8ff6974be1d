"""Generations, and the requests that are kept."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make both tables."""
    op.create_table(
        "generations",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("owner", sa.String(128), nullable=False),
        sa.Column("dialect", sa.String(64), nullable=False),
        sa.Column("model", sa.String, nullable=False),
        sa.Column("upstream", sa.String(128), nullable=False),
        sa.Column("upstream_model", sa.String, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("first_at", sa.Double),
        sa.Column("ended_at", sa.Double, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("input_tokens", sa.BigInteger),
        sa.Column("output_tokens", sa.BigInteger),
        sa.Column("cached_tokens", sa.BigInteger),
        sa.Column("reasoning_tokens", sa.BigInteger),
        sa.Column("usage_exact", sa.Boolean),
        sa.Column("records", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("conversation", sa.String, nullable=False),
    )
    op.create_index("generations_by_owner", "generations", ["owner", "created", "id"])
    op.create_table(
        "requests",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("owner", sa.String(128), nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("body", sa.JSON, nullable=False),
    )
    op.create_index("requests_by_age", "requests", ["created"])


def downgrade() -> None:
    """Drop both tables."""
    op.drop_table("requests")
    op.drop_table("generations")
