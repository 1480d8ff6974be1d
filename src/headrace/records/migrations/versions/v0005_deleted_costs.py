"""What answers have cost that are deleted."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "costs",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("owner", sa.String(128), nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("cost", sa.Double, nullable=False),
    )
    op.create_index("costs_by_owner", "costs", ["owner", "created"])


def downgrade() -> None:
    """Drop it."""
    op.drop_table("costs")
