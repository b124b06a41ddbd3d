"""The bodies of the memory's endpoints."""

from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.config import JsonDict

from engramia.core import limits
from engramia.server.kit.schemas import (
    EXAMPLE_KEY,
    PATTERN_KEY_FORM,
    Answer,
    ClassificationName,
    Moment,
    Request,
    Score,
    Share,
    SourceName,
    Tier,
    optional_text,
    text,
)

type Key = Annotated[str, Field(description="Key of a pattern.", examples=[EXAMPLE_KEY])]

_KEY: JsonDict = {"pattern": PATTERN_KEY_FORM}
_TAGS: JsonDict = {
    "maxItems": limits.SKILLS_MAX,
    "items": {
        "type": "string",
        "minLength": 1,
        "maxLength": limits.SKILL_MAX_CHARS,
        "pattern": r"^[^\u0000]*[^\s\u0000][^\u0000]*$",
    },
}


class LearnRequest(Request):
    """An agent run to remember."""

    task: str = text("What the run was asked to do.", limits.TASK_MAX_CHARS)
    code: str = text("The solution.", limits.CODE_MAX_CHARS)
    eval_score: Score = Field(description="Quality of the run, 0 to 10.")
    output: str | None = optional_text("What the code printed.", limits.OUTPUT_MAX_CHARS)
    run_id: str | None = optional_text("Your own name for the run.", limits.ID_MAX_CHARS)
    classification: ClassificationName = Field("internal", description="How sensitive the content is.")
    source: SourceName = Field("api", description="The door through which the run came.")
    skills: list[str] = Field([], description="Tags, stripped and lower-cased.", json_schema_extra=_TAGS)
    on_duplicate: Literal["replace_if_better", "keep_both", "skip"] = Field(
        "replace_if_better", description="What happens where a near-identical task is stored already."
    )


class LearnAnswer(Answer):
    """What became of the run."""

    stored: bool = Field(description="False if a near-identical pattern was kept instead.")
    pattern_count: int = Field(description="Patterns in the project now.", ge=0)
    pattern_key: Key
    duplicate_of: str | None = Field(description="Key of the near-identical pattern, null if there is none.")


class RecallRequest(Request):
    """A task to find patterns for."""

    task: str = text("What you want to do.", limits.TASK_MAX_CHARS)
    limit: int = Field(
        limits.RECALL_LIMIT_DEFAULT, ge=1, le=limits.RECALL_LIMIT_MAX, description="Most matches."
    )
    offset: int = Field(0, ge=0, le=limits.OFFSET_MAX, description="Matches to pass over.")
    deduplicate: bool = Field(True, description="Show only the best of tasks that repeat each other.")
    eval_weighted: bool = Field(True, description="Weigh relevance by quality.")
    classification: ClassificationName | None = Field(
        None, description="Only patterns of this classification."
    )
    source: SourceName | None = Field(None, description="Only patterns that came through this door.")
    min_score: Score | None = Field(None, description="Least success score, inclusive.")
    min_similarity: Share | None = Field(
        None, description="Least similarity; by default the one measured for the embedding model."
    )
    recency_weight: Share = Field(0.0, description="How much newer patterns are preferred.")
    recency_half_life_days: float = Field(
        30.0, ge=0.001, le=36_500, description="Days after which the preference has halved."
    )
    readonly: bool = Field(False, description="Leave the reuse counts alone.")
    explain: bool = Field(False, description="Add the parts of each score.")


class PatternBody(Answer):
    """What a match shows of its pattern."""

    task: str
    code: str
    output: str | None
    success_score: Score
    reuse_count: int = Field(ge=0)
    classification: ClassificationName
    source: SourceName
    created_at: Moment
    skills: list[str]


class ExplanationBody(Answer):
    """The parts of a score: relevance x quality x recency."""

    relevance: float
    lexical: float
    quality: float
    recency: float
    differences: list[str] = Field(description="What differs between the two tasks.")


