"""The indexes over whole vectors go: those over signs take their place.

Revision ID: 0008
Revises: 0007
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# Only dropped: to make an index here would hold up writers for minutes. `engramia db upgrade` makes the new
# ones next, beside the work, as does a search that misses one; until then all vectors are compared.
_DROP = """
    DO $$
    DECLARE
        found text;
    BEGIN
        FOR found IN
            SELECT indexrelid::regclass::text FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
            WHERE indrelid = 'pattern_vectors'::regclass AND relname ~ '{names}'
        LOOP
            EXECUTE 'DROP INDEX ' || found;
        END LOOP;
    END $$
"""


def upgrade() -> None:
    """Drop the indexes over vectors in half precision."""
    op.execute(_DROP.format(names=r"^pattern_vectors_\d+$"))


def downgrade() -> None:
    """Drop those over signs; the older release makes its own."""
    op.execute(_DROP.format(names=r"^pattern_vectors_signs_\d+$"))
