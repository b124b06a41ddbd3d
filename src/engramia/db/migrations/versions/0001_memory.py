"""The memory: scopes, patterns with their words, vectors and history, feedback, events, jobs.

Revision ID: 0001
Revises:
"""

from alembic import op

from engramia.db.scoped import protect

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_SCOPE = 'tenant_id text COLLATE "C" NOT NULL, project_id text COLLATE "C" NOT NULL'
_OF_PATTERN = (
    "FOREIGN KEY (tenant_id, project_id, number) REFERENCES patterns (tenant_id, project_id, number) "
    "ON DELETE CASCADE"
)

_TABLES = {
    "scopes": f"""
        {_SCOPE},
        embedding_model text,
        dimension integer,
        next_number bigint NOT NULL DEFAULT 0,
        words_epoch bigint NOT NULL DEFAULT 0,
        patterns bigint NOT NULL DEFAULT 0,
        dense bigint NOT NULL DEFAULT 0,
        next_feedback bigint NOT NULL DEFAULT 0,
        next_event bigint NOT NULL DEFAULT 0,
        newest_event timestamptz,
        runs bigint NOT NULL DEFAULT 0,
        successes bigint NOT NULL DEFAULT 0,
        recalls bigint NOT NULL DEFAULT 0,
        reused bigint NOT NULL DEFAULT 0,
        unfinished_jobs bigint NOT NULL DEFAULT 0,
        PRIMARY KEY (tenant_id, project_id)
    """,
    "patterns": f"""
        {_SCOPE},
        number bigint NOT NULL,
        key text COLLATE "C" NOT NULL,
        success_score double precision NOT NULL,
        quality double precision NOT NULL,
        reuse_count bigint NOT NULL,
        created_at timestamptz NOT NULL,
        decayed_at timestamptz NOT NULL,
        classification text NOT NULL CHECK (classification IN ('public', 'internal', 'confidential')),
        source text NOT NULL CHECK (source IN ('api', 'sdk', 'cli', 'import')),
        run_id text,
        author text,
        skills text[] NOT NULL,
        dense boolean NOT NULL,
        PRIMARY KEY (tenant_id, project_id, number),
        UNIQUE (tenant_id, project_id, key)
    """,
    "pattern_texts": f"""
        {_SCOPE},
        number bigint NOT NULL,
        task text NOT NULL,
        code text NOT NULL,
        output text,
        task_size integer NOT NULL,
        task_roots bytea NOT NULL,
        code_roots bytea NOT NULL,
        PRIMARY KEY (tenant_id, project_id, number),
        {_OF_PATTERN}
    """,
    "pattern_vectors": f"""
        {_SCOPE},
        number bigint NOT NULL,
        dimension integer NOT NULL,
        embedding vector NOT NULL,
        PRIMARY KEY (tenant_id, project_id, number),
        {_OF_PATTERN}
    """,
    "pattern_skills": f"""
        {_SCOPE},
        skill text COLLATE "C" NOT NULL,
        number bigint NOT NULL,
        PRIMARY KEY (tenant_id, project_id, skill, number),
        {_OF_PATTERN}
    """,
    "pattern_observations": f"""
        {_SCOPE},
        number bigint NOT NULL,
        place bigint NOT NULL,
        score double precision NOT NULL,
        at timestamptz NOT NULL,
        feedback text,
        PRIMARY KEY (tenant_id, project_id, number, place),
        {_OF_PATTERN}
    """,
    "pattern_versions": f"""
        {_SCOPE},
        number bigint NOT NULL,
        place bigint NOT NULL,
        code text NOT NULL,
        output text,
        success_score double precision NOT NULL,
        replaced_at timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, project_id, number, place),
        {_OF_PATTERN}
    """,
    "word_postings": f"""
        {_SCOPE},
        field smallint NOT NULL,
        root bigint NOT NULL,
        block bigint NOT NULL,
        members bytea NOT NULL,
        PRIMARY KEY (tenant_id, project_id, field, root, block)
    """,
    "feedback_items": f"""
        {_SCOPE},
        id text COLLATE "C" NOT NULL,
        place bigint NOT NULL,
        text text NOT NULL,
        text_folded text NOT NULL,
        words text[] NOT NULL,
        task text NOT NULL,
        task_folded text NOT NULL,
        count bigint NOT NULL,
        weight double precision NOT NULL,
        first_seen timestamptz NOT NULL,
        last_seen timestamptz NOT NULL,
        decayed_at timestamptz NOT NULL,
        variants text NOT NULL,
        PRIMARY KEY (tenant_id, project_id, id)
    """,
    "events": f"""
        {_SCOPE},
        place bigint NOT NULL,
        kind text NOT NULL CHECK (kind IN ('learn', 'recall')),
        ts timestamptz NOT NULL,
        eval_score double precision,
        similarity double precision,
        reuse_tier text CHECK (reuse_tier IN ('duplicate', 'adapt', 'fresh')),
        pattern_key text COLLATE "C",
        PRIMARY KEY (tenant_id, project_id, place)
    """,
    "jobs": f"""
        {_SCOPE},
        id text COLLATE "C" NOT NULL,
        operation text NOT NULL,
        request text NOT NULL,
        author text,
        status text NOT NULL
            CHECK (status IN ('pending', 'running', 'completed', 'failed', 'cancelled', 'expired')),
        created_at timestamptz NOT NULL,
        run_at timestamptz NOT NULL,
        due_at timestamptz,
        attempts integer NOT NULL,
        fence integer NOT NULL,
        worker text,
        lease_until timestamptz,
        started_at timestamptz,
        completed_at timestamptz,
        result text,
        error_code text,
        error_detail text,
        PRIMARY KEY (tenant_id, project_id, id),
        CHECK ((due_at IS NULL) = (status NOT IN ('pending', 'running')))
    """,
}

