"""Judges that are told apart by name, and what weighs them."""

from dataclasses import dataclass

from engramia.core import limits, validation
from engramia.core.jury import JuryWeights
from engramia.core.llm import LLM
from engramia.core.scoring import Judgement, JuryScore
from engramia.errors import ValidationError


@dataclass(frozen=True, slots=True)
class Judge:
    """One judge: a model, or the memory's own where it is None, and what it looks at in particular."""

    name: str
    llm: LLM | None = None
    focus: str = ""


@dataclass(frozen=True, slots=True)
class Jury:
    """1 to 10 judges; without weights there is no jury score, only what each judge said, to calibrate on."""

    judges: tuple[Judge, ...]
    weights: JuryWeights | None = None
    tolerance: float = 1.0
    """How far from the truth, in points, the score may be and still count as right."""
    min_confidence: float = 0.0
    """Below this chance of being right, 0 to 1, the jury abstains."""


def check_jury(jury: object) -> Jury:
    """Return `jury` if its judges have different names, those of its weights, and all is within limits."""
    if not isinstance(jury, Jury):
        raise ValidationError(f"jury must be a Jury, not {type(jury).__name__}.", field="jury")
    if not 1 <= len(jury.judges) <= limits.EVALS_MAX:
        raise ValidationError(
            f"jury must have 1 to {limits.EVALS_MAX} judges; got {len(jury.judges)}.", field="jury"
        )
    for judge in jury.judges:
        validation.text(judge.name, field="jury", max_chars=limits.ID_MAX_CHARS)
        validation.text(judge.focus, field="jury", max_chars=limits.FOCUS_MAX_CHARS, blank=True)
    validation.number(jury.tolerance, field="jury", low=0, high=limits.SCORE_MAX)
    validation.number(jury.min_confidence, field="jury", low=0, high=1)
    _check_names(jury)
    return jury


def ruling(jury: Jury, answers: list[Judgement | None]) -> JuryScore:
    """Return what the jury says; `answers` in the order of its judges, None for no valid one."""
    overall = {
        judge.name: None if answer is None else answer.overall
        for judge, answer in zip(jury.judges, answers, strict=True)
    }
    if jury.weights is None:
        return JuryScore(score=None, confidence=None, abstained=False, judges=overall)
    found = jury.weights.rule_score(overall, tolerance=jury.tolerance, min_confidence=jury.min_confidence)
    return JuryScore(found.score, found.confidence, abstained=found.score is None, judges=overall)


def _check_names(jury: Jury) -> None:
    names = [judge.name for judge in jury.judges]
    if len(set(names)) < len(names):
        raise ValidationError("jury must have judges of different names.", field="jury")
    if jury.weights is None:
        return
    if jury.weights.scores is None:
        raise ValidationError(
            "jury must have weights that were made from scores; these were made from pairs.", field="jury"
        )
    if odd := set(names) ^ set(jury.weights.judges):
        raise ValidationError(
            f"jury must have the judges that its weights are for; not so: {', '.join(sorted(odd)[:5])}.",
            field="jury",
        )
