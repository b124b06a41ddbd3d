"""The audit trail.

Revision ID: 0003
Revises: 0002
"""

from alembic import op

from engramia.db.base import APP_ROLE
from engramia.db.scoped import protect

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# No foreign key to a tenant: what was done must outlive it, until the owner of the tables erases that too.
_LOG = """
    CREATE TABLE audit_log (
        tenant_id text COLLATE "C" NOT NULL,
        seq bigint NOT NULL CHECK (seq > 0),
        at timestamptz NOT NULL CHECK (at >= '1970-01-01 00:00Z' AND at < '9999-01-01 00:00Z'),
        event text COLLATE "C" NOT NULL,
        outcome text NOT NULL CHECK (outcome IN ('success', 'refused', 'failed')),
        actor text COLLATE "C",
        project_id text COLLATE "C",
        request_id text COLLATE "C",
        ip text,
        facts text NOT NULL,
        seal text NOT NULL,
        previous text NOT NULL,
        hash text NOT NULL,
        PRIMARY KEY (tenant_id, seq)
    )
"""

_HEADS = """
    CREATE TABLE audit_heads (
        tenant_id text COLLATE "C" NOT NULL,
        seq bigint NOT NULL,
        hash text NOT NULL,
        PRIMARY KEY (tenant_id)
    )
"""

_INDEXES = """
    CREATE INDEX audit_log_at ON audit_log (tenant_id, at);
    CREATE INDEX audit_log_event ON audit_log (tenant_id, event, seq);
    CREATE INDEX audit_log_actor ON audit_log (tenant_id, actor, seq);
"""


def upgrade() -> None:
    """Make the log, which the application may add to and read, and the heads of its chains."""
    for table, statement in (("audit_log", _LOG), ("audit_heads", _HEADS)):
        op.execute(statement)
        for protection in protect(table, by_project=False, directory=table == "audit_heads"):
            op.execute(protection)
    op.execute(_INDEXES)
    op.execute("ALTER TABLE audit_heads SET (fillfactor = 50)")
    op.execute(f"REVOKE UPDATE, DELETE ON audit_log FROM {APP_ROLE}")
    op.execute(f"REVOKE DELETE ON audit_heads FROM {APP_ROLE}")


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP TABLE audit_heads")
    op.execute("DROP TABLE audit_log")
