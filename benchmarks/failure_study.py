"""Which parts of the failure clusters earn their keep: `python -m benchmarks.failure_study`.

Reads `errors_clusters.dev.jsonl` from `--data`, else from ENGRAMIA_BENCH_DATA, else from ../shared/data.
"""

import argparse
import os
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
from pydantic import BaseModel

from engramia.core.failures import (
    FailureText,
    Signature,
    Thresholds,
    cluster,
    group,
    joins,
    signature,
    template,
)
from engramia.core.words import jaccard, words

type Labels = Sequence[Hashable]

GRID = (0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.7)
FOLDS = 5

# Judges' remarks of our own making, one failure a line.
REMARKS = """
Add error handling for missing files|No error handling when the file is missing
+Missing file is not handled; add error handling|Error handling for a missing input file is absent
+The script crashes if the input file does not exist
No input validation|Input is never validated|Add validation of user input
+Validate the inputs before using them
Add docstrings to public functions|Functions have no docstrings|Public functions lack docstrings
Type hints are missing|Add type hints|No type hints on function arguments
+Function signatures lack type annotations
The output path is hard-coded|Hard-coded output path|Avoid hard-coded paths|Do not hard-code the output path
Fails on an empty list|Empty list is not handled|Does not handle empty lists|Crashes when the list is empty
Use parameterised queries instead of string concatenation|SQL injection risk: use parameterised queries
Off-by-one error in the loop bound|Loop bound is off by one|The loop has an off by one error
No unit tests|Unit tests are missing|Add unit tests for edge cases|Tests do not cover edge cases
Nested loops make it quadratic; use a dictionary|Quadratic running time, use a set or dictionary
Open the file with an explicit encoding|No encoding given when opening the file
+File is opened without specifying an encoding
The CSV header row is not skipped|CSV header is treated as data|Skips no header row in the CSV
HTTP request has no timeout|Add a timeout to the HTTP request|Requests are sent without a timeout
Function prints the result instead of returning it|Prints the result, should return it
+Result is printed but never returned
Unused imports|Remove unused imports|There are unused import statements
Variable names are not descriptive|Use descriptive variable names|Unclear variable names
""".replace("\n+", "|")


class Row(BaseModel, frozen=True):
    """One labelled failure text of the set."""

    message: str
    count: int = 1
    gold_coarse: str
    gold_fine: str
    family: str = ""
    system: str = ""


@dataclass(frozen=True)
class BCubed:
    """Precision, recall and F1 of Bagga and Baldwin's B³ measure, each text counting once."""

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        return 2 * self.precision * self.recall / (self.precision + self.recall)

    def __str__(self) -> str:
        return f"{self.precision:.3f} {self.recall:.3f} {self.f1:.3f}"


def bcubed(found: Labels, gold: Labels) -> BCubed:
    """Return the B³ agreement of two labellings of the same texts."""
    pairs = list(zip(found, gold, strict=True))
    both, ours, theirs = Counter(pairs), Counter(found), Counter(gold)
    precision = sum(both[pair] / ours[pair[0]] for pair in pairs) / len(pairs)
    recall = sum(both[pair] / theirs[pair[1]] for pair in pairs) / len(pairs)
    return BCubed(precision, recall)


def single_link(sets: Sequence[frozenset[str]], above: float) -> list[int]:
    """Return the connected components of `overlap > above`."""
    labels = list(range(len(sets)))
    for left, right in combinations(range(len(sets)), 2):
        if labels[left] != labels[right] and jaccard(sets[left], sets[right]) > above:
            old, new = labels[right], labels[left]
            labels = [new if label == old else label for label in labels]
    return labels


def leaders(sets: Sequence[frozenset[str]], above: float) -> list[int]:
    """Return groups around leaders by plain word overlap."""
    plain = [Signature(None, each, variable=False) for each in sets]
    return group(plain, Thresholds(message=above, prose=above))


def signatures_single_link(rows: Sequence[Row]) -> Labels:
    """Return our signatures grouped by single links instead of around leaders."""
    signatures = [signature(row.message) for row in rows]
    links = single_link([each.words for each in signatures], Thresholds().message)
    return [each.kind or str(link) for each, link in zip(signatures, links, strict=True)]


def _unmasked(text: str) -> Signature:
    found = signature(text)
    return found if found.kind else replace(found, words=frozenset(words(text)))


def _grouped(
    reduce: Callable[[str], Signature], thresholds: Thresholds | None = None
) -> Callable[[Sequence[Row]], Labels]:
    return lambda rows: group([reduce(row.message) for row in rows], thresholds)


def _plain(
    method: Callable[[Sequence[frozenset[str]], float], list[int]], above: float
) -> Callable[[Sequence[Row]], Labels]:
    return lambda rows: method([frozenset(words(row.message)) for row in rows], above)


