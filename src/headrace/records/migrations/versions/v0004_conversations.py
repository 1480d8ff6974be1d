"""Conversations, and the trees of their messages."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make both tables."""
    op.create_table(
        "conversations",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("owner", sa.String(128), nullable=False),
        sa.Column("title", sa.String, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("updated", sa.Double, nullable=False),
        sa.Column("settings", sa.JSON, nullable=False),
        sa.Column("leaf", sa.String(64)),
    )
    op.create_index("conversations_by_owner", "conversations", ["owner", "updated", "id"])
    op.create_table(
        "messages",
        sa.Column("conversation", sa.String(64), primary_key=True),
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("parent", sa.String(64)),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("text", sa.String, nullable=False),
        sa.Column("parts", sa.JSON, nullable=False),
        sa.Column("model", sa.String, nullable=False),
        sa.Column("stream", sa.String(64), unique=True),
        sa.Column("state", sa.String(16)),
        sa.Column("usage", sa.JSON),
        sa.Column("created", sa.Double, nullable=False),
    )


def downgrade() -> None:
    """Drop both tables."""
    op.drop_table("messages")
    op.drop_table("conversations")
