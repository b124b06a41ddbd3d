"""Checks on what callers hand in; each raises `ValidationError` that names the field and the limit."""

import re
from enum import StrEnum

from engramia.core import limits
from engramia.errors import ValidationError

_SURROGATE = re.compile("[\ud800-\udfff]")


def text(value: object, *, field: str, max_chars: int, blank: bool = False) -> str:
    """Return `value` if it is storable text of at most `max_chars` characters, not blank unless `blank`."""
    if not isinstance(value, str):
        raise ValidationError(f"{field} must be text, not {type(value).__name__}.", field=field)
    if len(value) > max_chars:
        raise ValidationError(
            f"{field} has {len(value):,} characters; the limit is {max_chars:,}.", field=field
        )
    if not blank and (not value or value.isspace()):
        raise ValidationError(f"{field} must not be blank.", field=field)
    if "\0" in value:
        raise ValidationError(f"{field} must not contain NUL characters.", field=field)
    if not value.isascii() and _SURROGATE.search(value):
        raise ValidationError(
            f"{field} must not contain lone surrogates (it is not valid Unicode).", field=field
        )
    return value


def optional_text(value: object, *, field: str, max_chars: int) -> str | None:
    """Return `value` as `text` does, blank allowed, or None for None."""
    return None if value is None else text(value, field=field, max_chars=max_chars, blank=True)


def number(value: object, *, field: str, low: float, high: float) -> float:
    """Return `value` as a finite float from `low` to `high`, both inclusive."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValidationError(f"{field} must be a number, not {type(value).__name__}.", field=field)
    if not low <= value <= high:  # false for NaN too
        raise ValidationError(
            f"{field} must be a number from {low:g} to {high:g}; got {_shown(value)}.", field=field
        )
    return float(value)


def score(value: object, *, field: str) -> float:
    """Return `value` as a quality score, 0 to 10."""
    return number(value, field=field, low=limits.SCORE_MIN, high=limits.SCORE_MAX)


def whole(value: object, *, field: str, low: int, high: int) -> int:
    """Return `value` as an int from `low` to `high`, both inclusive."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValidationError(f"{field} must be a whole number, not {type(value).__name__}.", field=field)
    if not low <= value <= high:
        raise ValidationError(f"{field} must be from {low:,} to {high:,}; got {_shown(value)}.", field=field)
    return value


def _shown(value: float) -> str:
    """Return a number for a message; a huge one by its size, since Python will not print it."""
    if isinstance(value, int) and value.bit_length() > 64:  # noqa: PLR2004 - what a reader can still take in
        return f"a number of {value.bit_length():,} bits"
    return f"{value:.6g}"


def choice[E: StrEnum](value: object, kind: type[E], *, field: str) -> E:
    """Return `value` as a member of `kind`."""
    if isinstance(value, kind):
        return value
    try:
        return kind(str(value))
    except ValueError:
        names = ", ".join(member.value for member in kind)
        raise ValidationError(
            f"{field} must be one of {names}; got {str(value)[:80]!r}.", field=field
        ) from None


def skills(value: object) -> tuple[str, ...]:
    """Return tags stripped, lower-cased and without repeats, in the order given."""
    if isinstance(value, str) or not isinstance(value, list | tuple | set | frozenset):
        raise ValidationError("skills must be a list of tags.", field="skills")
    if len(value) > limits.SKILLS_MAX:
        raise ValidationError(
            f"skills has {len(value)} tags; the limit is {limits.SKILLS_MAX}.", field="skills"
        )
    tags = (text(tag, field="skills", max_chars=limits.SKILL_MAX_CHARS).strip().lower() for tag in value)
    return tuple(dict.fromkeys(tags))
