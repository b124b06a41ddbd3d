"""Evaluate: several judges at once, strictly read, and what they come to."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from engramia.core import limits, validation
from engramia.core.adversarial import detect
from engramia.core.fence import Fence
from engramia.core.llm import LLM
from engramia.core.model import Observation, check_pattern_key
from engramia.core.scoring import Evaluation, Judgement, aggregate, parse_judgement, quorum
from engramia.errors import NotFoundError, ProviderError, ProviderOutputError
from engramia.memory import feedback, prompts
from engramia.memory.asking import Asked, ask_together, configured, most_telling, new_fence, read
from engramia.memory.engine import Engine
from engramia.memory.jury import Jury, check_jury, ruling
from engramia.memory.prompts import Work

_log = logging.getLogger("engramia.memory")

_ATTEMPTS = 2
"""How often a judge whose answer is invalid is asked in all."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """One evaluation as it was asked for: checked, the work redacted."""

    work: Work
    adversarial: bool
    """Found on the texts as they came: redaction makes different secrets alike, and hides hard-coded ones."""
    num_evals: int
    pattern_key: str | None
    jury: Jury | None


def check_assignment(  # noqa: PLR0913 - one argument for each field
    engine: Engine,
    *,
    task: object,
    code: object,
    output: object,
    num_evals: object,
    pattern_key: object,
    jury: object,
) -> Assignment:
    """Return the assignment that these values describe, validated first and redacted then."""
    task = validation.text(task, field="task", max_chars=limits.TASK_MAX_CHARS)
    code = validation.text(code, field="code", max_chars=limits.CODE_MAX_CHARS)
    output = validation.optional_text(output, field="output", max_chars=limits.OUTPUT_MAX_CHARS)
    return Assignment(
        num_evals=validation.whole(num_evals, field="num_evals", low=1, high=limits.EVALS_MAX),
        pattern_key=None if pattern_key is None else check_pattern_key(pattern_key),
        jury=None if jury is None else check_jury(jury),
        work=Work(engine.clean(task), engine.clean(code), engine.clean_optional(output)),
        adversarial=detect(code, output).adversarial,
    )


def evaluate(engine: Engine, assignment: Assignment) -> Evaluation:
    """Ask the judges, and store the feedback and the pattern's observation if enough of them answered."""
    judges = _judges(engine, assignment)
    work = replace(assignment.work, issues=_known_issues(engine, assignment))
    answers = _answers(engine, _questions(engine, assignment, judges, new_fence(), work))
    valid = [answer for answer in answers if isinstance(answer, Judgement)]
    _check_quorum(valid, answers)
    found = aggregate(valid, len(answers), adversarial_detected=assignment.adversarial)
    if assignment.jury:
        said = [answer if isinstance(answer, Judgement) else None for answer in answers]
        found = replace(found, jury=ruling(assignment.jury, said))
    _store(engine, assignment, found)
    return found


def _judges(engine: Engine, assignment: Assignment) -> list[LLM]:
    if assignment.jury is None:
        return [configured(engine.llm, "evaluate")] * assignment.num_evals
    own = (judge.llm for judge in assignment.jury.judges)
    return [configured(engine.llm if llm is None else llm, "evaluate") for llm in own]


def _known_issues(engine: Engine, assignment: Assignment) -> tuple[str, ...]:
    """Return what was found again and again in work on the same task; refuse a pattern that is not there."""
    with engine.storage.reading() as stores:
        key = assignment.pattern_key
        if key is not None and stores.patterns.get(key) is None:
            raise NotFoundError(f"There is no pattern {key} in this scope.")
        page = stores.feedback.top(
            assignment.work.task,
            min_count=limits.FEEDBACK_SURFACED_COUNT,
            limit=limits.JUDGED_ISSUES_MAX,
            offset=0,
        )
    return tuple(item.text for item in page.items)


def _questions(
    engine: Engine, assignment: Assignment, judges: Sequence[LLM], fence: Fence, work: Work
) -> list[Asked]:
    if assignment.jury is None:
        same = prompts.judgement(fence, work)
        return [(judge, same) for judge in judges]
    focuses = [engine.clean(judge.focus) for judge in assignment.jury.judges]
    return [
        (judge, prompts.judgement(fence, work, focus)) for judge, focus in zip(judges, focuses, strict=True)
    ]


def _answers(engine: Engine, asked: Sequence[Asked]) -> list[Judgement | ProviderError]:
    """Return each judge's valid answer, or its error; an unusable answer is asked for once more."""
    answers: list[Judgement | ProviderError] = [ProviderOutputError("not asked yet")] * len(asked)
    for _ in range(_ATTEMPTS):
        again = [place for place, answer in enumerate(answers) if isinstance(answer, ProviderOutputError)]
        for place, answer in zip(again, ask_together([asked[place] for place in again]), strict=True):
            answers[place] = read(answer, lambda value: _judgement(engine, value))
    for error in answers:
        if isinstance(error, ProviderError):
            _log.warning("A judge's answer was dropped: %s", error)
    return answers


def _judgement(engine: Engine, value: object) -> Judgement:
    found = parse_judgement(value)
    # A placeholder may be longer than what it stands for.
    return replace(found, feedback=engine.clean(found.feedback)[: limits.FEEDBACK_MAX_CHARS])


def _check_quorum(valid: Sequence[Judgement], answers: Sequence[Judgement | ProviderError]) -> None:
    """Raise what kept the judges from answering, if too few did and not one answered badly."""
    errors = [answer for answer in answers if isinstance(answer, ProviderError)]
    if len(valid) < quorum(len(answers)) and not any(isinstance(e, ProviderOutputError) for e in errors):
        raise most_telling(errors)


def _store(engine: Engine, assignment: Assignment, found: Evaluation) -> None:
    said, score = found.feedback.strip(), found.median_score
    if not (said or assignment.pattern_key):
        return
    with engine.storage.writing() as stores:
        if assignment.pattern_key:
            stores.patterns.observe(
                assignment.pattern_key, Observation(score, engine.clock.now(), said or None)
            )
        if said:
            feedback.record(engine, stores.feedback, said, task=assignment.work.task, score=score)
