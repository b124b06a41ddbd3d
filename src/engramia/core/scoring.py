"""What an evaluation's judges said, and what it comes to: strict reading, quorum, median, variance."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median, variance

from engramia.core import limits
from engramia.errors import ProviderOutputError

HIGH_VARIANCE = 1.5
"""Above this sample variance of the overall scores the judges disagree."""

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Judgement:
    """One judge's answer: five scores from 0 to 10 and a remark."""

    task_alignment: float
    code_quality: float
    workspace_usage: float
    robustness: float
    overall: float
    feedback: str


@dataclass(frozen=True, slots=True)
class JuryScore:
    """What judges that are weighed by how they did before say together about one piece of work."""

    score: float | None
    """0 to 10; None if the jury abstains, or has no weights yet."""
    confidence: float | None
    """Chance, 0 to 1, that the true score is within the jury's tolerance; None without weights."""
    abstained: bool
    judges: Mapping[str, float | None]
    """Each judge's overall score, None for one without a valid answer."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What the judges' answers come to."""

    median_score: float
    variance: float
    """Sample variance of the overall scores; 0 for one judge."""
    high_variance: bool
    feedback: str
    """That of the judge with the lowest overall score, the first of several."""
    adversarial_detected: bool
    scores: tuple[Judgement, ...]
    jury: JuryScore | None = None
    """Only where a jury judged."""


def parse_judgement(value: object) -> Judgement:
    """Return a judge's decoded JSON answer, its feedback cut at `FEEDBACK_MAX_CHARS`.

    Raises `ProviderOutputError` that names the field that is missing, no number from 0 to 10, or no storable
    text. Fields beyond the six are ignored.
    """
    if not isinstance(value, Mapping):
        raise ProviderOutputError(f"The judge answered {_kind(value)} instead of an object.")
    return Judgement(
        task_alignment=_score(value, "task_alignment"),
        code_quality=_score(value, "code_quality"),
        workspace_usage=_score(value, "workspace_usage"),
        robustness=_score(value, "robustness"),
        overall=_score(value, "overall"),
        feedback=_feedback(value),
    )


def quorum(asked: int) -> int:
    """Return how many of `asked` judges must have answered: ⌈asked / 2⌉, at least one."""
    return max(1, (asked + 1) // 2)


def aggregate(
    judgements: Sequence[Judgement], asked: int, *, adversarial_detected: bool = False
) -> Evaluation:
    """Return what the valid answers of `asked` judges come to; `ProviderOutputError` below the quorum."""
    if len(judgements) < quorum(asked):
        raise ProviderOutputError(
            f"{len(judgements)} of {asked} judges gave a valid answer; at least {quorum(asked)} must."
        )
    overall = [judgement.overall for judgement in judgements]
    spread = variance(overall) if len(overall) > 1 else 0.0
    return Evaluation(
        median_score=median(overall),
        variance=spread,
        high_variance=spread > HIGH_VARIANCE,
        feedback=min(judgements, key=lambda judgement: judgement.overall).feedback,
        adversarial_detected=adversarial_detected,
        scores=tuple(judgements),
    )


def _field(answer: Mapping[object, object], name: str) -> object:
    if name not in answer:
        raise ProviderOutputError(f"The judge's answer lacks {name}.")
    return answer[name]


def _score(answer: Mapping[object, object], name: str) -> float:
    value = _field(answer, name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ProviderOutputError(f"The judge's {name} is {_kind(value)} instead of a number.")
    # The comparison also refuses NaN, and integers too long for a float.
    if not limits.SCORE_MIN <= value <= limits.SCORE_MAX:
        raise ProviderOutputError(
            f"The judge's {name} is not a number from {limits.SCORE_MIN:g} to {limits.SCORE_MAX:g}."
        )
    return float(value)


def _feedback(answer: Mapping[object, object]) -> str:
    value = _field(answer, "feedback")
    if not isinstance(value, str):
        raise ProviderOutputError(f"The judge's feedback is {_kind(value)} instead of text.")
    kept = value[: limits.FEEDBACK_MAX_CHARS]
    if _UNSTORABLE.search(kept):
        raise ProviderOutputError("The judge's feedback holds NUL characters or lone surrogates.")
    return kept


def _kind(value: object) -> str:
    return "null" if value is None else type(value).__name__
