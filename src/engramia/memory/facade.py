"""`Memory`: everything an agent asks of its memory, one call each.

What asks a language model is loaded when it is first used: learning and recall start without it.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from engramia.core import limits, validation
from engramia.core.failures import FailureCluster
from engramia.core.model import (
    Classification,
    FeedbackItem,
    ImportResult,
    LearnResult,
    Metrics,
    OnDuplicate,
    Pattern,
    PatternRecord,
    Recall,
    Source,
)
from engramia.core.query import Filter, Page
from engramia.memory import feedback, learn, patterns, recall, stats, transfer, upkeep
from engramia.memory.engine import Engine
from engramia.memory.upkeep import Progress

if TYPE_CHECKING:
    from engramia.core.evolution import Evolution
    from engramia.core.pipeline import Pipeline
    from engramia.core.scoring import Evaluation
    from engramia.memory.jury import Jury


def _silent(_done: int, _total: int) -> None:
    """Report nothing."""


class Memory:
    """The memory of one scope. Thread-safe; every method is synchronous.

    All methods raise `ValidationError` for input outside the limits and `StorageError` when the store fails.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def engine(self) -> Engine:
        """The parts that the operations are functions of."""
        return self._engine

    def learn(  # noqa: PLR0913 - one keyword for each field of a run
        self,
        *,
        task: str,
        code: str,
        eval_score: float,
        output: str | None = None,
        run_id: str | None = None,
        classification: Classification | str = Classification.INTERNAL,
        source: Source | str = Source.SDK,
        skills: Sequence[str] = (),
        author: str | None = None,
        on_duplicate: OnDuplicate | str = OnDuplicate.REPLACE_IF_BETTER,
    ) -> LearnResult:
        """Store an agent run as a pattern; `eval_score` is its quality, 0 to 10.

        `task` has at most 10,000 characters, `code` and `output` 500,000. If a near-identical task is stored
        already, `on_duplicate` decides: `replace_if_better` (a strictly higher score takes its place and the
        old content becomes a version), `keep_both` or `skip`.
        """
        run = learn.check_run(
            self._engine,
            task=task,
            code=code,
            eval_score=eval_score,
            output=output,
            classification=classification,
            source=source,
            run_id=run_id,
            author=author,
            skills=skills,
        )
        return learn.learn(
            self._engine, run, validation.choice(on_duplicate, OnDuplicate, field="on_duplicate")
        )

    def recall(  # noqa: PLR0913 - one keyword for each documented option
        self,
        task: str,
        *,
        limit: int = limits.RECALL_LIMIT_DEFAULT,
        offset: int = 0,
        deduplicate: bool = True,
        eval_weighted: bool = True,
        classification: Classification | str | None = None,
        source: Source | str | None = None,
        min_score: float | None = None,
        min_similarity: float | None = None,
        recency_weight: float = 0.0,
        recency_half_life_days: float = 30.0,
        readonly: bool = False,
        explain: bool = False,
    ) -> Recall:
        """Find patterns for `task`, best first: at most `limit` (1 to 50) after skipping `offset`.

        `similarity` of a match is the cosine of the two tasks' embeddings (0 to 1); `reuse_tier` says how far
        to trust it. The answer is `degraded` when there was no embedding model and words alone were compared.
        `readonly` leaves the reuse counts alone; `explain` adds the parts of each score.
        """
        query = recall.Query(
            task=task,
            limit=limit,
            offset=offset,
            deduplicate=deduplicate,
            eval_weighted=eval_weighted,
            filter=recall.check_filter(classification=classification, source=source, min_score=min_score),
            min_similarity=min_similarity,
            recency_weight=recency_weight,
            recency_half_life_days=recency_half_life_days,
            readonly=readonly,
            explain=explain,
        )
        return recall.recall(self._engine, query)

    def evaluate(
        self,
        task: str,
        code: str,
        output: str | None = None,
        *,
        num_evals: int = limits.EVALS_DEFAULT,
        pattern_key: str | None = None,
        jury: "Jury | None" = None,
    ) -> "Evaluation":
        """Ask `num_evals` (1 to 10) judges at once how good `code` is for `task`: median, variance, feedback.

        `pattern_key` names a pattern that gets the median as an observation. `jury` puts judges of one's own
        in the place of `num_evals` alike ones, and weighs them if it has weights. The feedback is counted.

        Raises `ProviderNotConfiguredError` without a language model, `NotFoundError` for an unknown pattern,
        `ProviderOutputError` if fewer than half of the judges gave a valid answer, and the other
        `ProviderError`s if that was not the answers' fault; then nothing is stored.
        """
        from engramia.memory import evaluate

        assignment = evaluate.check_assignment(
            self._engine,
            task=task,
            code=code,
            output=output,
            num_evals=num_evals,
            pattern_key=pattern_key,
            jury=jury,
        )
        return evaluate.evaluate(self._engine, assignment)

    def compose(self, task: str) -> "Pipeline":
        """Split `task` into 2 to 4 stages with the best stored pattern for each, and check their contract.

        What breaks the contract is told in `contract_errors`. An answer of the model that cannot be used
        leaves the task as one stage; other `ProviderError`s are raised.
        """
        from engramia.memory import compose

        return compose.compose(self._engine, compose.check_task(self._engine, task))

    def evolve_prompt(
        self, role: str, current_prompt: str, *, num_issues: int = limits.ISSUES_DEFAULT
    ) -> "Evolution":
        """Improve the prompt of the agent in `role` by the `num_issues` (1 to 20) most pressing issues.

        Only a candidate that keeps the prompt's instructions and copies nothing out of the feedback is
        accepted; else the prompt comes back as it is, with the reason. Secrets in an accepted prompt are
        redacted. Raises `ProviderOutputError` if the answer holds no candidate, and other `ProviderError`s.
        """
        from engramia.memory import evolve

        commission = evolve.check_commission(role=role, current_prompt=current_prompt, num_issues=num_issues)
        return evolve.evolve(self._engine, commission)

    def refine_pattern(
        self, pattern_key: str, eval_score: float, feedback: str | None = None
    ) -> PatternRecord:
        """Add a quality observation (0 to 10) to a pattern, and count what was said as feedback."""
        return patterns.refine(self._engine, pattern_key, eval_score, feedback)

    def get_pattern(self, pattern_key: str) -> PatternRecord:
        """Return a pattern with its versions and observations; `NotFoundError` if there is none."""
        return patterns.get(self._engine, pattern_key)

    def list_patterns(
        self,
        *,
        classification: Classification | str | None = None,
        source: Source | str | None = None,
        min_score: float | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> Page[Pattern]:
        """Return patterns newest first; `limit` is 1 to 1,000."""
        wanted = recall.check_filter(classification=classification, source=source, min_score=min_score)
        return patterns.list_patterns(self._engine, wanted, limit=limit, offset=offset)

    def delete_pattern(self, pattern_key: str, *, author: str | None = None) -> None:
        """Delete a pattern for good; `NotFoundError` if there is none.

        With `author`, only one that this author stored: `AuthorizationError` for any other.
        """
        patterns.delete(self._engine, pattern_key, author)

    def register_skills(self, pattern_key: str, skills: Sequence[str]) -> tuple[str, ...]:
        """Put `skills` in place of the pattern's tags (none clears them) and return them as stored."""
        return patterns.register_skills(self._engine, pattern_key, skills)

    def find_by_skills(
        self,
        skills: Sequence[str],
        *,
        match_all: bool = False,
        limit: int = limits.RECALL_LIMIT_DEFAULT,
        offset: int = 0,
    ) -> Recall:
        """Return patterns tagged with any (or all) of `skills`, best score first, with similarity 1."""
        return patterns.find_by_skills(self._engine, skills, match_all=match_all, limit=limit, offset=offset)

    def get_feedback(
        self, *, task_type: str | None = None, limit: int = 5, offset: int = 0
    ) -> Page[FeedbackItem]:
        """Return issues said at least twice, most pressing first; `task_type` filters by task or text."""
        validation.optional_text(task_type, field="task_type", max_chars=limits.ID_MAX_CHARS)
        validation.whole(limit, field="limit", low=1, high=limits.LIST_LIMIT_MAX)
        validation.whole(offset, field="offset", low=0, high=limits.OFFSET_MAX)
        return feedback.top(self._engine, task_type=task_type, limit=limit, offset=offset)

    def analyze_failures(self, *, min_count: int = 1) -> list[FailureCluster]:
        """Return clusters of recurring failure texts, the most frequent first."""
        validation.whole(min_count, field="min_count", low=1, high=limits.OFFSET_MAX)
        return feedback.analyze_failures(self._engine, min_count=min_count)

    def run_aging(self) -> int:
        """Decay every pattern's score by 2 % a week, prune those under 0.1, and return how many went."""
        return upkeep.run_aging(self._engine)

    def run_feedback_decay(self) -> int:
        """Let every issue fade by 10 % a week, prune those under 0.15, and return how many went."""
        return feedback.run_decay(self._engine)

    def metrics(self) -> Metrics:
        """Return aggregate statistics."""
        return stats.metrics(self._engine)

    def export(self) -> list[dict[str, Any]]:
        """Return every pattern as a portable record, in key order; `import_data` takes them back."""
        return list(self.iter_export())

    def iter_export(self) -> Iterator[dict[str, Any]]:
        """Yield what `export` returns, one record at a time."""
        return transfer.export(self._engine, Filter())

    def import_data(
        self,
        records: Iterable[object],
        *,
        overwrite: bool = False,
        progress: Progress = _silent,
        whole: bool = False,
    ) -> ImportResult:
        """Store exported records; a bad one is reported with its reason and the rest goes in.

        What is done is kept as it goes on; with `whole`, all is kept at the end or nothing is.
        """
        return transfer.import_records(
            self._engine, records, overwrite=overwrite, progress=progress, whole=whole
        )

    def reindex(self, *, progress: Progress = _silent) -> int:
        """Re-embed whatever has no vector of the configured model; safe to interrupt and to run again."""
        return upkeep.reindex(self._engine, progress)
