"""Measures of ranking, classification and clustering, each by its usual definition."""

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Ranking:
    """Means over queries, 0 to 1."""

    hit_at_1: float
    mrr_at_10: float
    ndcg_at_10: float


def ranking(answers: Iterable[tuple[Sequence[str], set[str]]]) -> Ranking:
    """Return Hit@1, MRR@10 and nDCG@10 (binary gains) over (ranked ids, relevant ids)."""
    hits, reciprocal, gains, queries = 0.0, 0.0, 0.0, 0
    for ranked, relevant in answers:
        queries += 1
        found = [place for place, name in enumerate(ranked[:10]) if name in relevant]
        hits += bool(found) and found[0] == 0
        reciprocal += 1 / (found[0] + 1) if found else 0
        ideal = sum(1 / math.log2(place + 2) for place in range(min(10, len(relevant))))
        gains += sum(1 / math.log2(place + 2) for place in found) / ideal
    return Ranking(hits / queries, reciprocal / queries, gains / queries)


@dataclass(frozen=True)
class Agreement:
    """One class of a classification: how much of what was called so is so, and how much of it was found."""

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


def classification(pairs: Sequence[tuple[str, str]]) -> dict[str, Agreement]:
    """Return precision and recall per class over (true, said)."""
    result = {}
    for label in sorted({true for true, _ in pairs}):
        right = sum(true == said == label for true, said in pairs)
        called = sum(said == label for _, said in pairs)
        there = sum(true == label for true, _ in pairs)
        result[label] = Agreement(right / called if called else 0.0, right / there)
    return result


def macro_f1(classes: Mapping[str, Agreement]) -> float:
    """Return the unweighted mean F1 of the classes."""
    return sum(agreement.f1 for agreement in classes.values()) / len(classes)


def bcubed(gold: Mapping[str, Hashable], found: Mapping[str, Hashable]) -> Agreement:
    """Return BCubed precision and recall (Bagga and Baldwin 1998); both map item to cluster."""
    return Agreement(_mean_share(found, gold), _mean_share(gold, found))


def _mean_share(within: Mapping[str, Hashable], of: Mapping[str, Hashable]) -> float:
    """Return the mean share of an item's `within` cluster that has its `of` cluster."""
    clusters: dict[Hashable, list[str]] = {}
    for item, cluster in within.items():
        clusters.setdefault(cluster, []).append(item)
    shares = [
        sum(of[other] == of[item] for other in clusters[within[item]]) / len(clusters[within[item]])
        for item in within
    ]
    return sum(shares) / len(shares)
