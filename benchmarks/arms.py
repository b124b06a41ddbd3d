"""The ways to rank that are compared: the engine as a user has it, and three baselines."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks import baselines
from benchmarks.datasets import RecallSet, Row
from engramia import Memory
from engramia.core.embedding import Embeddings
from engramia.providers import JSONStorage

type Rank = Callable[[str], list[str]]
"""Takes a task, gives the ids of stored rows, best first."""

DEPTH = 10


def baseline_arms(embeddings: Embeddings, data: RecallSet) -> dict[str, Rank]:
    """Return words alone, cosine alone and equal-weight fusion over the set's stored tasks."""
    ids = [row["id"] for row in data.stored]
    tasks = [row["task"] for row in data.stored]
    matrix = embed(embeddings, tasks)
    index = baselines.BM25(tasks)

    def lexical(task: str) -> baselines.Scores:
        return index.scores(task)

    def dense(task: str) -> baselines.Scores:
        return np.asarray(matrix @ embeddings.embed([task])[0], np.float64)

    def equal(task: str) -> baselines.Scores:
        return baselines.equal_fusion(lexical(task), dense(task))

    def arm(score: Callable[[str], baselines.Scores]) -> Rank:
        return lambda task: [ids[row] for row in baselines.ranking(score(task))[:DEPTH]]

    return {"words": arm(lexical), "cosine": arm(dense), "equal fusion": arm(equal)}


class EngineArm:
    """The engine over a folder of its own, filled with a set's stored rows."""

    def __init__(self, embeddings: Embeddings | None, stored: Sequence[Row]) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.memory = Memory(embeddings=embeddings, storage=JSONStorage(Path(self._folder.name)))
        self.rows: dict[str, Row] = {}
        for row in stored:
            learned = self.memory.learn(
                task=row["task"],
                code=row["code"],
                eval_score=row.get("eval_score", 10.0),
                on_duplicate="keep_both",
            )
            self.rows[learned.pattern_key] = row

    def rank(self, task: str) -> list[str]:
        """Return the ids of the best matches, quality left out so that relevance alone is measured."""
        matches = self.memory.recall(task, limit=DEPTH, deduplicate=False, eval_weighted=False, readonly=True)
        return [self.rows[match.pattern_key]["id"] for match in matches]

    def close(self) -> None:
        self.memory.close()
        self._folder.cleanup()


def embed(embeddings: Embeddings, texts: Sequence[str]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return unit rows of all texts, in batches."""
    return np.concatenate([embeddings.embed(texts[at : at + 256]) for at in range(0, len(texts), 256)])
