"""The portable form of a pattern: `{"version": 1, "key": ..., "data": {...}}`, checked field by field."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from engramia.core import limits, validation
from engramia.core.model import (
    Classification,
    Observation,
    Pattern,
    PatternRecord,
    Source,
    Version,
    check_pattern_key,
)
from engramia.errors import ValidationError

VERSION = 1


def encode(record: PatternRecord) -> dict[str, Any]:
    """Return `record` as plain JSON values; `decode` gives the same record back."""
    pattern = record.pattern
    return {
        "version": VERSION,
        "key": pattern.key,
        "data": {
            "task": pattern.task,
            "code": pattern.code,
            "output": pattern.output,
            "success_score": pattern.success_score,
            "reuse_count": pattern.reuse_count,
            "created_at": format_time(pattern.created_at),
            "decayed_at": format_time(pattern.decayed_at),
            "classification": pattern.classification.value,
            "source": pattern.source.value,
            "run_id": pattern.run_id,
            "author": pattern.author,
            "skills": list(pattern.skills),
            "embedding_model": pattern.embedding_model,
            "versions": [_encode_version(version) for version in record.versions],
            "observations": [_encode_observation(observation) for observation in record.observations],
        },
    }


def decode(value: object, *, now: datetime) -> PatternRecord:
    """Return the record that `value` describes, or raise `ValidationError` naming the field.

    `task`, `code` and `success_score` are required; no `created_at` means `now`, no `source` `import`.
    """
    outer = _mapping(value, "record")
    if outer.get("version", VERSION) != VERSION:
        raise ValidationError(
            f"version {str(outer.get('version'))[:20]} is not known; this release reads version {VERSION}.",
            field="version",
        )
    data = _mapping(outer.get("data"), "data")
    pattern = _decode_pattern(check_pattern_key(_required(outer, "key")), data, now)
    return PatternRecord(
        pattern=pattern,
        versions=tuple(_each(data, "versions", _decode_version))[-limits.VERSIONS_KEPT :],
        observations=tuple(_each(data, "observations", _decode_observation))[-limits.OBSERVATIONS_KEPT :],
    )


def format_time(moment: datetime) -> str:
    """Return `moment` in RFC 3339, UTC, microseconds kept, with `Z`."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def parse_time(value: object, *, field: str) -> datetime:
    """Return the moment an RFC 3339 text with an offset names, in UTC."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValidationError(
            f"{field} must be an RFC 3339 time with an offset; got {str(value)[:60]!r}.", field=field
        )
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValidationError(f"{field} is out of range.", field=field) from None


def _decode_pattern(key: str, data: Mapping[str, Any], now: datetime) -> Pattern:
    created_at = _time(data, "created_at", default=now)
    return Pattern(
        key=key,
        task=validation.text(_required(data, "task"), field="task", max_chars=limits.TASK_MAX_CHARS),
        code=validation.text(_required(data, "code"), field="code", max_chars=limits.CODE_MAX_CHARS),
        output=validation.optional_text(
            data.get("output"), field="output", max_chars=limits.OUTPUT_MAX_CHARS
        ),
        success_score=validation.score(_required(data, "success_score"), field="success_score"),
        created_at=created_at,
        decayed_at=_time(data, "decayed_at", default=created_at),
        reuse_count=validation.whole(data.get("reuse_count", 0), field="reuse_count", low=0, high=2**53),
        classification=validation.choice(
            data.get("classification", Classification.INTERNAL), Classification, field="classification"
        ),
        source=validation.choice(data.get("source", Source.IMPORT), Source, field="source"),
        run_id=validation.optional_text(data.get("run_id"), field="run_id", max_chars=limits.ID_MAX_CHARS),
        author=validation.optional_text(data.get("author"), field="author", max_chars=limits.ID_MAX_CHARS),
        skills=validation.skills(data.get("skills", [])),
    )


def _encode_version(version: Version) -> dict[str, Any]:
    return {
        "code": version.code,
        "output": version.output,
        "success_score": version.success_score,
        "replaced_at": format_time(version.replaced_at),
    }


def _decode_version(value: Mapping[str, Any]) -> Version:
    return Version(
        code=validation.text(
            _required(value, "code"), field="versions.code", max_chars=limits.CODE_MAX_CHARS
        ),
        output=validation.optional_text(
            value.get("output"), field="versions.output", max_chars=limits.OUTPUT_MAX_CHARS
        ),
        success_score=validation.score(_required(value, "success_score"), field="versions.success_score"),
        replaced_at=parse_time(_required(value, "replaced_at"), field="versions.replaced_at"),
    )


def _encode_observation(observation: Observation) -> dict[str, Any]:
    return {
        "score": observation.score,
        "at": format_time(observation.at),
        "feedback": observation.feedback,
    }


def _decode_observation(value: Mapping[str, Any]) -> Observation:
    return Observation(
        score=validation.score(_required(value, "score"), field="observations.score"),
        at=parse_time(_required(value, "at"), field="observations.at"),
        feedback=validation.optional_text(
            value.get("feedback"), field="observations.feedback", max_chars=limits.FEEDBACK_MAX_CHARS
        ),
    )


def _each[T](data: Mapping[str, Any], name: str, decode: Callable[[Mapping[str, Any]], T]) -> list[T]:
    values = data.get(name, [])
    if not isinstance(values, list):
        raise ValidationError(f"{name} must be a list.", field=name)
    return [decode(_mapping(value, name)) for value in values]


def _time(data: Mapping[str, Any], name: str, *, default: datetime) -> datetime:
    return parse_time(data[name], field=name) if data.get(name) is not None else default


def _mapping(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValidationError(f"{name} must be an object.", field=name)
    return value


def _required(values: Mapping[str, Any], name: str) -> Any:
    if values.get(name) is None:
        raise ValidationError(f"{name} is missing.", field=name)
    return values[name]
