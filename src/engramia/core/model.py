"""What the memory is made of: scopes, patterns and what was observed of them."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import overload

from engramia.errors import ValidationError

_SCOPE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_PATTERN_KEY = re.compile(r"patterns/[0-9a-hjkmnp-tv-z]{26}")


def _matches(form: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and form.fullmatch(value) is not None


class ReuseTier(StrEnum):
    """How far a recalled pattern can be trusted for the task at hand."""

    DUPLICATE = "duplicate"
    """Use it as it is."""
    ADAPT = "adapt"
    """Change it to fit."""
    FRESH = "fresh"
    """Write new code; the pattern is context only."""


class Classification(StrEnum):
    """How sensitive a pattern's content is."""

    PUBLIC = "public"
    INTERNAL = "internal"
    CONFIDENTIAL = "confidential"


class Source(StrEnum):
    """The door through which a pattern came."""

    API = "api"
    SDK = "sdk"
    CLI = "cli"
    IMPORT = "import"


class OnDuplicate(StrEnum):
    """What learning does when a near-identical task is already stored."""

    REPLACE_IF_BETTER = "replace_if_better"
    KEEP_BOTH = "keep_both"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Scope:
    """One isolated memory: a project of a tenant."""

    tenant_id: str = "default"
    project_id: str = "default"

    def __post_init__(self) -> None:
        for name, value in (("tenant_id", self.tenant_id), ("project_id", self.project_id)):
            if not _matches(_SCOPE_ID, value):
                raise ValidationError(
                    f"{name} must be 1 to 64 letters, digits, '_', '.' or '-', beginning with a letter or "
                    f"digit; got {value!r}.",
                    field=name,
                )


def check_pattern_key(key: object) -> str:
    """Return `key` if it has the form `patterns/<26 characters>`, else raise `ValidationError`."""
    if not (isinstance(key, str) and _matches(_PATTERN_KEY, key)):
        raise ValidationError(
            f"pattern_key must be 'patterns/' and 26 lower-case ULID characters; got {str(key)[:80]!r}.",
            field="pattern_key",
        )
    return key


@dataclass(frozen=True, slots=True)
class Observation:
    """One judgement of a pattern's quality: `score` 0 to 10, when, and what was said."""

    score: float
    at: datetime
    feedback: str | None = None


@dataclass(frozen=True, slots=True)
class Version:
    """What a pattern held before a better run replaced it."""

    code: str
    output: str | None
    success_score: float
    replaced_at: datetime


@dataclass(frozen=True, slots=True)
class Pattern:
    """One stored agent run. `success_score` is 0 to 10, begins as the run's score and decays with age."""

    key: str
    task: str
    code: str
    output: str | None
    success_score: float
    created_at: datetime
    decayed_at: datetime
    reuse_count: int = 0
    classification: Classification = Classification.INTERNAL
    source: Source = Source.SDK
    run_id: str | None = None
    author: str | None = None
    skills: tuple[str, ...] = ()
    embedding_model: str | None = None
    """The model that made its vector; None while it waits for one."""


@dataclass(frozen=True, slots=True)
class PatternRecord:
    """A pattern with its whole history, oldest first: the unit of export, import and inspection."""

    pattern: Pattern
    versions: tuple[Version, ...] = ()
    observations: tuple[Observation, ...] = ()


@dataclass(frozen=True, slots=True)
class FeedbackItem:
    """A quality issue and how often it was said. `weight` is 1 when last said and decays by the week."""

    id: str
    text: str
    count: int
    weight: float
    first_seen: datetime
    last_seen: datetime
    decayed_at: datetime
    task: str
    """The task of the run that it was last said of."""
    variants: tuple["FeedbackVariant", ...] = ()


@dataclass(frozen=True, slots=True)
class FeedbackVariant:
    """One wording of an issue: times said, and the sum of the eval scores of those runs that had one."""

    text: str
    count: int
    score_sum: float
    scored: int


class EventKind(StrEnum):
    """What an event of the activity log tells of."""

    LEARN = "learn"
    RECALL = "recall"


@dataclass(frozen=True, slots=True)
class Event:
    """One learn or recall, for analytics. For a recall the fields tell of its best match."""

    kind: EventKind
    ts: datetime
    eval_score: float | None = None
    similarity: float | None = None
    reuse_tier: ReuseTier | None = None
    pattern_key: str | None = None


@dataclass(frozen=True, slots=True)
class ActivityCounts:
    """How often this scope learned and recalled, ever."""

    runs: int = 0
    successes: int = 0
    recalls: int = 0
    reused: int = 0
    """Recalls whose best match was `duplicate` or `adapt`."""


@dataclass(frozen=True, slots=True)
class LearnResult:
    """What became of a run. `stored` is false when a near-identical pattern was kept instead."""

    stored: bool
    pattern_count: int
    pattern_key: str
    duplicate_of: str | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """The parts of a match's score: score = relevance x quality x recency."""

    relevance: float
    lexical: float
    """Agreement of words, 0 to 1."""
    quality: float
    recency: float
    differences: tuple[str, ...]
    """What differs between the two tasks, in words; empty if nothing that matters does."""


@dataclass(frozen=True, slots=True)
class Match:
    """One recalled pattern. `similarity` is 0 to 1; `score` is what the list is ordered by."""

    similarity: float
    score: float
    reuse_tier: ReuseTier
    pattern_key: str
    pattern: Pattern
    explanation: Explanation | None = None


@dataclass(frozen=True, slots=True)
class Recall(Sequence[Match]):
    """A page of matches, best first. `degraded` tells that words alone were asked, for `reason`."""

    matches: tuple[Match, ...]
    has_more: bool = False
    next_offset: int | None = None
    degraded: bool = False
    reason: str | None = None

    @overload
    def __getitem__(self, index: int) -> Match: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Match]: ...
    def __getitem__(self, index: int | slice) -> Match | Sequence[Match]:
        return self.matches[index]

    def __len__(self) -> int:
        return len(self.matches)

    def __iter__(self) -> Iterator[Match]:
        return iter(self.matches)


@dataclass(frozen=True, slots=True)
class Metrics:
    """Aggregate statistics of a scope. Rates are 0 to 1, scores 0 to 10; None where nothing was observed."""

    runs: int
    success_rate: float
    avg_eval_score: float | None
    pattern_count: int
    reuse_rate: float


@dataclass(frozen=True, slots=True)
class SkippedRecord:
    """Why one record of an import stayed out."""

    index: int
    key: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What an import did. `imported + skipped = total`; `reasons` holds one entry per skipped record."""

    imported: int
    skipped: int
    total: int
    reasons: tuple[SkippedRecord, ...] = field(default=())
