"""What adapters may be told about recalling and learning."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypedDict

from engramia.core import limits, validation
from engramia.core.model import Classification
from engramia.errors import ValidationError

DEFAULT_SCORE = 7.0
"""For a run that ended well and that nobody judged."""
FAILURE_SCORE = 2.0
"""For a run that failed, where failures are learned and nobody judged."""
TIMEOUT_SECONDS = 2.0
TOKEN_BUDGET = 1_000

_SECONDS_MAX = 3600.0
_BUDGET_MAX = 100_000


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run that is over. `error` is what ended it, None if it ended well; `result` is the host's own object.

    `code` is the solution: code where the agent wrote code, else its answer; then `output` is None.
    """

    task: str
    code: str
    output: str | None = None
    error: BaseException | None = None
    result: object = None


@dataclass(frozen=True, slots=True)
class Judges:
    """Have `num_evals` (1 to 10) judges of the memory's language model score each run, in the background."""

    num_evals: int = limits.EVALS_DEFAULT


type Score = float | Judges | Callable[[FinishedRun], float | None]
"""A number from 0 to 10, judges, or a function of the run; None from it means that the run is not learned."""


class Options(TypedDict, total=False):
    """Keywords that every adapter takes beside `memory`."""

    score: Score
    """Of a run that ended well, 7 by default; a function is asked in a thread of its own, and about failed
    runs, too, where those are learned."""
    limit: int
    """Earlier runs told of, 1 to 50; 3 by default."""
    token_budget: int
    """Tokens that the notes may have, as `context_block.tokens` counts them; 1,000 by default."""
    timeout: float
    """Seconds by which the memory may delay one run, recall and learn together; 2 by default."""
    recall: bool
    learn: bool
    learn_failures: bool
    """Whether failed runs are learned, with the score 2; False by default."""
    skills: tuple[str, ...]
    """Tags of what is learned."""
    classification: Classification | str


@dataclass(frozen=True, slots=True)
class Settings:
    """The options, complete and checked; `ValidationError` for one that makes no sense."""

    score: Score = DEFAULT_SCORE
    limit: int = 3
    token_budget: int = TOKEN_BUDGET
    timeout: float = TIMEOUT_SECONDS
    recall: bool = True
    learn: bool = True
    learn_failures: bool = False
    skills: tuple[str, ...] = ()
    classification: Classification | str = Classification.INTERNAL

    def __post_init__(self) -> None:
        if isinstance(self.score, Judges):
            validation.whole(self.score.num_evals, field="score", low=1, high=limits.EVALS_MAX)
        elif not callable(self.score):
            validation.score(self.score, field="score")
        validation.whole(self.limit, field="limit", low=1, high=limits.RECALL_LIMIT_MAX)
        validation.whole(self.token_budget, field="token_budget", low=1, high=_BUDGET_MAX)
        validation.number(self.timeout, field="timeout", low=0.0, high=_SECONDS_MAX)
        validation.skills(self.skills)
        validation.choice(self.classification, Classification, field="classification")


def settings_of(options: Options) -> Settings:
    """Return the options as settings; `ValidationError` also for an option that does not exist."""
    unknown = sorted(options.keys() - Options.__annotations__.keys())
    if unknown:
        known = ", ".join(Options.__annotations__)
        raise ValidationError(f"There is no option {unknown[0]!r}; there are {known}.", field=unknown[0])
    return Settings(**options)
