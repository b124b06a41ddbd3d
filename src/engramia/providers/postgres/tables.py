"""The tables of the memory, as the migrations make them. Which column is for what is said here."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import UserDefinedType

from engramia.db.base import NAMES, metadata, project_id, tenant_id

_TIME = DateTime(timezone=True)


class VectorColumn(UserDefinedType[Any]):
    """pgvector's `vector`, of any dimension; numpy arrays go to the driver as they are."""

    cache_ok = True

    def get_col_spec(self, **_options: Any) -> str:
        """Return the name of the type in SQL."""
        return "vector"


class BigintArray(UserDefinedType[Any]):
    """`bigint[]`, given as `Bigints`."""

    cache_ok = True

    def get_col_spec(self, **_options: Any) -> str:
        """Return the name of the type in SQL."""
        return "bigint[]"


def _number() -> "Column[int]":
    """Return the column of a pattern's number: counted up within its scope, never used again."""
    return Column("number", BigInteger, primary_key=True)


scopes = Table(
    "scopes",
    metadata,
    tenant_id(),
    project_id(),
    Column("embedding_model", Text),
    Column("dimension", Integer),
    Column("next_number", BigInteger, nullable=False),
    # Goes up whenever a pattern's words are taken away; new ones show by `next_number`.
    Column("words_epoch", BigInteger, nullable=False),
    # Of the last transaction that changed what a search can see; never had by another scope or before.
    Column("revision", BigInteger, nullable=False),
    Column("patterns", BigInteger, nullable=False),
    Column("dense", BigInteger, nullable=False),
    Column("next_feedback", BigInteger, nullable=False),
    Column("next_event", BigInteger, nullable=False),
    Column("newest_event", _TIME),
    Column("runs", BigInteger, nullable=False),
    Column("successes", BigInteger, nullable=False),
    Column("recalls", BigInteger, nullable=False),
    Column("reused", BigInteger, nullable=False),
    # When the first of its jobs may be claimed, or earlier; null while none is unfinished.
    Column("jobs_due", _TIME),
)