_INDEXES = """
    CREATE INDEX patterns_newest ON patterns (tenant_id, project_id, created_at, key);
    CREATE INDEX patterns_waiting ON patterns (tenant_id, project_id, number) WHERE NOT dense;
    CREATE INDEX pattern_texts_wordless ON pattern_texts (tenant_id, project_id) WHERE task_size = 0;
    CREATE INDEX pattern_skills_of ON pattern_skills (tenant_id, project_id, number);
    CREATE INDEX pattern_observations_at ON pattern_observations (tenant_id, project_id, at);
    CREATE INDEX events_newest ON events (tenant_id, project_id, ts, place);
    CREATE INDEX jobs_newest ON jobs (tenant_id, project_id, created_at, id);
    CREATE INDEX jobs_due ON jobs (tenant_id, project_id, due_at, id) WHERE due_at IS NOT NULL;
"""

# Counters and postings are updated in place, on their page, if it has room. Vectors stay in the row as far as
# a page goes, so that a scan does not fetch each one from elsewhere.
_STORAGE = """
    ALTER TABLE scopes SET (fillfactor = 50);
    ALTER TABLE patterns SET (fillfactor = 85);
    ALTER TABLE word_postings SET (fillfactor = 75);
    ALTER TABLE pattern_vectors SET (toast_tuple_target = 8160);
    ALTER TABLE pattern_vectors ALTER embedding SET STORAGE EXTERNAL;
"""

# The application may not make indexes; it may have this one made, for a dimension, by the owner.
_VECTOR_INDEX = """
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
    GRANT EXECUTE ON FUNCTION engramia_index_vectors(integer) TO engramia_app;
"""


def upgrade() -> None:
    """Make the tables, each behind row-level security."""
    for table, columns in _TABLES.items():
        op.execute(f"CREATE TABLE {table} ({columns})")
        for statement in protect(table, directory=table == "scopes"):
            op.execute(statement)
    for statements in (_INDEXES, _STORAGE, _VECTOR_INDEX):
        op.execute(statements)


def downgrade() -> None:
    """Drop everything, with what is in it."""
    op.execute("DROP FUNCTION engramia_index_vectors(integer)")
    for table in reversed(_TABLES):
        op.execute(f"DROP TABLE {table}")
