"""What a jury is worth beside its members, on simulated recordings: `python -m benchmarks.jury_study`.

No model is asked and no published verdict is read: the panels of `jury_panels` are drawn at random from ten
kinds, from judges that are all fooled to judges that need no jury. Tables on standard error, JSON on standard
output.
"""

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.jury_panels import (
    FAMILIES,
    JUDGES,
    PAIRS,
    SCORE_FAMILIES,
    Family,
    Floats,
    Panel,
    ScoreFamily,
    accuracy,
    panels,
    scored,
)
from benchmarks.report import Table
from engramia.core.jury import pairs, scores

ANCHORS = (5, 10, 20, 50)
CONFIDENCES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
TOLERANCE = 1.0
SHOWN_SCORE = 20

type Order = NDArray[np.int64]
type Figures = dict[str, list[float]]
type Ruled = tuple[Floats, Floats]
"""Margins in log-odds, and the truth, both of the same pairs."""


def margins(panel: Panel, rng: np.random.Generator) -> dict[str, Ruled]:
    """Return what every arm makes of one panel; anchors are drawn at random and not asked about again."""
    arms = {
        "majority": (panel.votes.sum(axis=1), panel.gold),
        "consistency": (panel.votes @ consistency(panel), panel.gold),
        "steadiest alone": (panel.votes[:, np.argmax(panel.steady)], panel.gold),
        "consistency, log-odds": (panel.votes @ consistency(panel, power=1.0), panel.gold),
    }
    for number in ANCHORS:
        order = rng.permutation(PAIRS)
        known, asked = order[:number], order[number:]
        votes, gold = panel.votes[known], panel.gold[known]
        arms[f"anchors {number}"] = (panel.votes[asked] @ pairs.from_anchors(votes, gold), panel.gold[asked])
        arms[f"naive Bayes {number}"] = (panel.votes[asked] @ naive_bayes(votes, gold), panel.gold[asked])
    return arms


def consistency(panel: Panel, power: float = pairs.STEADINESS_POWER) -> Floats:
    """Return the weights that need no label."""
    return pairs.from_consistency(panel.steady, np.full(JUDGES, PAIRS), power=power)


def naive_bayes(votes: Floats, gold: Floats) -> Floats:
    """Return each judge's log-odds by itself, under Jeffreys' prior: the arm that ours is chosen over."""
    signed = votes * gold[:, None]
    return np.asarray(np.log(((signed > 0).sum(axis=0) + 0.5) / ((signed < 0).sum(axis=0) + 0.5)))


def confidences(margin: Floats) -> Floats:
    """Return the confidence of each ruling, as `PairWeights.rule` states it."""
    return np.asarray(1 / (1 + np.exp(-np.abs(margin))))


class Curve:
    """Accuracy and coverage over all panels of a family, by the confidence asked for."""

    def __init__(self) -> None:
        self._sure: list[Floats] = []
        self._right: list[Floats] = []

    def add(self, ruled: Ruled) -> None:
        """Count one panel's rulings."""
        margin, gold = ruled
        self._sure.append(confidences(margin))
        self._right.append((np.where(np.abs(margin) < 1e-9, 0.0, np.sign(margin)) * gold + 1) / 2)

    def points(self) -> list[dict[str, float | None]]:
        """Return per confidence asked for the share ruled on, and how much of that is right."""
        sure, right = np.concatenate(self._sure), np.concatenate(self._right)
        result: list[dict[str, float | None]] = []
        for least in CONFIDENCES:
            kept = sure >= least
            share = float(right[kept].mean()) if kept.any() else None
            result.append({"min_confidence": least, "coverage": float(kept.mean()), "accuracy": share})
        return result

    def overclaim(self) -> float:
        """Return mean confidence less accuracy: above 0 the jury is too sure of itself."""
        return float(np.concatenate(self._sure).mean() - np.concatenate(self._right).mean())


CURVES = ("consistency", "anchors 5", "anchors 20")