patterns = Table(
    "patterns",
    metadata,
    tenant_id(),
    project_id(),
    _number(),
    Column("key", NAMES, nullable=False),
    Column("success_score", Double, nullable=False),
    # `quality_factor` of its observations: what the score of a match is multiplied by.
    Column("quality", Double, nullable=False),
    Column("reuse_count", BigInteger, nullable=False),
    Column("created_at", _TIME, nullable=False),
    Column("decayed_at", _TIME, nullable=False),
    Column("classification", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("run_id", Text),
    Column("author", Text),
    Column("skills", ARRAY(Text), nullable=False),
    # Whether it has a vector of the scope's model.
    Column("dense", Boolean, nullable=False),
    # The scope's revision by which what a search sees of it was last changed.
    Column("revision", BigInteger, nullable=False),
)

pattern_texts = Table(
    "pattern_texts",
    metadata,
    tenant_id(),
    project_id(),
    _number(),
    Column("task", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("output", Text),
    # How many distinct words the task has.
    Column("task_size", Integer, nullable=False),
    # The distinct roots of the words, as `words.pack` writes them.
    Column("task_roots", LargeBinary, nullable=False),
    Column("code_roots", LargeBinary, nullable=False),
)

pattern_vectors = Table(
    "pattern_vectors",
    metadata,
    tenant_id(),
    project_id(),
    _number(),
    Column("dimension", Integer, nullable=False),
    Column("embedding", VectorColumn, nullable=False),
)

pattern_skills = Table(
    "pattern_skills",
    metadata,
    tenant_id(),
    project_id(),
    Column("skill", NAMES, primary_key=True),
    _number(),
)

pattern_observations = Table(
    "pattern_observations",
    metadata,
    tenant_id(),
    project_id(),
    _number(),
    Column("place", BigInteger, primary_key=True),
    Column("score", Double, nullable=False),
    Column("at", _TIME, nullable=False),
    Column("feedback", Text),
)

pattern_versions = Table(
    "pattern_versions",
    metadata,
    tenant_id(),
    project_id(),
    _number(),
    Column("place", BigInteger, primary_key=True),
    Column("code", Text, nullable=False),
    Column("output", Text),
    Column("success_score", Double, nullable=False),
    Column("replaced_at", _TIME, nullable=False),
)

word_postings = Table(
    "word_postings",
    metadata,
    tenant_id(),
    project_id(),
    # 0 for the task, 1 for the code.
    Column("field", SmallInteger, primary_key=True),
    Column("root", BigInteger, primary_key=True),
    # The patterns whose number divided by `words.BLOCK` is this, or by `words.NARROW` is -1 - this; in
    # `members` what is left of the numbers by `BLOCK`.
    Column("block", BigInteger, primary_key=True),
    Column("members", LargeBinary, nullable=False),
)

word_counts = Table(
    "word_counts",
    metadata,
    tenant_id(),
    project_id(),
    Column("field", SmallInteger, primary_key=True),
    Column("root", BigInteger, primary_key=True),
    # How many patterns `word_postings` has in all rows of the root, one at least.
    Column("patterns", BigInteger, nullable=False),
)

feedback_items = Table(
    "feedback_items",
    metadata,
    tenant_id(),
    project_id(),
    Column("id", NAMES, primary_key=True),
    # In which order they were first put.
    Column("place", BigInteger, nullable=False),
    Column("text", Text, nullable=False),
    # Case-folded by Unicode's rules, which `lower` is not.
    Column("text_folded", Text, nullable=False),
    Column("words", ARRAY(Text), nullable=False),
    Column("task", Text, nullable=False),
    Column("task_folded", Text, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("weight", Double, nullable=False),
    Column("first_seen", _TIME, nullable=False),
    Column("last_seen", _TIME, nullable=False),
    Column("decayed_at", _TIME, nullable=False),
    # A JSON text, written and read whole: [text, count, score_sum, scored] each.
    Column("variants", Text, nullable=False),
)

events = Table(
    "events",
    metadata,
    tenant_id(),
    project_id(),
    # In which order they were recorded.
    Column("place", BigInteger, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("ts", _TIME, nullable=False),
    Column("eval_score", Double),
    Column("similarity", Double),
    Column("reuse_tier", Text),
    Column("pattern_key", NAMES),
)

jobs = Table(
    "jobs",
    metadata,
    tenant_id(),
    project_id(),
    Column("id", NAMES, primary_key=True),
    Column("operation", Text, nullable=False),
    # This and `result` are JSON texts: `jsonb` would change numbers and refuse what JSON allows.
    Column("request", Text, nullable=False),
    Column("author", Text),
    Column("status", Text, nullable=False),
    Column("created_at", _TIME, nullable=False),
    Column("run_at", _TIME, nullable=False),
    # `Job.due`: when it may be claimed; null once it has finished.
    Column("due_at", _TIME),
    Column("attempts", Integer, nullable=False),
    Column("fence", Integer, nullable=False),
    Column("worker", Text),
    Column("lease_until", _TIME),
    Column("started_at", _TIME),
    Column("completed_at", _TIME),
    Column("result", Text),
    # As `request`: what the next attempt goes on from.
    Column("progress", Text),
    Column("error_code", Text),
    Column("error_detail", Text),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    tenant_id(),
    project_id(),
    # This, the fingerprint and the token are hexadecimal digits; see `core/idempotency.py`.
    Column("id", NAMES, primary_key=True),
    Column("fingerprint", Text, nullable=False),
    Column("token", Text, nullable=False),
    Column("expires_at", _TIME, nullable=False),
    # Both null while the request is under way; the body is a JSON text.
    Column("status", Integer),
    Column("body", Text),
)
