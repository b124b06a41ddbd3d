"""Tenants, projects and their keys.

Revision ID: 0002
Revises: 0001
"""

from alembic import op

from engramia.db.scoped import protect, protect_service, reveal

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_OF_TENANT = ("tenants", "projects", "api_keys")
_OF_SERVICE = ("service_secrets", "service_counters")

# No foreign keys between these and none from them to the memory's tables. A key is found by its digest before
# anybody knows whose it is: spread over several machines (Citus), `api_keys` and the service's own tables are
# reference tables, which every machine holds whole, and which may not refer to distributed ones.
_TABLES = {
    "tenants": """
        tenant_id text COLLATE "C" NOT NULL,
        created_at timestamptz NOT NULL,
        PRIMARY KEY (tenant_id)
    """,
    "projects": """
        tenant_id text COLLATE "C" NOT NULL,
        project_id text COLLATE "C" NOT NULL,
        max_patterns bigint CHECK (max_patterns >= 1),
        created_at timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, project_id)
    """,
    "api_keys": """
        tenant_id text COLLATE "C" NOT NULL,
        id text COLLATE "C" NOT NULL,
        project_id text COLLATE "C" NOT NULL,
        name text NOT NULL,
        role text NOT NULL CHECK (role IN ('reader', 'editor', 'admin', 'owner')),
        digest bytea NOT NULL CHECK (length(digest) = 32),
        key_prefix text NOT NULL,
        max_patterns bigint CHECK (max_patterns >= 1),
        created_at timestamptz NOT NULL,
        created_by text,
        expires_at timestamptz,
        rotated_at timestamptz,
        revoked_at timestamptz,
        last_used_at timestamptz,
        PRIMARY KEY (tenant_id, id)
    """,
    "service_secrets": """
        name text COLLATE "C" NOT NULL PRIMARY KEY,
        value text NOT NULL
    """,
    "service_counters": """
        name text COLLATE "C" NOT NULL PRIMARY KEY,
        value bigint NOT NULL
    """,
}

# `last_used_at` is written in place, on its page, if that has room.
_INDEXES = """
    CREATE UNIQUE INDEX api_keys_digest ON api_keys (digest);
    CREATE INDEX api_keys_newest ON api_keys (tenant_id, project_id, created_at, id);
    ALTER TABLE api_keys SET (fillfactor = 80);
    ALTER TABLE service_counters SET (fillfactor = 20);
"""


def upgrade() -> None:
    """Make the tables, each behind row-level security."""
    for table, columns in _TABLES.items():
        op.execute(f"CREATE TABLE {table} ({columns})")
    statements = [statement for table in _OF_TENANT for statement in protect(table, by_project=False)]
    statements += [statement for table in _OF_SERVICE for statement in protect_service(table)]
    for statement in (*statements, reveal("api_keys", "digest"), _INDEXES):
        op.execute(statement)


def downgrade() -> None:
    """Drop everything, with what is in it."""
    for table in reversed(_TABLES):
        op.execute(f"DROP TABLE {table}")
