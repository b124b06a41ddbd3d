"""Simulated recordings of juries: pairs judged in both orders, and items scored from 0 to 10.

A pair has a truth, a difficulty, and a surface cue that points at the better item or, on adversarial pairs,
at the worse one. A judge leans by skill towards the truth, by gullibility towards the cue, by a share in the
errors that all have in common, by errors of its own that it repeats, by its position bias, and by noise that
differs from call to call.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

type Floats = NDArray[np.float64]
type Range = tuple[float, float]

JUDGES = 6
PAIRS = 319
"""As many as the adversarial part of LLMBar has (Zeng et al. 2024); nothing of it is used here."""


@dataclass(frozen=True)
class Traits:
    """Ranges from which one judge's traits are drawn, in standard deviations of the leaning."""

    skill: Range
    gullible: Range = (0.0, 0.0)
    position: Range = (0.0, 0.5)
    shared: Range = (0.2, 0.8)
    own: Range = (0.5, 0.5)
    noise: Range = (0.3, 1.0)


@dataclass(frozen=True)
class Family:
    """A kind of panel: `odd` judges with traits of their own beside the rest."""

    name: str
    adversarial: Range
    rest: Traits
    few: Traits | None = None
    odd: int = 1
    majority: Range = (0.0, 1.0)
    """Panels whose majority is right outside this range are drawn again: it is the situation asked about."""
    best: Range = (0.0, 1.0)
    """The same for the best single judge."""


@dataclass(frozen=True)
class Panel:
    """What six judges said about all pairs, 1 for A, -1 for B; shapes (pairs, judges) and (pairs,)."""

    gold: Floats
    forward: Floats
    swapped: Floats
    votes: Floats = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "votes", (self.forward + self.swapped) / 2)

    @property
    def steady(self) -> NDArray[np.int64]:
        """On how many pairs swapping the order left each judge's answer as it was."""
        return np.asarray((self.forward == self.swapped).sum(axis=0))

    @property
    def singles(self) -> list[float]:
        """The accuracy of each judge alone."""
        return [accuracy(votes, self.gold) for votes in self.votes.T]


_STEADY = Traits(skill=(1.0, 2.2), gullible=(0.1, 0.7), position=(0.0, 0.4), noise=(0.2, 0.6))

FAMILIES = (
    # Like the published situation: most are fooled, one is not, and the fooled ones also follow positions.
    Family(
        "wavering fools",
        (0.5, 0.95),
        Traits((0.1, 0.7), (0.7, 1.6), (0.4, 1.8)),
        _STEADY,
        majority=(0.38, 0.5),
        best=(0.72, 0.82),
    ),
    # The same, but position bias and skill have less to do with each other.
    Family(
        "fools",
        (0.5, 0.95),
        Traits((0.2, 0.8), (0.5, 1.6), (0.0, 1.0)),
        Traits((1.2, 2.2), (0.1, 0.7), (0.0, 0.4)),
        majority=(0.38, 0.5),
        best=(0.72, 0.82),
    ),
    # The fooled ones never waver; the good one does.
    Family(
        "steady fools",
        (0.6, 0.95),
        Traits((0.2, 0.8), (1.5, 3.0), (0.0, 0.2), noise=(0.1, 0.5)),
        Traits((1.0, 1.8), (0.1, 0.7), (0.3, 1.0)),
    ),
    Family("all fooled", (0.8, 1.0), Traits((0.0, 0.6), (0.8, 2.0), (0.0, 0.8))),
    Family("independent", (0.25, 0.25), Traits((0.3, 1.8), shared=(0.0, 0.0))),
    Family("equals", (0.25, 0.25), Traits((0.8, 1.1), (0.0, 0.3), shared=(0.0, 0.3))),
    Family(
        "four copies",
        (0.5, 0.5),
        Traits((0.5, 0.7), (0.5, 0.5), shared=(2.0, 2.0), noise=(0.2, 0.2)),
        Traits((0.8, 1.6), (0.2, 0.2), shared=(0.2, 0.2)),
        odd=2,
    ),
    Family("position", (0.4, 0.4), Traits((0.3, 1.5), (0.0, 0.8), (0.5, 2.5), (0.0, 0.5))),
    # Five good judges and one that is steady by whims of its own.
    Family(
        "odd one out",
        (0.3, 0.3),
        Traits((0.9, 1.6), (0.0, 0.4), shared=(0.0, 0.4), noise=(0.2, 0.6)),
        Traits((0.0, 0.2), position=(0.0, 0.0), shared=(0.0, 0.0), own=(1.0, 2.0), noise=(0.2, 0.6)),
    ),
    Family("anything", (0.0, 1.0), Traits((0.0, 2.0), (0.0, 2.0), (0.0, 1.5), (0.0, 1.0), noise=(0.2, 1.0))),
)