METHODS: dict[str, Callable[[Sequence[Row]], Labels]] = {
    "words > .4, single link": _plain(single_link, 0.4),
    "words > .4, leaders": _plain(leaders, 0.4),
    "templates only, no kinds": _grouped(template),
    "kinds, variables not masked": _grouped(_unmasked),
    "kinds and equal templates": _grouped(signature, Thresholds(1.0, 1.0)),
    "signatures, single link": signatures_single_link,
    "signatures, leaders (ours)": _grouped(signature),
}


def ranked(rows: Iterable[Row]) -> list[Row]:
    """Return `rows` in the order in which `cluster` lets texts lead."""
    return sorted(rows, key=lambda row: (-row.count, len(row.message), row.message))


def chosen(rows: Sequence[Row]) -> float:
    """Return the middle one of the thresholds for messages that do best on `rows`."""
    scores = {above: coarse(rows, above).f1 for above in GRID}
    best = [above for above in GRID if scores[above] >= max(scores.values()) - 1e-9]
    return best[len(best) // 2]


def coarse(rows: Sequence[Row], above: float) -> BCubed:
    """Return the coarse agreement of our clusters at a threshold for messages."""
    found = _grouped(signature, Thresholds(message=above, prose=min(above, 0.4)))(rows)
    return bcubed(found, [row.gold_coarse for row in rows])


def crossed(rows: Sequence[Row], part: Callable[[Row], Hashable]) -> None:
    """Print, per part left out, the threshold chosen on the rest and the agreement on the part."""
    parts = sorted({part(row) for row in rows}, key=str)
    for left_out in parts:
        inside = [row for row in rows if part(row) == left_out]
        above = chosen([row for row in rows if part(row) != left_out])
        print(f"  {left_out!s:8} n={len(inside):3}  chosen {above:.2f} {coarse(inside, above)}", end="")
        print(f"   shipped {Thresholds().message:.2f} {coarse(inside, Thresholds().message)}")


def report_methods(title: str, rows: Sequence[Row]) -> None:
    """Print the agreement of every method with the coarse and the fine labels."""
    print(f"\n{title} ({len(rows)} texts)\n{'':30}clusters  coarse P R F1       fine P R F1")
    for name, method in METHODS.items():
        found = method(rows)
        gold_coarse, gold_fine = [row.gold_coarse for row in rows], [row.gold_fine for row in rows]
        print(f"{name:30}{len(set(found)):8}  {bcubed(found, gold_coarse)}  {bcubed(found, gold_fine)}")


def _overlapping(left: str, right: str) -> bool:
    return jaccard(frozenset(words(left)), frozenset(words(right))) > 0.4


def report_joins(rows: Sequence[Row]) -> None:
    """Print the pairwise precision and recall of the feedback join against the coarse labels."""
    pairs = list(combinations(rows, 2))
    same = sum(left.gold_coarse == right.gold_coarse for left, right in pairs)
    print("\nfeedback join, pairs of errors_clusters")
    for name, test in {"words > .4": _overlapping, "joins (ours)": joins}.items():
        joined = [(left, right) for left, right in pairs if test(left.message, right.message)]
        true = sum(left.gold_coarse == right.gold_coarse for left, right in joined)
        print(f"{name:30}{len(joined):8}  precision {true / len(joined):.4f} recall {true / same:.4f}")


def report_speed(number: int) -> None:
    """Print the time that `number` distinct texts of a small vocabulary take, the worst case of the index."""
    rng = np.random.default_rng(7)
    vocabulary = [f"{first}{second}a" for first in "bcdfgh" for second in "klmnprst"]
    texts = [FailureText(" ".join(rng.choice(vocabulary, 10)), 1, None) for _ in range(number)]
    start = time.perf_counter()
    found = cluster(texts)
    print(f"\n{number} texts: {len(found)} clusters in {time.perf_counter() - start:.2f} s")


def main() -> None:
    """Measure and print."""
    # A benchmark is started by hand: it has no settings object to be handed its folder by.
    folder = os.environ.get("ENGRAMIA_BENCH_DATA", "../shared/data")  # noqa: TID251 - see above
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(folder))
    lines = (parser.parse_args().data / "errors_clusters.dev.jsonl").read_text().splitlines()
    rows = ranked(Row.model_validate_json(line) for line in lines)
    own = [
        Row(message=text, gold_coarse=str(number), gold_fine=str(number))
        for number, line in enumerate(REMARKS.strip().splitlines())
        for text in line.split("|")
    ]
    report_methods("errors_clusters", rows)
    families = {family: index % FOLDS for index, family in enumerate(sorted({row.family for row in rows}))}
    print("\nfolds by family")
    crossed(rows, lambda row: families[row.family])
    print("\none system left out")
    crossed(rows, lambda row: row.system)
    report_joins(rows)
    report_methods("judges' remarks of our own", ranked(own))
    report_speed(10_000)


if __name__ == "__main__":
    main()
