"""Events as they stand in the journal: plain JSON values, times in fixed-width RFC 3339, vectors in base64.

An event is a dictionary whose `kind` says what it does. Times sort as their texts do.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from pybase64 import b64decode, b64encode_as_string

from engramia.core.model import (
    Classification,
    FeedbackItem,
    FeedbackVariant,
    Observation,
    Pattern,
    PatternRecord,
    Source,
    Version,
)
from engramia.core.query import DecayPolicy
from engramia.errors import ValidationError

type Json = dict[str, Any]

_FLOAT = np.dtype("<f4")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def dumps(event: Json) -> bytes:
    """Return the event's bytes; text that is no valid Unicode raises `ValidationError`."""
    try:
        return orjson.dumps(event)
    except TypeError as error:
        raise ValidationError(f"This cannot be stored as JSON: {error}.", field=str(event["kind"])) from error


def loads(data: bytes) -> Json:
    """Return the event that `dumps` gave `data` for."""
    event: Json = orjson.loads(data)
    return event


def finite(value: float, field: str) -> float:
    """Return `value` if JSON can hold it; NaN and infinities would come back as null."""
    if not math.isfinite(value):
        raise ValidationError(f"{field} must be a finite number; got {value!r}.", field=field)
    return value


def whole(value: int, field: str) -> int:
    """Return `value` if it is a whole number."""
    if not isinstance(value, int):
        raise ValidationError(f"{field} must be a whole number; got {value!r}.", field=field)
    return value


def finite_or_none(value: float | None, field: str) -> float | None:
    """Return `value` as `finite` does, or None for None."""
    return None if value is None else finite(value, field)


@lru_cache(maxsize=16)  # of a pattern that was just learned all moments are one
def time_text(moment: datetime) -> str:
    """Return `moment` in UTC with microseconds, 27 characters."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    if not moment.microsecond:  # which orjson would leave out
        return moment.isoformat(timespec="microseconds")[:26] + "Z"
    return orjson.dumps(moment, option=orjson.OPT_UTC_Z)[1:-1].decode()


def time_of(text: str) -> datetime:
    """Return the moment that `time_text` gave `text` for."""
    return datetime.fromisoformat(text)


def micros_of(texts: Sequence[str]) -> NDArray[np.int64]:
    """Return times as microseconds since 1970."""
    return np.array([text[:26] for text in texts], dtype="datetime64[us]").astype(np.int64)


def micros(moment: datetime) -> int:
    """Return `moment` in microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def moment_of(micros: int) -> datetime:
    """Return the moment that is so many microseconds after 1970, in UTC."""
    return _EPOCH + timedelta(microseconds=micros)


def vector_text(vector: NDArray[np.float32]) -> str:
    """Return the vector's little-endian float32 bytes in base64."""
    return b64encode_as_string(np.ascontiguousarray(vector, dtype=_FLOAT))


def vectors_of(texts: Sequence[str]) -> NDArray[np.float32]:
    """Return the vectors that `vector_text` gave `texts` for, of one dimension: (len(texts), dimension)."""
    joined = b"".join([b64decode(text, validate=True) for text in texts])
    return np.frombuffer(joined, dtype=_FLOAT).reshape(len(texts), -1)


def dimension_of(text: str) -> int:
    """Return the dimension of the vector in `text`."""
    return (len(text) * 3 // 4 - text[-2:].count("=")) // 4


def encode_record(record: PatternRecord) -> Json:
    """Return the record as JSON values, without its embedding model, which stands beside the vector."""
    return encode_pattern(
        record.pattern,
        [encode_version(version) for version in record.versions],
        [encode_observation(observation) for observation in record.observations],
    )


def encode_pattern(pattern: Pattern, versions: Sequence[Json], observations: Sequence[Json]) -> Json:
    """Return the pattern as JSON values, with a history that is encoded already."""
    return {
        "key": pattern.key,
        "task": pattern.task,
        "code": pattern.code,
        "output": pattern.output,
        "success_score": finite(pattern.success_score, "success_score"),
        "created_at": time_text(pattern.created_at),
        "decayed_at": time_text(pattern.decayed_at),
        "reuse_count": whole(pattern.reuse_count, "reuse_count"),
        "classification": _member(pattern.classification, Classification),
        "source": _member(pattern.source, Source),
        "run_id": pattern.run_id,
        "author": pattern.author,
        "skills": list(pattern.skills),
        "versions": versions,
        "observations": observations,
    }


def _member[E: StrEnum](value: E, kind: type[E]) -> E:
    return value if isinstance(value, kind) else kind(value)


def encode_version(version: Version) -> Json:
    """Return the version as JSON values."""
    return {
        "code": version.code,
        "output": version.output,
        "success_score": finite(version.success_score, "success_score"),
        "replaced_at": time_text(version.replaced_at),
    }


def decode_version(values: Mapping[str, Any]) -> Version:
    """Return the version that `encode_version` gave `values` for."""
    return Version(values["code"], values["output"], values["success_score"], time_of(values["replaced_at"]))


def encode_observation(observation: Observation) -> Json:
    """Return the observation as JSON values."""
    return {
        "score": finite(observation.score, "score"),
        "at": time_text(observation.at),
        "feedback": observation.feedback,
    }


def decode_observation(values: Mapping[str, Any]) -> Observation:
    """Return the observation that `encode_observation` gave `values` for."""
    return Observation(values["score"], time_of(values["at"]), values["feedback"])


def encode_feedback(item: FeedbackItem) -> Json:
    """Return the feedback item as JSON values."""
    return {
        "id": item.id,
        "text": item.text,
        "count": item.count,
        "weight": finite(item.weight, "weight"),
        "first_seen": time_text(item.first_seen),
        "last_seen": time_text(item.last_seen),
        "decayed_at": time_text(item.decayed_at),
        "task": item.task,
        "variants": [
            [said.text, said.count, finite(said.score_sum, "score_sum"), said.scored]
            for said in item.variants
        ],
    }


def decode_feedback(values: Mapping[str, Any]) -> FeedbackItem:
    """Return the feedback item that `encode_feedback` gave `values` for."""
    return FeedbackItem(
        id=values["id"],
        text=values["text"],
        count=values["count"],
        weight=values["weight"],
        first_seen=time_of(values["first_seen"]),
        last_seen=time_of(values["last_seen"]),
        decayed_at=time_of(values["decayed_at"]),
        task=values["task"],
        variants=tuple(FeedbackVariant(*said) for said in values["variants"]),
    )


def decay_event(kind: str, policy: DecayPolicy, now: datetime) -> Json:
    """Return the event that decays everything of one kind by `policy`."""
    return {
        "kind": kind,
        "factor_per_week": finite(policy.factor_per_week, "factor_per_week"),
        "prune_below": finite(policy.prune_below, "prune_below"),
        "now": time_text(now),
    }
