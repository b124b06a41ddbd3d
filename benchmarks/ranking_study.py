"""Which parts of the relevance earn their keep: `python -m benchmarks.ranking_study`.

Reads the recall sets from ENGRAMIA_BENCH_DATA, else from ../shared/data. Prints Hit@1 / MRR@10 / nDCG@10 by
arm and set, then what leaving one set out of the choice of weights costs on that set.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from benchmarks import baselines, datasets, measures
from engramia.core.ranking import Fusion, head_bonus, lexical_part, relevance, word_order
from engramia.core.similarity.differences import differences
from engramia.core.word_index import CODE_CHARS, WordIndex
from engramia.core.words import words
from engramia.providers import LocalEmbeddings

type Floats = NDArray[np.float32]

READ_AGAIN = 20
"""How deep candidates are compared with the query, so that the weights of the head can be varied."""

GRID = [
    Fusion(task_words=task, code_words=code, word_order=order, agreement=agreement)
    for task, code, order, agreement in product(
        (0.05, 0.2, 0.35),
        (0.4, 0.65, 0.9),
        (0.0, 0.1, 0.15, 0.2),
        (0.0, 0.1, 0.15),
    )
]


@dataclass(frozen=True)
class Query:
    """One query of a set, with every part of relevance for every stored task."""

    relevant: set[str]
    words: baselines.Scores
    dense: Floats
    task_words: Floats
    code_words: Floats
    order: dict[int, float]
    agrees: dict[int, bool]


@dataclass(frozen=True)
class Study:
    """A recall set with everything computed that does not depend on the weights."""

    name: str
    ids: Sequence[str]
    queries: Sequence[Query]

    def measure(self, scores: Callable[[Query], NDArray[np.floating]]) -> measures.Ranking:
        return measures.ranking(
            ([self.ids[row] for row in np.argsort(-scores(query), kind="stable")[:10]], query.relevant)
            for query in self.queries
        )


def studies() -> Iterator[Study]:
    """Yield every recall set, embedded and indexed."""
    embeddings = LocalEmbeddings()
    for data in datasets.recall_sets():
        tasks = [row["task"] for row in data.stored]
        by_task, by_code = WordIndex(), WordIndex()
        by_task.add_many(list(enumerate(tasks)))
        by_code.add_many([(row, run["code"][:CODE_CHARS]) for row, run in enumerate(data.stored)])
        plain = baselines.BM25(tasks)
        cosines = embeddings.embed([query["task"] for query in data.answerable]) @ embeddings.embed(tasks).T
        queries = []
        for query, dense in zip(data.answerable, cosines, strict=True):
            cut = words(query["task"])
            task, code = by_task.scores(cut, len(tasks)), by_code.scores(cut, len(tasks))
            read = _deepest(dense, task, code)
            queries.append(
                Query(
                    set(query["relevant"]),
                    plain.scores(query["task"]),
                    dense,
                    task,
                    code,
                    {row: word_order(cut, words(tasks[row])) for row in read},
                    {row: not differences(query["task"], tasks[row]) for row in read},
                )
            )
        yield Study(data.name, [row["id"] for row in data.stored], queries)


def _deepest(dense: Floats, task: Floats, code: Floats) -> list[int]:
    """Return the rows that come near the head under any weights, with a vector or without."""
    best: set[int] = set()
    for arm in (dense, relevance(dense, task, code, Fusion()), lexical_part(task, code, Fusion())):
        best.update(np.argsort(-arm, kind="stable")[:READ_AGAIN].tolist())
    return sorted(best)


def fused(fusion: Fusion, *, dense: bool = True) -> Callable[[Query], Floats]:
    """Return the relevance as a store computes it, its head read again."""

    def scores(query: Query) -> Floats:
        cosines = query.dense if dense else None
        found = relevance(cosines, query.task_words, query.code_words, fusion)
        for row in np.argsort(-found, kind="stable")[: fusion.head].tolist():
            found[row] += head_bonus(
                query.order.get(row, 0.0), agrees=query.agrees.get(row, False), dense=dense, fusion=fusion
            )
        return found

    return scores


def arms() -> dict[str, Callable[[Query], NDArray[np.floating]]]:
    """Return the baselines, then relevance as its parts are put in one after another and left out again."""
    bare = Fusion(task_words=0.0, code_words=0.0, word_order=0.0, agreement=0.0)
    full = Fusion()
    return {
        "BM25, tasks": lambda query: query.words,
        "cosine": lambda query: query.dense,
        "equal fusion": lambda query: baselines.equal_fusion(query.words, query.dense.astype(np.float64)),
        "cosine + words, straight": lambda query: (
            query.dense + full.task_words * query.task_words + full.code_words * query.code_words
        ),
        "angle + task words": fused(replace(bare, task_words=full.task_words)),
        "angle + code words": fused(replace(bare, code_words=full.code_words)),
        "angle + both": fused(replace(full, word_order=0.0, agreement=0.0)),
        "... + order": fused(replace(full, agreement=0.0)),
        "... + agreement": fused(replace(full, word_order=0.0)),
        "all": fused(full),
        "all, head of 3": fused(replace(full, head=3)),
        "all, head of 16": fused(replace(full, head=16)),
        "all but task words": fused(replace(full, task_words=0.0)),
        "all but code words": fused(replace(full, code_words=0.0)),
        "no vector: task words": lambda query: query.task_words,
        "no vector: both": lambda query: lexical_part(query.task_words, query.code_words, full),
        "no vector: all": fused(full, dense=False),
    }


def _mean(figures: measures.Ranking) -> float:
    return (figures.hit_at_1 + figures.mrr_at_10 + figures.ndcg_at_10) / 3


def leave_one_out(sets: Sequence[Study]) -> Iterator[tuple[str, Fusion, float, float]]:
    """Yield (set left out, weights chosen on the others, their mean figure on it, that of the defaults).

    Sets over the same stored tasks leave together.
    """
    table = np.array([[_mean(study.measure(fused(fusion))) for study in sets] for fusion in GRID])
    floor = [max(_mean(study.measure(arms()[name])) for name in ("BM25, tasks", "cosine")) for study in sets]
    gains = table - np.array(floor)
    for out, study in enumerate(sets):
        others = gains[:, [other.ids != study.ids for other in sets]]
        # A loss anywhere weighs more than a gain elsewhere: no set may fall under its better single arm.
        chosen = int(np.argmax(others.mean(axis=1) + 3 * np.minimum(others.min(axis=1), 0.0)))
        yield study.name, GRID[chosen], float(table[chosen, out]), _mean(study.measure(fused(Fusion())))


def main() -> None:
    """Print both tables."""
    if (sentence := datasets.missing()) is not None:
        sys.exit(sentence)
    sets = list(studies())
    print("".ljust(26), *(f"{study.name:>22}" for study in sets))
    for name, scores in arms().items():
        figures = [study.measure(scores) for study in sets]
        cells = (f"{f.hit_at_1:.3f}/{f.mrr_at_10:.3f}/{f.ndcg_at_10:.3f}".rjust(22) for f in figures)
        print(name.ljust(26), *cells)
    print("\nLeft out, weights chosen on the others, mean of the three figures on it, that of the defaults")
    for name, fusion, chosen, default in leave_one_out(sets):
        weights = (fusion.task_words, fusion.code_words, fusion.word_order, fusion.agreement)
        print(name.ljust(26), weights, f"{chosen:.4f} {default:.4f}")


if __name__ == "__main__":
    main()