def study_pairs(family: Family, number: int, rng: np.random.Generator) -> dict[str, Any]:
    """Return the figures of one family of panels."""
    figures: Figures = defaultdict(list)
    curves = {name: Curve() for name in CURVES}
    for panel in panels(family, number, rng):
        figures["best single (oracle)"].append(max(panel.singles))
        for name, ruled in margins(panel, rng).items():
            figures[name].append(accuracy(*ruled))
            if name in curves:
                curves[name].add(ruled)
    return {
        "accuracy": {name: float(np.mean(values)) for name, values in figures.items()},
        "gain": {name: gains(figures, name) for name in CURVES},
        "curves": {name: curve.points() for name, curve in curves.items()},
        "overclaim": {name: curve.overclaim() for name, curve in curves.items()},
    }


def gains(figures: Figures, name: str) -> dict[str, float]:
    """Return how an arm fares panel by panel against the majority and against the best single judge."""
    over_majority = np.array(figures[name]) - np.array(figures["majority"])
    over_best = np.array(figures[name]) - np.array(figures["best single (oracle)"])
    return {
        "panels above majority": float(np.mean(over_majority > 0)),
        "panels above best single": float(np.mean(over_best > 0)),
        "over majority, mean": float(over_majority.mean()),
        "over majority, 5th percentile": float(np.quantile(over_majority, 0.05)),
        "over best single, mean": float(over_best.mean()),
    }


def show_pairs(table: Table, results: dict[str, dict[str, Any]]) -> None:
    """Print what the families came to."""
    arms = ["majority", "best single (oracle)", "consistency", *(f"anchors {n}" for n in ANCHORS)]
    arms += ["steadiest alone", "consistency, log-odds", "naive Bayes 20"]
    table.start("Pairs: accuracy, mean over simulated panels", ["family", *arms])
    for name, result in results.items():
        table.row(name, *(result["accuracy"][arm] for arm in arms))
    for arm in CURVES:
        first = next(iter(results.values()))["gain"][arm]
        table.start(f"Pairs: {arm}, panel by panel", ["family", *first, "overclaim"])
        for name, result in results.items():
            table.row(name, *result["gain"][arm].values(), result["overclaim"][arm])
        table.start(f"Pairs: {arm}, coverage/accuracy by min_confidence", ["family", *map(str, CONFIDENCES)])
        for name, result in results.items():
            table.row(name, *(_point(point) for point in result["curves"][arm]))


def _point(point: dict[str, float | None]) -> str:
    accurate = point["accuracy"]
    return f"{point['coverage']:.2f}/{'-' if accurate is None else f'{accurate:.2f}'}"


def sensitivity(number: int, seed: int) -> dict[str, dict[str, float]]:
    """Return the mean accuracy per family for other values of the two constants of the pair weights."""
    arms: dict[str, Callable[[Panel, Order], Floats]] = {}
    for variance in (0.5, 1.0, 2.0, 4.0, 9.0):
        arms[f"anchors {SHOWN_SCORE}, variance {variance:g}"] = _fitted(variance)
    for power in (1.0, 2.0, 3.0, 4.0, 6.0):
        arms[f"consistency, power {power:g}"] = _steadied(power)
    results: dict[str, dict[str, float]] = {arm: {} for arm in arms}
    for place, family in enumerate(FAMILIES):
        found: Figures = defaultdict(list)
        rng = np.random.default_rng([seed, place, 1])
        for panel in panels(family, number, rng):
            order = rng.permutation(PAIRS)
            for arm, weigh in arms.items():
                asked = order[SHOWN_SCORE:]
                found[arm].append(accuracy(panel.votes[asked] @ weigh(panel, order), panel.gold[asked]))
        for arm, values in found.items():
            results[arm][family.name] = float(np.mean(values))
    return results


def _fitted(variance: float) -> Callable[[Panel, Order], Floats]:
    def weigh(panel: Panel, order: Order) -> Floats:
        known = order[:SHOWN_SCORE]
        return pairs.from_anchors(panel.votes[known], panel.gold[known], variance=variance)

    return weigh


def _steadied(power: float) -> Callable[[Panel, Order], Floats]:
    return lambda panel, _: consistency(panel, power=power)