def accuracy(margins: Floats, gold: Floats) -> float:
    """Return the share of pairs where the margin has the sign of the truth; a margin of 0 counts half."""
    leaning = np.where(np.abs(margins) < 1e-9, 0.0, np.sign(margins))
    return float(np.mean((leaning * gold + 1) / 2))


def panels(family: Family, number: int, rng: np.random.Generator) -> Iterator[Panel]:
    """Yield `number` panels of the family's situation."""
    left = number
    while left:
        panel = _panel(family, rng)
        majority, best = accuracy(panel.votes.sum(axis=1), panel.gold), max(panel.singles)
        if _inside(majority, family.majority) and _inside(best, family.best):
            left -= 1
            yield panel


def _inside(value: float, bounds: Range) -> bool:
    return bounds[0] <= value <= bounds[1]


def _panel(family: Family, rng: np.random.Generator) -> Panel:
    judges = [_judge(family, place, rng) for place in range(JUDGES)]
    skill, gullible, position, shared, own, noise = np.array(judges).T
    gold = np.where(rng.random(PAIRS) < 0.5, -1.0, 1.0)
    adversarial = rng.random(PAIRS) < rng.uniform(*family.adversarial)
    harmless = np.where(rng.random(PAIRS) < 0.65, gold, -gold)
    cue = np.where(adversarial, -gold, harmless) * rng.gamma(4, 0.25, PAIRS)
    truth = gold * rng.gamma(4, 0.25, PAIRS)
    content = np.outer(truth, skill) + np.outer(cue, gullible) + np.outer(rng.normal(size=PAIRS), shared)
    content += own * rng.normal(size=(PAIRS, JUDGES))
    # Most models prefer what is shown first, some what is shown last.
    bias = position * rng.choice([1.0, -1.0], JUDGES, p=[0.7, 0.3])
    calls = noise * rng.normal(size=(2, PAIRS, JUDGES))
    return Panel(gold, np.sign(content + calls[0] + bias), np.sign(content + calls[1] - bias))


def _judge(family: Family, place: int, rng: np.random.Generator) -> list[float]:
    traits = family.few if family.few is not None and place < family.odd else family.rest
    ranges = (traits.skill, traits.gullible, traits.position, traits.shared, traits.own, traits.noise)
    return [rng.uniform(*bounds) for bounds in ranges]


@dataclass(frozen=True)
class Scales:
    """Ranges from which one judge's way of scoring is drawn: offset, slope, cue, shared errors, noise."""

    offset: Range = (0.0, 0.0)
    slope: Range = (0.8, 1.1)
    cue: Range = (0.0, 0.0)
    shared: Range = (0.2, 0.5)
    noise: Range = (0.5, 1.5)


@dataclass(frozen=True)
class ScoreFamily:
    """A kind of jury that scores."""

    name: str
    rest: Scales
    few: Scales | None = None
    odd: int = 1


SCORE_FAMILIES = (
    ScoreFamily("plain", Scales((-0.5, 0.5))),
    ScoreFamily("own scales", Scales((-2.0, 3.0), (0.3, 1.1), shared=(0.0, 0.6), noise=(0.4, 1.8))),
    ScoreFamily(
        "fooled",
        Scales((1.0, 5.0), (-0.3, 0.3), (1.0, 2.0), noise=(0.4, 1.0)),
        Scales((0.0, 0.0), (0.6, 1.0), (0.3, 0.3)),
    ),
    ScoreFamily("reversed", Scales((6.0, 9.0), (-0.9, -0.3)), Scales((2.0, 2.0), (0.6, 0.6))),
    ScoreFamily(
        "lenient copies",
        Scales((2.0, 4.0), (0.3, 0.5), shared=(1.2, 1.2), noise=(0.3, 0.3)),
        Scales(slope=(0.9, 0.9), shared=(0.1, 0.1), noise=(1.0, 1.0)),
        odd=2,
    ),
    ScoreFamily("anything", Scales((-2.0, 4.0), (-0.3, 1.1), (-1.0, 1.5), (0.0, 1.0), (0.3, 2.0))),
)


def scored(family: ScoreFamily, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return true scores, shape (items,), and the judges', shape (items, judges) in half points; 0 to 10."""
    judges = []
    for place in range(JUDGES):
        scales = family.few if family.few is not None and place < family.odd else family.rest
        ranges = (scales.offset, scales.slope, scales.cue, scales.shared, scales.noise)
        judges.append([rng.uniform(*bounds) for bounds in ranges])
    offset, slope, cue, shared, noise = np.array(judges).T
    truth = np.clip(rng.normal(rng.uniform(4.5, 7.0), rng.uniform(1.5, 2.5), PAIRS), 0.0, 10.0)
    said = offset + np.outer(truth, slope) + np.outer(rng.normal(size=PAIRS), cue)
    said += np.outer(rng.normal(size=PAIRS), shared) + noise * rng.normal(size=(PAIRS, JUDGES))
    return truth, np.round(np.clip(said, 0.0, 10.0) * 2) / 2
