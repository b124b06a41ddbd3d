"""Patterns, vectors and questions for the contract of the storages."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engramia.core.model import FeedbackItem, FeedbackVariant, Observation, Pattern, PatternRecord, Version
from engramia.core.query import Search
from engramia.core.ranking import Fusion

NOW = datetime(2026, 5, 4, 12, 30, 15, 123456, tzinfo=UTC)
MODEL = "test-model"
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"

type Vector = NDArray[np.float32]


def key(number: int) -> str:
    """Return a pattern key; keys sort as their numbers do."""
    letters = ""
    for _ in range(26):
        letters, number = _ALPHABET[number % 32] + letters, number // 32
    return f"patterns/{letters}"


def pattern(number: int, task: str = "", **fields: Any) -> Pattern:
    """Return a pattern made `number` seconds after `NOW`."""
    made = NOW + timedelta(seconds=number)
    plain = Pattern(
        key=key(number),
        task=task or f"task number {number}",
        code=f"print({number})",
        output=f"{number}\n",
        success_score=7.0,
        created_at=made,
        decayed_at=made,
    )
    return replace(plain, **fields)


def record(number: int, task: str = "", *, scores: tuple[float, ...] = (), **fields: Any) -> PatternRecord:
    """Return a pattern with one observation per score."""
    seen = tuple(Observation(score, NOW + timedelta(minutes=place)) for place, score in enumerate(scores))
    return PatternRecord(pattern(number, task, **fields), observations=seen)


def dense(number: int, task: str = "", *, scores: tuple[float, ...] = (), **fields: Any) -> PatternRecord:
    """Return a record whose pattern has a vector of `MODEL`."""
    return record(number, task, scores=scores, embedding_model=MODEL, **fields)


def version(number: int) -> Version:
    return Version(f"old({number})", None, 3.5, NOW + timedelta(hours=number))


def unit(*components: float) -> Vector:
    """Return the unit vector in the direction of `components`."""
    vector = np.array(components, dtype=np.float64)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def at_cosine(cosine: float) -> Vector:
    """Return a unit vector with this cosine to `unit(1, 0, 0)`."""
    return unit(cosine, float(np.sqrt(1.0 - cosine**2)), 0.0)


def search(task: str = "anything", vector: Vector | None = None, **fields: Any) -> Search:
    """Return a search that lets everything through that is not asked otherwise."""
    plain = Search(task=task, vector=vector, now=NOW, fusion=Fusion(), min_similarity=0.0, limit=10)
    return replace(plain, **fields)


def feedback(
    name: str, text: str, *, count: int = 1, weight: float = 1.0, task: str = "parse"
) -> FeedbackItem:
    variants = (FeedbackVariant(text, count, 6.0 * count, count),)
    return FeedbackItem(name, text, count, weight, NOW, NOW, NOW, task, variants)
