"""How far a job is that is done in parts; what a job was asked for is stored as it is.

Revision ID: 0007
Revises: 0006
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what the next attempt goes on from, and do not compress requests."""
    op.execute("ALTER TABLE jobs ADD progress text")
    # To compress an import's 50 MB takes the server three seconds; they are deleted when it is done.
    op.execute("ALTER TABLE jobs ALTER request SET STORAGE EXTERNAL")


def downgrade() -> None:
    """Take both back."""
    op.execute("ALTER TABLE jobs ALTER request SET STORAGE EXTENDED")
    op.execute("ALTER TABLE jobs DROP progress")
