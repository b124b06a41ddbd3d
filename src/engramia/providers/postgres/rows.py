"""Patterns as rows: what is selected for one, and the way between rows and the types of the domain."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Row,
    and_,
    bindparam,
    cast,
    extract,
    func,
    literal_column,
    select,
    true,
)

from engramia.core import limits
from engramia.core.model import Classification, Observation, Pattern, Source, Version
from engramia.core.query import Filter
from engramia.core.ranking import quality_factor
from engramia.db.bigints import Bigints
from engramia.errors import ValidationError
from engramia.providers.postgres.tables import BigintArray, pattern_texts, patterns
from engramia.providers.postgres.transaction import ScopeTransaction, ours

TEXTS_JOIN = and_(
    pattern_texts.c.tenant_id == patterns.c.tenant_id,
    pattern_texts.c.project_id == patterns.c.project_id,
    pattern_texts.c.number == patterns.c.number,
)

_FACTS = (
    patterns.c.number,
    patterns.c.key,
    patterns.c.success_score,
    patterns.c.created_at,
    patterns.c.decayed_at,
    patterns.c.reuse_count,
    patterns.c.classification,
    patterns.c.source,
    patterns.c.run_id,
    patterns.c.author,
    patterns.c.skills,
    patterns.c.dense,
)


MICROS = cast(extract("epoch", patterns.c.created_at) * 1_000_000, BigInteger)
"""When a pattern was created, in microseconds since 1970."""

NUMBERS = bindparam("of_numbers", type_=BigintArray)
"""Numbers of patterns. Tables are asked for them one by one, in one message: what a planner that knows little
of a scope makes of a join may compare all of one table with all of another.
"""

# The limit of one holds the planner to looking each text up: a join it might do by reading a whole table.
_said = (
    select(pattern_texts.c.task, pattern_texts.c.code, pattern_texts.c.output)
    .where(ours(pattern_texts), pattern_texts.c.number == patterns.c.number)
    .limit(literal_column("1"))
    .lateral("said")
)
_WHOLE = (
    select(*_FACTS, *_said.c)
    .select_from(patterns.join(_said, true()))
    .where(ours(patterns), patterns.c.number == func.any(NUMBERS))
)


def by_number(transaction: ScopeTransaction, numbers: Sequence[int]) -> dict[int, Pattern]:
    """Return whole patterns by their numbers."""
    if not numbers:
        return {}
    found = transaction.fetch(_WHOLE, of_numbers=Bigints(np.array(numbers, np.int64)))
    return {row.number: pattern_of(row, transaction.row.embedding_model) for row in found}


def pattern_of(row: Any, model: str | None) -> Pattern:
    """Return the pattern of a row; `model` is the scope's embedding model."""
    return Pattern(
        key=row.key,
        task=row.task,
        code=row.code,
        output=row.output,
        success_score=row.success_score,
        created_at=row.created_at.astimezone(UTC),
        decayed_at=row.decayed_at.astimezone(UTC),
        reuse_count=row.reuse_count,
        classification=Classification(row.classification),
        source=Source(row.source),
        run_id=row.run_id,
        author=row.author,
        skills=tuple(row.skills),
        embedding_model=model if row.dense else None,
    )


def passing(filter: Filter) -> list[ColumnElement[bool]]:
    """Return the conditions of a filter on `patterns`; `filter_values` fills them in."""
    conditions: list[ColumnElement[bool]] = []
    if filter.classification is not None:
        conditions.append(patterns.c.classification == bindparam("of_classification"))
    if filter.source is not None:
        conditions.append(patterns.c.source == bindparam("of_source"))
    if filter.min_score is not None:
        conditions.append(patterns.c.success_score >= bindparam("of_min_score"))
    return conditions


def filter_values(filter: Filter) -> dict[str, Any]:
    """Return the values for the conditions of `passing`."""
    values = {
        "of_classification": filter.classification and filter.classification.value,
        "of_source": filter.source and filter.source.value,
        "of_min_score": filter.min_score,
    }
    return {name: value for name, value in values.items() if value is not None}


def shape(filter: Filter) -> Filter:
    """Return a filter with the same conditions, whatever their values: statements are kept by it."""
    return Filter(
        None if filter.classification is None else Classification.PUBLIC,
        None if filter.source is None else Source.API,
        None if filter.min_score is None else 0.0,
    )


def pattern_values(pattern: Pattern, observed: Sequence[float]) -> dict[str, Any]:
    """Return the row of `patterns` for a pattern with these observed scores, but its number and `dense`."""
    return {
        "key": text(pattern.key, "key"),
        "success_score": finite(pattern.success_score, "success_score"),
        "quality": quality_of(observed),
        "reuse_count": pattern.reuse_count,
        "created_at": pattern.created_at,
        "decayed_at": pattern.decayed_at,
        "classification": pattern.classification.value,
        "source": pattern.source.value,
        "run_id": optional_text(pattern.run_id, "run_id"),
        "author": optional_text(pattern.author, "author"),
        "skills": [text(skill, "skills") for skill in pattern.skills],
    }


def quality_of(observed: Sequence[float]) -> float:
    """Return what a pattern's score is multiplied by, from the scores observed, oldest first."""
    return quality_factor(list(observed[-limits.QUALITY_OBSERVATIONS :]))


def observation_values(observation: Observation) -> dict[str, Any]:
    """Return the row of an observation, but its pattern and place."""
    return {
        "score": finite(observation.score, "score"),
        "at": observation.at,
        "feedback": optional_text(observation.feedback, "feedback"),
    }


def observation_of(row: Row[Any]) -> Observation:
    return Observation(row.score, row.at.astimezone(UTC), row.feedback)


def version_values(version: Version) -> dict[str, Any]:
    """Return the row of a version, but its pattern and place."""
    return {
        "code": text(version.code, "code"),
        "output": optional_text(version.output, "output"),
        "success_score": finite(version.success_score, "success_score"),
        "replaced_at": version.replaced_at,
    }


def version_of(row: Row[Any]) -> Version:
    return Version(row.code, row.output, row.success_score, row.replaced_at.astimezone(UTC))


def finite(value: float, field: str) -> float:
    """Return `value` if it is a number that can be ordered and counted with."""
    if not math.isfinite(value):
        raise ValidationError(f"{field} must be a finite number; got {value!r}.", field=field)
    return value


def text(value: str, field: str) -> str:
    """Return `value` if Postgres can hold it: Unicode without NUL."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValidationError(f"{field} holds a lone surrogate, which is no text.", field=field) from error
    if "\0" in value:
        raise ValidationError(f"{field} holds a NUL character, which Postgres cannot store.", field=field)
    return value


def optional_text(value: str | None, field: str) -> str | None:
    return None if value is None else text(value, field)


def utc(moment: datetime) -> datetime:
    """Return a moment from the database in UTC."""
    return moment.astimezone(UTC)


def optional_utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else utc(moment)
