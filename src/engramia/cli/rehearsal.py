"""The demo as a computation: learn runs, recall for tasks, compare with what a person expects."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from engramia.bootstrap import Memory
from engramia.core.calibration import calibration_for
from engramia.core.failures import FailureCluster
from engramia.core.model import Match, Recall, ReuseTier
from engramia.demo import DemoQuery, DemoRun

HELD_BACK_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Replacement:
    """A run that took the place of a worse one of the same task."""

    task: str
    worse: float
    better: float


@dataclass(frozen=True, slots=True)
class Redaction:
    """A line that was learned without its secret. `stored` is what is kept of it."""

    run_id: str
    stored: str


@dataclass(frozen=True, slots=True)
class Learned:
    """What learning did with the runs."""

    runs: int
    patterns: int
    keys: dict[str, str]
    """The pattern that stands for each run, by the run's id."""
    replaced: tuple[Replacement, ...]
    passed_over: tuple[str, ...]
    """Tasks of runs that were no better than one already stored."""
    redacted: tuple[Redaction, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What recall said to one task. `right` is None where nobody said what to expect."""

    query: DemoQuery
    found: Recall
    best_id: str | None
    expected_task: str | None
    right: bool | None

    @property
    def best(self) -> Match | None:
        return self.found[0] if self.found else None

    @property
    def tier(self) -> ReuseTier:
        return self.best.reuse_tier if self.best else ReuseTier.FRESH


@dataclass(frozen=True, slots=True)
class HeldBack:
    """A match as similar as a duplicate, that is none because something that matters differs."""

    asked: str
    stored: str
    similarity: float
    differences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Everything that the demo shows."""

    learned: Learned
    answers: tuple[Answer, ...]
    held_back: tuple[HeldBack, ...]
    failures: tuple[FailureCluster, ...]
    degraded: str | None

    @property
    def judged(self) -> int:
        return sum(answer.right is not None for answer in self.answers)

    @property
    def right(self) -> int:
        return sum(answer.right is True for answer in self.answers)


def rehearse(
    memory: Memory,
    runs: Sequence[DemoRun],
    queries: Sequence[DemoQuery],
    progress: Callable[[int, int], None],
) -> Rehearsal:
    """Learn `runs` into an empty memory, then recall for `queries`; `progress` counts both."""
    total = len(runs) + len(queries)
    learned = _Learning(memory)
    for done, run in enumerate(runs, start=1):
        learned.take(run)
        progress(done, total)
    known = learned.result()
    tasks = {run.id: run.task for run in runs}
    answers = []
    for done, query in enumerate(queries, start=len(runs) + 1):
        answers.append(_ask(memory, query, known.keys, tasks))
        progress(done, total)
    return Rehearsal(
        learned=known,
        answers=tuple(answers),
        held_back=_held_back(memory, answers),
        failures=tuple(memory.analyze_failures(min_count=2)),
        degraded=next((answer.found.reason for answer in answers if answer.found.degraded), None),
    )


@dataclass(slots=True)
class _Learning:
    memory: Memory
    runs: int = 0
    keys: dict[str, str] = field(default_factory=dict)
    replaced: list[Replacement] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)
    redacted: list[Redaction] = field(default_factory=list)
    scores: dict[str, float] = field(default_factory=dict)

    def take(self, run: DemoRun) -> None:
        self.runs += 1
        result = self.memory.learn(
            task=run.task,
            code=run.code,
            output=run.output,
            eval_score=run.eval_score,
            skills=run.skills,
            run_id=run.id,
            source="cli",
        )
        key = self.keys[run.id] = result.pattern_key
        if not result.stored:
            self.passed_over.append(run.task)
            return
        if result.duplicate_of:
            self.replaced.append(Replacement(run.task, self.scores.get(key, 0.0), run.eval_score))
        self.scores[key] = run.eval_score
        if run.feedback:
            self.memory.refine_pattern(key, run.eval_score, run.feedback)
        self._note_redaction(run, key)

    def result(self) -> Learned:
        return Learned(
            runs=self.runs,
            patterns=self.memory.metrics().pattern_count,
            keys=self.keys,
            replaced=tuple(self.replaced),
            passed_over=tuple(self.passed_over),
            redacted=tuple(self.redacted),
        )

    def _note_redaction(self, run: DemoRun, key: str) -> None:
        stored = self.memory.get_pattern(key).pattern
        pairs = ((run.task, stored.task), (run.code, stored.code), (run.output or "", stored.output or ""))
        for before, after in pairs:
            if before != after:
                given = set(before.splitlines())
                self.redacted += [
                    Redaction(run.id, line.strip()) for line in after.splitlines() if line not in given
                ]


def _ask(memory: Memory, query: DemoQuery, keys: dict[str, str], tasks: dict[str, str]) -> Answer:
    found = memory.recall(query.task, limit=3, readonly=True, explain=True)
    ids = {key: run_id for run_id, key in keys.items()}
    best = found[0] if found else None
    return Answer(
        query=query,
        found=found,
        best_id=ids.get(best.pattern_key) if best else None,
        expected_task=tasks.get(query.expected_id) if query.expected_id else None,
        right=_as_expected(query, best, keys),
    )


def _as_expected(query: DemoQuery, best: Match | None, keys: dict[str, str]) -> bool | None:
    if query.expected is None:
        return None
    tier = best.reuse_tier if best else ReuseTier.FRESH
    if tier is not query.expected:
        return False
    if query.expected_id is None or best is None:
        return True
    return best.pattern_key == keys.get(query.expected_id)


def _held_back(memory: Memory, answers: Sequence[Answer]) -> tuple[HeldBack, ...]:
    """Return the most similar matches that only their differences kept from being duplicates."""
    model = memory.embeddings.model if memory.embeddings else None
    calibration = calibration_for(model)
    least = (calibration.thresholds if model else calibration.words).duplicate
    held = [
        HeldBack(answer.query.task, match.pattern.task, match.similarity, match.explanation.differences)
        for answer in answers
        for match in answer.found
        if match.similarity >= least and match.reuse_tier is ReuseTier.ADAPT
        if match.explanation and match.explanation.differences
    ]
    return tuple(sorted(held, key=lambda one: -one.similarity)[:HELD_BACK_SHOWN])
