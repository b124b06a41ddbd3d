"""Absolute scores: what a jury's scores, each on its judge's own scale, say about the true one."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from engramia.core import limits
from engramia.errors import ValidationError

CENTRE = (limits.SCORE_MIN + limits.SCORE_MAX) / 2
WEIGHT_PRECISION = 5.0
"""Of the belief that all judges count alike, in anchors per squared point; 5 and 10 measured alike."""
OFFSET_PRECISION = 0.25
"""The same for the jury's common leniency, which is what anchors correct first."""
NOISE_SHAPE = 2.0
NOISE_SCALE = 2.0
"""Inverse gamma prior of the squared error: off by about a point and a half until anchors tell."""


@dataclass(frozen=True, slots=True)
class ScoreRuling:
    """What a jury says about the score of one item."""

    score: float | None
    """0 to 10; None if the jury abstains."""
    estimate: float
    """The same, also when it abstains."""
    confidence: float
    """Probability, 0 to 1, that the true score is within the tolerance of the estimate."""
    deviation: float
    """Standard deviation of the true score around the estimate, in points."""


@dataclass(frozen=True, slots=True)
class ScoreWeights:
    """Sufficient statistics of the anchors: when a judge is missing, the rest are weighed anew."""

    items: int
    """Labelled items that the weights come from."""
    gram: tuple[tuple[float, ...], ...]
    """Sums of products of the columns judges' scores less 5, 1, true score less 5; (judges + 2) squared."""

    def rule(self, scores: Sequence[float | None], *, tolerance: float, min_confidence: float) -> ScoreRuling:
        """Return the ruling on one item from the judges' scores, 0 to 10, None for no answer.

        Raises `ValidationError` if no judge answered.
        """
        present = [place for place, score in enumerate(scores) if score is not None]
        if not present:
            raise ValidationError("scores must hold at least one judge's score.", field="scores")
        given = [score - CENTRE for score in scores if score is not None]
        mean, deviation = _predict(np.array(self.gram), present, np.array([*given, 1.0]), self.items)
        estimate = min(max(mean + CENTRE, limits.SCORE_MIN), limits.SCORE_MAX)
        confidence = _within(mean + CENTRE, deviation, estimate, tolerance)
        return ScoreRuling(
            estimate if confidence >= min_confidence else None, estimate, confidence, deviation
        )


def from_anchors(scores: NDArray[np.float64], gold: NDArray[np.float64]) -> ScoreWeights:
    """Return the statistics of anchors: `scores` (items, judges) and `gold` one per item, all 0 to 10."""
    columns = np.column_stack([scores - CENTRE, np.ones(len(gold)), gold - CENTRE])
    gram = columns.T @ columns
    return ScoreWeights(len(gold), tuple(tuple(float(value) for value in row) for row in gram))


def _predict(
    gram: NDArray[np.float64], present: list[int], given: NDArray[np.float64], items: int
) -> tuple[float, float]:
    """Return mean and standard deviation of the true score less 5.

    Bayesian linear regression with the conjugate normal-inverse-gamma prior (Bishop 2006, 3.3; Murphy 2012,
    7.6) around the plain mean of the judges present. Weights may turn out negative; judges that err together
    share.
    """
    inputs, target = [*present, len(gram) - 2], len(gram) - 1
    prior = np.array([1 / len(present)] * len(present) + [0.0])
    precision = np.diag([WEIGHT_PRECISION] * len(present) + [OFFSET_PRECISION])
    cross = gram[np.ix_(inputs, inputs)]
    posterior = cross + precision
    weights = np.linalg.solve(posterior, gram[inputs, target] + precision @ prior)
    shape = NOISE_SHAPE + items / 2
    residual = gram[target, target] + prior @ precision @ prior - weights @ posterior @ weights
    scale = NOISE_SCALE + max(float(residual), 0.0) / 2
    # Variance of the Student t that the prediction follows, whose degrees of freedom are twice the shape.
    variance = scale / (shape - 1) * (1 + given @ np.linalg.solve(posterior, given))
    return float(given @ weights), float(np.sqrt(variance))


def _within(mean: float, deviation: float, estimate: float, tolerance: float) -> float:
    """Return the chance that the true score, itself 0 to 10, is within `tolerance` of the estimate."""
    truth = NormalDist(mean, deviation)
    low, high = estimate - tolerance, estimate + tolerance
    below = truth.cdf(low) if low > limits.SCORE_MIN else 0.0
    above = 1 - truth.cdf(high) if high < limits.SCORE_MAX else 0.0
    return max(0.0, 1 - below - above)
