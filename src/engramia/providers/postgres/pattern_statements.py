"""The statements by which patterns are written, each over one scope."""

from sqlalchemy import (
    BigInteger,
    Double,
    Text,
    bindparam,
    cast,
    column,
    delete,
    extract,
    func,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY

from engramia.core import limits
from engramia.providers.postgres.tables import (
    pattern_observations,
    pattern_skills,
    pattern_texts,
    pattern_vectors,
    pattern_versions,
    patterns,
)
from engramia.providers.postgres.transaction import ours

_SECONDS_PER_WEEK = 7 * 86_400

_keys = bindparam("of_keys", type_=ARRAY(Text))
_numbers = bindparam("of_numbers", type_=ARRAY(BigInteger))
_revision = bindparam("of_revision", type_=BigInteger)
_one = patterns.c.key == bindparam("of_key")

BY_KEYS = select(patterns.c.key, patterns.c.number).where(ours(patterns), patterns.c.key == func.any(_keys))
BY_KEY = select(patterns.c.number).where(ours(patterns), _one)
ROOTS = select(pattern_texts.c.number, pattern_texts.c.task_roots, pattern_texts.c.code_roots).where(
    ours(pattern_texts), pattern_texts.c.number == func.any(_numbers)
)
DELETE_VECTORS = delete(pattern_vectors).where(
    ours(pattern_vectors), pattern_vectors.c.number == func.any(_numbers)
)
DELETE = delete(patterns).where(ours(patterns), patterns.c.number == func.any(_numbers))
LATEST = (
    select(pattern_observations.c.place, pattern_observations.c.score)
    .where(ours(pattern_observations), pattern_observations.c.number == bindparam("of_number"))
    .order_by(pattern_observations.c.place.desc())
    .limit(limits.QUALITY_OBSERVATIONS)
)
LAST_VERSION = select(func.max(pattern_versions.c.place)).where(
    ours(pattern_versions), pattern_versions.c.number == bindparam("of_number")
)
FORGET_OBSERVATIONS = delete(pattern_observations).where(
    ours(pattern_observations),
    pattern_observations.c.number == bindparam("of_number"),
    pattern_observations.c.place < bindparam("first_kept"),
)
FORGET_VERSIONS = delete(pattern_versions).where(
    ours(pattern_versions),
    pattern_versions.c.number == bindparam("of_number"),
    pattern_versions.c.place < bindparam("first_kept"),
)
SET_QUALITY = (
    update(patterns)
    .where(ours(patterns), patterns.c.number == bindparam("of_number"))
    .values(quality=bindparam("new_quality"), revision=_revision)
)
SET_SKILLS = (
    update(patterns)
    .where(ours(patterns), _one)
    .values(skills=bindparam("new_skills"))
    .returning(patterns.c.number)
)
FORGET_SKILLS = delete(pattern_skills).where(
    ours(pattern_skills), pattern_skills.c.number == bindparam("of_number")
)
CLASSIFY = (
    update(patterns)
    .where(ours(patterns), _one)
    .values(classification=bindparam("new_class"), revision=_revision)
)
_reused = (
    func.unnest(_keys, bindparam("times", type_=ARRAY(BigInteger)))
    .table_valued(column("key", Text), column("times", BigInteger))
    .render_derived()
)
COUNT_REUSE = (
    update(patterns)
    .where(ours(patterns), patterns.c.key == _reused.c.key)
    .values(reuse_count=patterns.c.reuse_count + _reused.c.times)
)
_weeks = cast(extract("epoch", bindparam("now") - patterns.c.decayed_at), Double) / _SECONDS_PER_WEEK
AGE = (
    update(patterns)
    .where(ours(patterns), patterns.c.decayed_at < bindparam("now"))
    .values(
        success_score=patterns.c.success_score * func.power(bindparam("factor", type_=Double), _weeks),
        decayed_at=bindparam("now"),
        revision=_revision,
    )
)
LOW = select(patterns.c.number).where(ours(patterns), patterns.c.success_score < bindparam("prune_below"))
ALL_WAIT = update(patterns).where(ours(patterns), patterns.c.dense).values(dense=False, revision=_revision)
NO_VECTORS = delete(pattern_vectors).where(ours(pattern_vectors))
DENSE = (
    update(patterns)
    .where(ours(patterns), patterns.c.number == func.any(_numbers))
    .values(dense=True, revision=_revision)
)
_of_number = patterns.c.number == bindparam("of_number")
UPDATE_PATTERN = (
    update(patterns)
    .where(ours(patterns), _of_number)
    .values(
        {
            name: bindparam(f"new_{name}")
            for name in (
                "key", "success_score", "quality", "reuse_count", "created_at", "decayed_at",
                "classification", "source", "run_id", "author", "skills", "revision",
            )
        }
    )
)  # fmt: skip
UPDATE_TEXTS = (
    update(pattern_texts)
    .where(ours(pattern_texts), pattern_texts.c.number == bindparam("of_number"))
    .values(
        {
            name: bindparam(f"new_{name}")
            for name in ("task", "code", "output", "task_size", "task_roots", "code_roots")
        }
    )
)
