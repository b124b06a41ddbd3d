"""(b) Tiers and duplicate decisions on labelled pairs, beside fixed thresholds on the cosine."""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import datasets, measures
from benchmarks.arms import embed
from benchmarks.report import Table
from engramia import Memory
from engramia.core.calibration import calibration_for
from engramia.core.embedding import Embeddings
from engramia.core.similarity import reuse_tier
from engramia.providers import JSONStorage

_LABELS = {"duplicate": "duplicate", "adapt": "adapt", "unrelated": "fresh"}


def run(embeddings: Embeddings, table: Table) -> dict[str, Any]:
    """Return, per arm, macro-F1 and precision and recall of each tier; and what learning dropped."""
    pairs = datasets.rows("near_dup_pairs")
    left = embed(embeddings, [pair["a"] for pair in pairs])
    right = embed(embeddings, [pair["b"] for pair in pairs])
    cosines = [float(value) for value in np.clip(np.sum(left * right, axis=1), 0, 1)]
    thresholds = calibration_for(embeddings.model).thresholds
    arms = {
        "cosine .92/.70": [_fixed(cosine) for cosine in cosines],
        "engine": [
            str(reuse_tier(cosine, pair["a"], pair["b"], thresholds))
            for cosine, pair in zip(cosines, pairs, strict=True)
        ],
    }
    table.start(
        "Tiers on labelled pairs", ["arm", "macro-F1", "dup. prec.", "dup. recall", "adapt F1", "fresh F1"]
    )
    result = {name: _score(name, pairs, said, table) for name, said in arms.items()}
    return result | {"dropped by learning": _learning(pairs, table)}


def _fixed(cosine: float) -> str:
    return "duplicate" if cosine >= 0.92 else "adapt" if cosine >= 0.70 else "fresh"


def _score(name: str, pairs: Sequence[datasets.Row], said: Sequence[str], table: Table) -> dict[str, Any]:
    truth = [_LABELS[pair["label"]] for pair in pairs]
    classes = measures.classification(list(zip(truth, said, strict=True)))
    macro = measures.macro_f1(classes)
    duplicate = classes["duplicate"]
    table.row(name, macro, duplicate.precision, duplicate.recall, classes["adapt"].f1, classes["fresh"].f1)
    return {"macro_f1": macro} | {label: asdict(agreement) for label, agreement in classes.items()}


def _learning(pairs: Sequence[datasets.Row], table: Table) -> dict[str, int]:
    """Learn both tasks of each pair in a scope of its own: how many were taken for the same, by label."""
    dropped = dict.fromkeys(_LABELS, 0)
    with tempfile.TemporaryDirectory() as folder:
        for place, pair in enumerate(pairs):
            storage = JSONStorage(Path(folder) / str(place), sync=False)
            with Memory(embeddings=None, storage=storage) as memory:
                memory.learn(task=pair["a"], code="a", eval_score=9)
                learned = memory.learn(task=pair["b"], code="b", eval_score=8)
                dropped[pair["label"]] += learned.duplicate_of is not None
    table.start("Second task taken for the first when learned", ["label", "pairs", "dropped"])
    for label, count in dropped.items():
        table.row(label, sum(pair["label"] == label for pair in pairs), count)
    return dropped
