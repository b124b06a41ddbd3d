"""Jobs: the scopes that have any are found without reading the others.

Revision ID: 0005
Revises: 0004
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# The owner sees the rows of all scopes only while row security is not forced upon it.
_SEEN = "ALTER TABLE {} NO FORCE ROW LEVEL SECURITY"
_HIDDEN = "ALTER TABLE {} FORCE ROW LEVEL SECURITY"
_NOTE_DUE = """
    UPDATE scopes SET jobs_due = (
        SELECT min(due_at) FROM jobs
        WHERE jobs.tenant_id = scopes.tenant_id AND jobs.project_id = scopes.project_id
    )
"""
_NOTE_COUNT = """
    UPDATE scopes SET unfinished_jobs = (
        SELECT count(due_at) FROM jobs
        WHERE jobs.tenant_id = scopes.tenant_id AND jobs.project_id = scopes.project_id
    )
"""


def upgrade() -> None:
    """Note in each scope when the first of its jobs is due, in place of how many there are."""
    op.execute("ALTER TABLE scopes ADD jobs_due timestamptz, DROP unfinished_jobs")
    _fill(_NOTE_DUE)
    op.execute(
        "CREATE INDEX scopes_with_jobs ON scopes (tenant_id, project_id, jobs_due) WHERE jobs_due IS NOT NULL"
    )


def downgrade() -> None:
    """Note how many unfinished jobs each scope has."""
    op.execute("ALTER TABLE scopes DROP jobs_due, ADD unfinished_jobs bigint NOT NULL DEFAULT 0")
    _fill(_NOTE_COUNT)


def _fill(statement: str) -> None:
    for table in ("scopes", "jobs"):
        op.execute(_SEEN.format(table))
    op.execute(statement)
    for table in ("scopes", "jobs"):
        op.execute(_HIDDEN.format(table))
