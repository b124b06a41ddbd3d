"""Answers kept for requests that are sent again.

Revision ID: 0004
Revises: 0003
"""

from alembic import op

from engramia.db.scoped import protect

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_COLUMNS = """
    tenant_id text COLLATE "C" NOT NULL,
    project_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    fingerprint text NOT NULL,
    token text NOT NULL,
    expires_at timestamptz NOT NULL,
    status integer,
    body text,
    PRIMARY KEY (tenant_id, project_id, id),
    CHECK ((status IS NULL) = (body IS NULL))
"""
_EXPIRING = "CREATE INDEX idempotency_keys_expiring ON idempotency_keys (tenant_id, project_id, expires_at)"


def upgrade() -> None:
    """Make the table, behind row-level security."""
    op.execute(f"CREATE TABLE idempotency_keys ({_COLUMNS})")
    op.execute(_EXPIRING)
    for statement in protect("idempotency_keys"):
        op.execute(statement)


def downgrade() -> None:
    """Drop it, with what is in it."""
    op.execute("DROP TABLE idempotency_keys")
