"""Pairwise verdicts: what each judge's vote is worth, and what a jury's votes come to."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from engramia.core.jury.verdicts import Choice

type Votes = NDArray[np.float64]
"""Shape (items, judges), -1 (B) to 1 (A), 0 where a judge does not say."""

PRIOR_VARIANCE = 2.0
"""Of each weight, in squared log-odds. Accuracy hardly moves from 0.5 to 9; at 2 few anchors claim neither
too much nor far too little (benchmarks/jury_study.py)."""
STEADINESS_POWER = 3
"""How much more than its log-odds a steadier judge counts when no label says who is right."""

_MAX_STEPS = 50
_TOLERANCE = 1e-9


class Method(StrEnum):
    """Where pair weights come from."""

    ANCHORS = "anchors"
    CONSISTENCY = "consistency"


@dataclass(frozen=True, slots=True)
class PairRuling:
    """What a jury says about one pair."""

    choice: Choice | None
    """A or B, never a tie; None if the jury abstains."""
    leaning: Choice | None
    """Where it leans, also when it abstains; None if it leans nowhere."""
    confidence: float
    """Probability that the leaning is right, 0.5 to 1, under the assumptions of the weights' method."""


@dataclass(frozen=True, slots=True)
class PairWeights:
    """What each judge's vote adds to the log-odds of A; negative for a judge that is reliably wrong."""

    weights: tuple[float, ...]
    method: Method
    items: int
    """Labelled pairs (anchors) or pairs asked in both orders (consistency) that the weights come from."""

    def rule(self, votes: Sequence[float], *, min_confidence: float) -> PairRuling:
        """Return the ruling on one pair from the judges' votes, -1 to 1 each, 0 for no answer."""
        margin = math.fsum(weight * vote for weight, vote in zip(self.weights, votes, strict=True))
        if abs(margin) < _TOLERANCE:
            return PairRuling(choice=None, leaning=None, confidence=0.5)
        leaning = Choice.A if margin > 0 else Choice.B
        confidence = 1 / (1 + math.exp(-abs(margin)))
        return PairRuling(leaning if confidence >= min_confidence else None, leaning, confidence)


def from_anchors(
    votes: Votes, gold: NDArray[np.float64], *, variance: float = PRIOR_VARIANCE
) -> NDArray[np.float64]:
    """Return weights by logistic regression of `gold` (1 for A, -1 for B, one per row) on the votes.

    Maximum a posteriori under independent normal priors around 0 of the given variance, and without an
    intercept, since naming the items the other way round must turn the ruling. The joint fit is what lets
    judges that err together share one vote, where log-odds judge by judge (Nitzan & Paroush 1982) would count
    their error once per judge. Newton's method with halved steps; the objective is strictly concave.
    """
    signed = votes * gold[:, None]
    weights = np.zeros(votes.shape[1])
    for _ in range(_MAX_STEPS):
        step = _newton_step(signed, weights, variance)
        before = _log_posterior(signed, weights, variance)
        while _log_posterior(signed, weights + step, variance) < before - _TOLERANCE:
            step = step / 2
        weights = weights + step
        if float(np.abs(step).max(initial=0.0)) < _TOLERANCE:
            break
    return weights


def from_consistency(
    steady: NDArray[np.int64], swaps: NDArray[np.int64], *, power: float = STEADINESS_POWER
) -> NDArray[np.float64]:
    """Return weights from how many of each judge's `swaps` left its answer `steady`, without any label.

    Assumes that a judge knows the answer to a share c of the pairs and else follows the position, so that c
    is its consistency (Laplace-smoothed) and (1 + c) / 2 its accuracy in a single order. The log-odds of that
    are raised to `power`, and scaled so that all judges together claim what the steadiest alone
    could: no label shows whether they err independently. The assumption fails where judges are wrong
    steadily, as when all fall for the same surface: then the weights are wrong and confident.
    """
    known = (steady + 1) / (swaps + 2)
    log_odds = np.log1p(known) - np.log1p(-known)
    shares = log_odds**power
    return np.asarray(shares / shares.sum() * log_odds.max())


def _log_posterior(signed: Votes, weights: NDArray[np.float64], variance: float) -> float:
    return float(-np.logaddexp(0, -(signed @ weights)).sum() - weights @ weights / (2 * variance))


def _newton_step(signed: Votes, weights: NDArray[np.float64], variance: float) -> NDArray[np.float64]:
    # One minus the logistic function, written so that no large margin overflows.
    missing = 0.5 * (1 - np.tanh(signed @ weights / 2))
    gradient = signed.T @ missing - weights / variance
    curvature = (signed * (missing * (1 - missing))[:, None]).T @ signed
    return np.asarray(np.linalg.solve(curvature + np.eye(len(weights)) / variance, gradient))
