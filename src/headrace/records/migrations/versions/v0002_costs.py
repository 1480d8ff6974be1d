"""With which key an answer was asked for, and what it cost."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add both columns."""
    op.add_column("generations", sa.Column("key", sa.String(64), nullable=False, server_default=""))
    op.add_column("generations", sa.Column("cost", sa.Double))


def downgrade() -> None:
    """Drop both columns."""
    op.drop_column("generations", "cost")
    op.drop_column("generations", "key")