class MatchBody(Answer):
    """A pattern that was found."""

    similarity: Share = Field(description="Cosine of the two tasks' embeddings, 0 to 1.")
    score: float = Field(description="What the list is ordered by.")
    reuse_tier: Tier = Field(description="duplicate: use as is; adapt: change to fit; fresh: write new.")
    pattern_key: Key
    pattern: PatternBody
    explanation: ExplanationBody | None = Field(None, description="Only where it was asked for.")


class RecallAnswer(Answer):
    """A page of matches, best first."""

    matches: list[MatchBody]
    has_more: bool
    next_offset: int | None = Field(description="Offset of the next page, null at the end.")
    degraded: bool = Field(False, description="True if words alone were compared.")
    reason: str | None = Field(None, description="Why it is degraded.")


class RefineRequest(Request):
    """A judgement of a pattern that was used."""

    eval_score: Score = Field(description="How well it did, 0 to 10.")
    feedback: str | None = optional_text("What was wrong, or good.", limits.FEEDBACK_MAX_CHARS)


class ObservationBody(Answer):
    """One judgement of a pattern."""

    score: Score
    at: Moment
    feedback: str | None


class VersionBody(Answer):
    """What a pattern held before a better run replaced it."""

    code: str
    output: str | None
    success_score: Score
    replaced_at: Moment


class RecordBody(PatternBody):
    """A pattern with its whole history."""

    pattern_key: Key
    decayed_at: Moment
    run_id: str | None
    author: str | None
    embedding_model: str | None
    versions: list[VersionBody]
    observations: list[ObservationBody]


class ListedPattern(PatternBody):
    """A pattern in a list."""

    pattern_key: Key


class PatternList(Answer):
    """A page of patterns, newest first."""

    patterns: list[ListedPattern]
    has_more: bool
    next_offset: int | None


class Deleted(Answer):
    """What was deleted."""

    deleted: bool
    pattern_key: Key


class EvaluateRequest(Request):
    """Code to judge."""

    task: str = text("What the code is for.", limits.TASK_MAX_CHARS)
    code: str = text("The code.", limits.CODE_MAX_CHARS)
    output: str | None = optional_text("What the code printed.", limits.OUTPUT_MAX_CHARS)
    num_evals: int = Field(limits.EVALS_DEFAULT, ge=1, le=limits.EVALS_MAX, description="Independent judges.")
    pattern_key: str | None = Field(
        None,
        description="Pattern that the result is recorded for.",
        json_schema_extra={"anyOf": [{"type": "string", **_KEY}, {"type": "null"}]},
    )


class PreparedEvaluation(EvaluateRequest):
    """An evaluation that waits as a job: redacted, and looked at for hard-coded output before that."""

    adversarial: bool


class JudgementBody(Answer):
    """One judge's answer."""

    task_alignment: Score
    code_quality: Score
    workspace_usage: Score
    robustness: Score
    overall: Score
    feedback: str


class EvaluateAnswer(Answer):
    """What the judges' answers come to."""

    median_score: Score
    variance: float = Field(ge=0)
    high_variance: bool
    feedback: str
    adversarial_detected: bool = Field(description="Whether output is hard-coded, found by code.")
    scores: list[JudgementBody]


class ComposeRequest(Request):
    """A task to split into stages."""

    task: str = text("What the pipeline is to do.", limits.TASK_MAX_CHARS)


class StageBody(Answer):
    """One stage, with the best pattern for it."""

    name: str
    task: str
    reads: list[str]
    writes: list[str]
    reuse_tier: Tier
    similarity: Share
    code: str | None
    pattern_key: str | None


class ComposeAnswer(Answer):
    """A task as a pipeline."""

    task: str
    stages: list[StageBody]
    valid: bool
    contract_errors: list[str]
    initial_inputs: list[str]
    fallback: str | None = Field(description="Why the task was left whole, if it was.")


