"""Revisions, by which a process sees what changed since it last read a scope; how many patterns have a root.

Revision ID: 0006
Revises: 0005
"""

from alembic import op

from engramia.db.base import APP_ROLE
from engramia.db.scoped import protect

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_COUNTS = (
    """
    CREATE TABLE word_counts (
        tenant_id text COLLATE "C" NOT NULL,
        project_id text COLLATE "C" NOT NULL,
        field smallint NOT NULL,
        root bigint NOT NULL,
        patterns bigint NOT NULL,
        PRIMARY KEY (tenant_id, project_id, field, root)
    ) WITH (fillfactor = 75)
    """,
    # The owner too sees no rows of a table that is protected.
    "ALTER TABLE word_postings NO FORCE ROW LEVEL SECURITY",
    """
    INSERT INTO word_counts
    SELECT tenant_id, project_id, field, root, sum(octet_length(members) / 2)
    FROM word_postings GROUP BY tenant_id, project_id, field, root
    """,
    "ALTER TABLE word_postings FORCE ROW LEVEL SECURITY",
    *protect("word_counts"),
)

# A sequence, not a counter by scope: one that was erased and made anew has never had its revisions before.
_UP = (
    "CREATE SEQUENCE engramia_revisions",
    f"GRANT USAGE ON SEQUENCE engramia_revisions TO {APP_ROLE}",
    "ALTER TABLE scopes ADD revision bigint NOT NULL DEFAULT 0",
    "ALTER TABLE patterns ADD revision bigint NOT NULL DEFAULT 0",
    "CREATE INDEX patterns_revised ON patterns (tenant_id, project_id, revision)",
    # It held up writers for as long as it took.
    "DROP FUNCTION engramia_index_vectors(integer)",
    *_COUNTS,
)

_DOWN = (
    "DROP TABLE word_counts",
    "DROP INDEX patterns_revised",
    "ALTER TABLE patterns DROP revision",
    "ALTER TABLE scopes DROP revision",
    "DROP SEQUENCE engramia_revisions",
    f"""
    CREATE FUNCTION engramia_index_vectors(wanted integer) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    BEGIN
        IF wanted NOT BETWEEN 1 AND 4000 THEN
            RAISE EXCEPTION 'no index for vectors of dimension %', wanted;
        END IF;
        PERFORM pg_advisory_xact_lock(7283519047);
        EXECUTE format(
            'CREATE INDEX IF NOT EXISTS pattern_vectors_%1$s ON pattern_vectors '
            'USING hnsw ((embedding::halfvec(%1$s)) halfvec_ip_ops) WHERE dimension = %1$s', wanted);
    END $$;
    REVOKE ALL ON FUNCTION engramia_index_vectors(integer) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION engramia_index_vectors(integer) TO {APP_ROLE};
    """,
)


def upgrade() -> None:
    """Add the numbers of changes, and the counts of roots."""
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    """Drop the numbers and the counts."""
    for statement in _DOWN:
        op.execute(statement)
