"""(a) Recall: where the right pattern stands in the answer, for the engine and three baselines."""

from dataclasses import asdict
from typing import Any

from benchmarks import datasets, measures
from benchmarks.arms import EngineArm, Rank, baseline_arms
from benchmarks.report import Table
from engramia.core.embedding import Embeddings


def run(embeddings: Embeddings, table: Table) -> dict[str, Any]:
    """Measure every set; return {set: {arm: {hit_at_1, mrr_at_10, ndcg_at_10}}}."""
    table.start("Recall quality", ["set", "queries", "arm", "Hit@1", "MRR@10", "nDCG@10"])
    return {data.name: _run_set(embeddings, data, table) for data in datasets.recall_sets()}


def _run_set(embeddings: Embeddings, data: datasets.RecallSet, table: Table) -> dict[str, Any]:
    engine = EngineArm(embeddings, data.stored)
    words_only = EngineArm(None, data.stored)
    arms: dict[str, Rank] = baseline_arms(embeddings, data) | {
        "engine, no model": words_only.rank,
        "engine": engine.rank,
    }
    result = {}
    for name, rank in arms.items():
        scored = measures.ranking((rank(query["task"]), set(query["relevant"])) for query in data.answerable)
        result[name] = asdict(scored)
        table.row(data.name, len(data.answerable), name, scored.hit_at_1, scored.mrr_at_10, scored.ndcg_at_10)
    engine.close()
    words_only.close()
    return result