class EvolveRequest(Request):
    """A prompt to improve."""

    role: str = text("The agent's role, such as coder.", limits.ID_MAX_CHARS)
    current_prompt: str = text("Its prompt.", limits.PROMPT_MAX_CHARS)
    num_issues: int = Field(
        limits.ISSUES_DEFAULT, ge=1, le=limits.ISSUES_MAX, description="Issues to address."
    )


class EvolveAnswer(Answer):
    """What became of the prompt."""

    improved_prompt: str
    changes: list[str]
    issues_addressed: list[str]
    accepted: bool
    reason: str


class AnalyzeFailuresRequest(Request):
    """Which clusters of failures are wanted."""

    min_count: int = Field(1, ge=1, le=limits.OFFSET_MAX, description="Least count of a cluster.")


class ClusterBody(Answer):
    """Failures of one kind."""

    representative: str
    members: list[str]
    total_count: int
    avg_score: float | None = Field(description="Mean eval score of the runs they came from.")


class AnalyzeFailuresAnswer(Answer):
    """Clusters, the most frequent first."""

    clusters: list[ClusterBody]


class Pruned(Answer):
    """What faded away."""

    pruned: int = Field(ge=0)


class FeedbackBody(Answer):
    """A recurring issue."""

    text: str
    count: int
    weight: float
    task: str
    first_seen: Moment
    last_seen: Moment


class FeedbackList(Answer):
    """A page of recurring issues, most pressing first."""

    feedback: list[FeedbackBody]
    has_more: bool
    next_offset: int | None


class RegisterSkillsRequest(Request):
    """Tags for a pattern."""

    pattern_key: str = Field(description="Key of the pattern.", json_schema_extra=_KEY)
    skills: list[str] = Field(
        description="Tags in place of those it has; an empty list clears them.", json_schema_extra=_TAGS
    )


class RegisterSkillsAnswer(Answer):
    """How many tags the pattern has now, and which."""

    registered: int
    skills: list[str]


class SearchSkillsRequest(Request):
    """Tags to find patterns by."""

    skills: list[str] | None = Field(
        None,
        description="Tags. May also be sent as `required`.",
        json_schema_extra={"anyOf": [{"type": "array", **_TAGS}, {"type": "null"}]},
    )
    required: list[str] | None = Field(
        None,
        description="Another name for `skills`.",
        json_schema_extra={"anyOf": [{"type": "array", **_TAGS}, {"type": "null"}]},
    )
    match_all: bool = Field(False, description="Whether all tags must be there, or any.")
    limit: int = Field(limits.RECALL_LIMIT_DEFAULT, ge=1, le=limits.RECALL_LIMIT_MAX)
    offset: int = Field(0, ge=0, le=limits.OFFSET_MAX)


class MetricsAnswer(Answer):
    """Aggregate statistics of the project."""

    runs: int
    success_rate: Share
    avg_eval_score: float | None = Field(description="Mean of the last 30 days' quality observations.")
    pattern_count: int
    reuse_rate: Share


class ExportRecord(Answer):
    """A pattern in its portable form."""

    version: Literal[1]
    key: Key
    data: dict[str, Any] = Field(description="The pattern's fields, versions and observations.")


class ExportAnswer(Answer):
    """Every pattern of the project; `POST /v1/import` takes it back."""

    records: list[ExportRecord]
    count: int


class ImportRequest(Request):
    """Records to import."""

    records: list[Any] = Field(
        max_length=limits.IMPORT_MAX_RECORDS, description="Records of an export; a bad one is reported."
    )
    overwrite: bool = Field(False, description="Whether records replace patterns that have their key.")


class SkippedBody(Answer):
    """Why one record stayed out."""

    index: int
    key: str | None
    reason: str


class ImportAnswer(Answer):
    """What the import did."""

    imported: int
    skipped: int
    total: int
    reasons: list[SkippedBody]
