"""Recorded verdicts, one JSON object a line.

A pair, with A or B as `gold` (null or absent: unlabelled, still of use for the judges' consistency):

    {"id": "p1", "gold": "A", "verdicts": {"large": ["A", "A"], "small": ["A", "B"], "new": "B", "old": null}}

A verdict is `"A"`, `"B"` or `"tie"`, always in terms of the items and not of their places; of two, the first
was asked with A shown first, the second with B shown first; null is a judge that did not answer.

An item with a true score:

    {"id": "s1", "gold": 7.5, "scores": {"large": 8, "small": 6.5, "new": 9, "old": 7}}

All scores are from 0 to 10. Every line names the same judges. Blank lines are skipped; other fields are
ignored.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Never

from engramia.core import limits, validation
from engramia.core.jury.verdicts import Choice, PairVerdict
from engramia.errors import ValidationError

JUDGES_MAX = 64
_ORDERS = 2


@dataclass(frozen=True, slots=True)
class PairRecord:
    """One pair and what each judge said about it, None for a judge that did not answer."""

    id: str
    gold: Choice | None
    verdicts: Mapping[str, PairVerdict | None]


@dataclass(frozen=True, slots=True)
class ScoreRecord:
    """One item, its true score and each judge's, 0 to 10."""

    id: str
    gold: float
    scores: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class LineProblem:
    """Why a line was left out."""

    line: int
    """From 1."""
    message: str


@dataclass(frozen=True, slots=True)
class Recordings:
    """What was read: the judges in the order of the first good line, the records, the lines left out."""

    judges: tuple[str, ...]
    pairs: tuple[PairRecord, ...]
    scores: tuple[ScoreRecord, ...]
    problems: tuple[LineProblem, ...]


def read_recordings(lines: Iterable[str]) -> Recordings:
    """Return what the lines hold; a line that breaks the format is reported, the rest is kept."""
    records: dict[str, PairRecord | ScoreRecord] = {}
    judges: tuple[str, ...] = ()
    problems = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = _record(line)
            _refuse_repeated(record.id, records)
            judges = _same_judges(record, judges)
        except ValidationError as error:
            problems.append(LineProblem(number, str(error)))
        else:
            records[record.id] = record
    pairs = tuple(record for record in records.values() if isinstance(record, PairRecord))
    scores = tuple(record for record in records.values() if isinstance(record, ScoreRecord))
    return Recordings(judges, pairs, scores, tuple(problems))


def judge_names(names: Iterable[object]) -> tuple[str, ...]:
    """Return the judges' names in order; `ValidationError` if one is no text or repeated, or for too many."""
    found = tuple(validation.text(name, field="judges", max_chars=limits.ID_MAX_CHARS) for name in names)
    if not 1 <= len(found) <= JUDGES_MAX:
        raise ValidationError(f"judges must be 1 to {JUDGES_MAX}; got {len(found)}.", field="judges")
    if len(set(found)) < len(found):
        raise ValidationError("judges must have different names.", field="judges")
    return found


def decode(text: str, *, field: str) -> object:
    """Return the JSON value in `text`; `ValidationError` for what is not strict JSON."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ValidationError(f"{field} is not JSON: {error}.", field=field) from None


def choice[E: StrEnum](value: object, kind: type[E], *, field: str) -> E:
    """Return decoded JSON as a member of `kind`; nested values are refused before anything walks them."""
    return validation.choice(
        validation.text(value, field=field, max_chars=limits.ID_MAX_CHARS), kind, field=field
    )


def _refuse_constant(name: str) -> Never:
    raise ValueError(f"{name} is not a JSON number")


def _record(line: str) -> PairRecord | ScoreRecord:
    row = decode(line, field="line")
    if not isinstance(row, dict):
        raise ValidationError("The line must be a JSON object.", field="line")
    name = validation.text(row.get("id"), field="id", max_chars=limits.ID_MAX_CHARS)
    if ("verdicts" in row) == ("scores" in row):
        raise ValidationError("The line must have either verdicts or scores.", field="line")
    if "scores" in row:
        given = _answers(row, "scores")
        scores = {judge: validation.score(value, field=f"scores.{judge}") for judge, value in given.items()}
        return ScoreRecord(name, validation.score(row.get("gold"), field="gold"), scores)
    return PairRecord(
        name, _gold(row.get("gold")), {j: _verdict(v, j) for j, v in _answers(row, "verdicts").items()}
    )


def _answers(row: Mapping[str, object], field: str) -> Mapping[str, object]:
    answers = row[field]
    if not isinstance(answers, dict):
        raise ValidationError(f"{field} must be an object of judge and answer.", field=field)
    judge_names(answers)
    return answers


def _gold(value: object) -> Choice | None:
    if value is None:
        return None
    gold = choice(value, Choice, field="gold")
    if gold is Choice.TIE:
        raise ValidationError("gold must be A, B or null: a tie teaches nothing.", field="gold")
    return gold


def _verdict(value: object, judge: str) -> PairVerdict | None:
    field = f"verdicts.{judge}"
    if value is None:
        return None
    if not isinstance(value, list):
        return PairVerdict(choice(value, Choice, field=field))
    if len(value) != _ORDERS:
        raise ValidationError(f"{field} must be one choice, or two: one for each order.", field=field)
    forward, swapped = (choice(each, Choice, field=field) for each in value)
    return PairVerdict(forward, swapped)


def _refuse_repeated(name: str, earlier: Mapping[str, object]) -> None:
    if name in earlier:
        raise ValidationError(f"id {name!r} was used by an earlier line.", field="id")


def _same_judges(record: PairRecord | ScoreRecord, judges: tuple[str, ...]) -> tuple[str, ...]:
    """Return the judges of all lines so far; other names are a slip of the pen more often than a wish."""
    named = record.verdicts if isinstance(record, PairRecord) else record.scores
    if judges and set(named) != set(judges):
        odd = ", ".join(sorted(set(named) ^ set(judges))[:5])
        raise ValidationError(f"The line names other judges than the first one: {odd}.", field="judges")
    return judges or tuple(named)
