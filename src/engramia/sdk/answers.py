"""What the server answers, as types for editors and type checkers; at run time they are plain dicts."""

from collections.abc import Iterable
from typing import Any, Literal, NotRequired, TypedDict

type Tier = Literal["duplicate", "adapt", "fresh"]


class Learned(TypedDict):
    """What became of a run; `duplicate_of` is the key of a near-identical pattern, if there was one."""

    stored: bool
    pattern_count: int
    pattern_key: str
    duplicate_of: str | None


class Pattern(TypedDict):
    """A stored run; `success_score` is 0 to 10, `created_at` RFC 3339 in UTC."""

    task: str
    code: str
    output: str | None
    success_score: float
    reuse_count: int
    classification: str
    source: str
    created_at: str
    skills: list[str]


class ListedPattern(Pattern):
    """A pattern in a list."""

    pattern_key: str


class Record(ListedPattern):
    """A pattern with its history."""

    decayed_at: str
    run_id: str | None
    author: str | None
    embedding_model: str | None
    versions: list[dict[str, Any]]
    observations: list[dict[str, Any]]


class Match(TypedDict):
    """A pattern that was found; `similarity` is 0 to 1, the list is ordered by `score`."""

    similarity: float
    score: float
    reuse_tier: Tier
    pattern_key: str
    pattern: Pattern
    explanation: NotRequired[dict[str, Any]]


class Judgement(TypedDict):
    """One judge's answer; every score is 0 to 10."""

    task_alignment: float
    code_quality: float
    workspace_usage: float
    robustness: float
    overall: float
    feedback: str


class Evaluation(TypedDict):
    """What the judges' answers come to; `median_score` is 0 to 10."""

    median_score: float
    variance: float
    high_variance: bool
    feedback: str
    adversarial_detected: bool
    scores: list[Judgement]


class Stage(TypedDict):
    """One stage of a pipeline, with the best pattern for it."""

    name: str
    task: str
    reads: list[str]
    writes: list[str]
    reuse_tier: Tier
    similarity: float
    code: str | None
    pattern_key: str | None


class Pipeline(TypedDict):
    """A task in stages; what is wrong with them stands in `contract_errors`."""

    task: str
    stages: list[Stage]
    valid: bool
    contract_errors: list[str]
    initial_inputs: list[str]
    fallback: str | None


class Evolution(TypedDict):
    """What became of a prompt; unless `accepted`, `improved_prompt` is the one that was sent."""

    improved_prompt: str
    changes: list[str]
    issues_addressed: list[str]
    accepted: bool
    reason: str


class Cluster(TypedDict):
    """Failures of one kind; `avg_score` is the mean eval score of the runs they came from, 0 to 10."""

    representative: str
    members: list[str]
    total_count: int
    avg_score: float | None


class Issue(TypedDict):
    """A recurring issue."""

    text: str
    count: int
    weight: float
    task: str
    first_seen: str
    last_seen: str


class Metrics(TypedDict):
    """Statistics of the project; rates are 0 to 1, `avg_eval_score` is 0 to 10 or None."""

    runs: int
    success_rate: float
    avg_eval_score: float | None
    pattern_count: int
    reuse_rate: float


class Skipped(TypedDict):
    """Why one record of an import stayed out."""

    index: int
    key: str | None
    reason: str


class Imported(TypedDict):
    """What an import did."""

    imported: int
    skipped: int
    total: int
    reasons: list[Skipped]


class JobProblem(TypedDict):
    """Why a job failed, or why its last attempt did."""

    code: str
    detail: str


class JobState(TypedDict):
    """A job and what became of it."""

    id: str
    operation: str
    status: Literal["pending", "running", "completed", "failed", "cancelled", "expired"]
    result: dict[str, Any] | None
    error: JobProblem | None
    attempts: int
    created_at: str
    started_at: str | None
    completed_at: str | None
    progress: NotRequired[dict[str, int]]  # of an import that is under way, or ended early


class Page[T](list[T]):
    """A list that knows whether there is more: the next page begins at `next_offset`, None at the end."""

    def __init__(
        self, items: Iterable[T] = (), *, has_more: bool = False, next_offset: int | None = None
    ) -> None:
        super().__init__(items)
        self.has_more = has_more
        self.next_offset = next_offset


class Matches(Page[Match]):
    """Matches, best first; `degraded` if words alone were compared, and then `reason` says why."""

    def __init__(
        self,
        items: Iterable[Match] = (),
        *,
        has_more: bool = False,
        next_offset: int | None = None,
        degraded: bool = False,
        reason: str | None = None,
    ) -> None:
        super().__init__(items, has_more=has_more, next_offset=next_offset)
        self.degraded = degraded
        self.reason = reason
