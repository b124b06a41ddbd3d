"""How the thresholds of reuse were chosen and what they hold: `python -m benchmarks.tier_study`.

Reads `near_dup_pairs` and `spider_sql_recall` from ENGRAMIA_BENCH_DATA, else from ../shared/data. Prints
macro-F1 over the three tiers and precision and recall of `duplicate` for the shipped thresholds, then for
thresholds chosen without the families, and without the source, that they are measured on. Then how many of
our own pairs in `deceiving_pairs.tsv`, near in words and of different solutions, are called duplicates: the
guard's tables were extended with the first three lists in view, the fourth was measured once and left alone.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import product
from pathlib import Path

import numpy as np

from benchmarks import datasets, measures
from benchmarks.arms import embed
from engramia.core.embedding import Embeddings
from engramia.core.similarity import (
    DOCUMENTED,
    MINILM,
    WORDS,
    Thresholds,
    agreement,
    reuse_tier,
)
from engramia.providers import LocalEmbeddings

DECEIVING = Path(__file__).parent / "deceiving_pairs.tsv"
FOLDS = 5
LEAST_PRECISION = 0.95
LABELS = {"duplicate": "duplicate", "adapt": "adapt", "unrelated": "fresh"}

GRID = [
    Thresholds(
        duplicate=changed,
        duplicate_extended=extended,
        duplicate_same=same,
        duplicate_exchanged=exchanged,
        adapt=adapt,
        common=0.13,
    )
    for changed, extended, same, exchanged, adapt in product(
        (0.80, 0.82, 0.84, 0.87, 0.90),
        (0.70, 0.73, 0.76, 0.80),
        (0.55, 0.60, 0.65),
        (0.87, 0.90, 0.93),
        (0.40, 0.43, 0.46),
    )
]


@dataclass(frozen=True)
class Pair:
    """One labelled pair with the similarity of its tasks."""

    left: str
    right: str
    truth: str
    source: str
    family: str
    similarity: float

    def tier(self, thresholds: Thresholds) -> str:
        return str(reuse_tier(self.similarity, self.left, self.right, thresholds))


type Verdicts = list[tuple[str, str]]
"""(true tier, said tier)."""


def main() -> int:
    """Print the study; 1 if the data is not there."""
    absent = datasets.missing()
    if absent:
        print(absent)
        return 1
    embeddings = LocalEmbeddings()
    pairs = _pairs(embeddings)
    worded = [_worded(pair) for pair in pairs]
    print(f"{'':34}macro-F1  dup. precision  dup. recall")
    for name, rows, thresholds in (
        ("documented thresholds and guards", pairs, DOCUMENTED),
        ("MiniLM as shipped", pairs, MINILM),
        ("words alone", worded, WORDS),
    ):
        _show(name, [(pair.truth, pair.tier(thresholds)) for pair in rows])
    _show("chosen without the family", _chosen_elsewhere(pairs, _fold))
    _show("chosen without the source", _chosen_elsewhere(pairs, lambda pair: pair.source))
    _show_deceived(embeddings)
    return 0


def _pairs(embeddings: Embeddings) -> list[Pair]:
    rows = datasets.rows("near_dup_pairs")
    left, right = (embed(embeddings, [row[side] for row in rows]) for side in "ab")
    cosines = np.clip(np.sum(left * right, axis=1), 0.0, 1.0)
    return [
        Pair(row["a"], row["b"], LABELS[row["label"]], row["source"], str(row["family"]), float(cosine))
        for row, cosine in zip(rows, cosines, strict=True)
    ]


def _worded(pair: Pair) -> Pair:
    similarity = agreement(pair.left, pair.right)
    return Pair(pair.left, pair.right, pair.truth, pair.source, pair.family, similarity)


def _fold(pair: Pair) -> str:
    return str(sha256(pair.family.encode()).digest()[0] % FOLDS)


def _chosen_elsewhere(pairs: Sequence[Pair], group: Callable[[Pair], str]) -> Verdicts:
    """Return what is said of each group by the thresholds that are best on all other groups."""
    said = [[(pair.truth, pair.tier(thresholds)) for thresholds in GRID] for pair in pairs]
    groups = [group(pair) for pair in pairs]
    return [verdict for held in sorted(set(groups)) for verdict in _held_out(said, groups, held)]


def _held_out(said: Sequence[Verdicts], groups: Sequence[str], held: str) -> Iterator[tuple[str, str]]:
    rest = [verdicts for verdicts, name in zip(said, groups, strict=True) if name != held]
    best = max(range(len(GRID)), key=lambda at: _worth(verdicts[at] for verdicts in rest))
    return (verdicts[best] for verdicts, name in zip(said, groups, strict=True) if name == held)


def _worth(verdicts: Iterable[tuple[str, str]]) -> tuple[bool, float]:
    """Enough precision first, then macro-F1."""
    classes = measures.classification(list(verdicts))
    duplicate = classes.get("duplicate")
    return duplicate is None or duplicate.precision >= LEAST_PRECISION, measures.macro_f1(classes)


def _show_deceived(embeddings: Embeddings) -> None:
    rows = [line.split("\t") for line in DECEIVING.read_text(encoding="utf-8").splitlines()]
    left, right = (embed(embeddings, [row[side] for row in rows]) for side in (1, 2))
    cosines = np.clip(np.sum(left * right, axis=1), 0.0, 1.0)
    pairs = [
        Pair(a, b, "adapt", name, "", float(cosine))
        for (name, a, b), cosine in zip(rows, cosines, strict=True)
    ]
    for name in dict.fromkeys(pair.source for pair in pairs):
        tiers = [pair.tier(MINILM) for pair in pairs if pair.source == name]
        print(f"{name} list of deceiving pairs: {tiers.count('duplicate')} of {len(tiers)} called duplicates")


def _show(name: str, verdicts: Verdicts) -> None:
    classes = measures.classification(verdicts)
    duplicate = classes["duplicate"]
    print(f"{name:34}{measures.macro_f1(classes):8.3f}{duplicate.precision:16.3f}{duplicate.recall:13.3f}")


if __name__ == "__main__":
    sys.exit(main())