def study_scores(family: ScoreFamily, number: int, rng: np.random.Generator) -> dict[str, float]:
    """Return root mean squared errors of one family, and the confidence claimed and kept at 20 anchors."""
    errors: Figures = defaultdict(list)
    for _ in range(number):
        truth, said = scored(family, rng)
        errors["mean"].append(_rmse(said.mean(axis=1), truth))
        errors["median"].append(_rmse(np.median(said, axis=1), truth))
        errors["best single (oracle)"].append(min(_rmse(one, truth) for one in said.T))
        for count in ANCHORS:
            order = rng.permutation(PAIRS)
            known, asked = order[:count], order[count:]
            alone = one_by_one(said[known], truth[known], said[asked])
            errors[f"one by one {count}"].append(_rmse(alone, truth[asked]))
            estimates, claimed = _ruled(said[known], truth[known], said[asked])
            errors[f"jury {count}"].append(_rmse(estimates, truth[asked]))
            errors[f"claimed {count}"].append(float(claimed.mean()))
            errors[f"kept {count}"].append(float(np.mean(np.abs(estimates - truth[asked]) <= TOLERANCE)))
    return {name: float(np.mean(values)) for name, values in errors.items()}


def _ruled(said: Floats, truth: Floats, asked: Floats) -> tuple[Floats, Floats]:
    weights = scores.from_anchors(said, truth)
    rulings = [weights.rule(row.tolist(), tolerance=TOLERANCE, min_confidence=0.0) for row in asked]
    return np.array([each.estimate for each in rulings]), np.array([each.confidence for each in rulings])


def one_by_one(said: Floats, truth: Floats, asked: Floats) -> Floats:
    """Return each judge's own shrunk line through the anchors, weighed by precision: the arm not chosen."""
    lines, precisions = [], []
    for known, new in zip(said.T, asked.T, strict=True):
        centred, target = known - known.mean(), truth - truth.mean()
        slope = centred @ target / (centred @ centred + 5.0)
        left = target - slope * centred
        lines.append(truth.mean() + slope * (new - known.mean()))
        precisions.append((len(truth) + 1) / (left @ left + 8.0))
    return np.asarray(np.average(lines, axis=0, weights=precisions))


def _rmse(estimates: Floats, truth: Floats) -> float:
    return float(np.sqrt(np.mean((np.clip(estimates, 0.0, 10.0) - truth) ** 2)))


def show_scores(table: Table, results: dict[str, dict[str, float]]) -> None:
    """Print what the juries that score came to."""
    arms = ["mean", "median", "best single (oracle)", *(f"jury {n}" for n in ANCHORS), "one by one 20"]
    table.start("Scores: root mean squared error in points, mean over simulated juries", ["family", *arms])
    for name, result in results.items():
        table.row(name, *(result[arm] for arm in arms))
    checks = [f"{kind} {n}" for n in ANCHORS for kind in ("claimed", "kept")]
    table.start(f"Scores: chance claimed, and kept, to be within {TOLERANCE:g} point", ["family", *checks])
    for name, result in results.items():
        table.row(name, *(result[check] for check in checks))


def show_sensitivity(table: Table, results: dict[str, dict[str, float]]) -> None:
    """Print what other constants would come to."""
    table.start("Pairs: other constants", ["arm", *(family.name for family in FAMILIES), "mean"])
    for arm, values in results.items():
        table.row(arm, *values.values(), _mean(values.values()))


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def main() -> None:
    """Draw, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--panels", type=int, default=200, help="per family")
    parser.add_argument("--seed", type=int, default=319)
    arguments = parser.parse_args()
    number, seed, start = arguments.panels, arguments.seed, time.perf_counter()
    found = {
        family.name: study_pairs(family, number, np.random.default_rng([seed, place]))
        for place, family in enumerate(FAMILIES)
    }
    points = {
        family.name: study_scores(family, number // 4, np.random.default_rng([seed, place, 2]))
        for place, family in enumerate(SCORE_FAMILIES)
    }
    constants = sensitivity(number // 2, seed)
    table = Table()
    show_pairs(table, found)
    show_sensitivity(table, constants)
    show_scores(table, points)
    note = "simulated recordings: no model was asked, no published verdict was read"
    facts = {"what": note, "panels": number, "pairs": PAIRS, "judges": JUDGES, "seed": seed}
    facts["seconds"] = round(time.perf_counter() - start, 1)
    sys.stderr.write(f"\n{facts}\n")
    print(json.dumps(facts | {"pairs_by_family": found, "constants": constants, "scores_by_family": points}))


if __name__ == "__main__":
    main()
