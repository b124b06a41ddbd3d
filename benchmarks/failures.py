"""(d) Failure clusters on labelled error messages, beside joining by word overlap alone."""

from dataclasses import asdict
from typing import Any

from benchmarks import datasets, measures
from benchmarks.report import Table
from engramia.core import limits
from engramia.core.failures import FailureText, cluster
from engramia.core.words import jaccard, words


def run(table: Table) -> dict[str, Any]:
    """Return BCubed precision, recall and F1, coarse and fine, per arm."""
    rows = datasets.rows("errors_clusters")
    texts = [FailureText(row["message"], row["count"], row["avg_score"]) for row in rows]
    found = {member: str(place) for place, group in enumerate(cluster(texts)) for member in group.members}
    arms = {"words": _by_overlap([row["message"] for row in rows]), "engine": found}
    table.start("Failure clusters, BCubed", ["arm", "gold", "precision", "recall", "F1", "clusters"])
    return {name: _score(name, rows, clusters, table) for name, clusters in arms.items()}


def _score(
    name: str, rows: list[datasets.Row], clusters: dict[str, str], table: Table
) -> dict[str, dict[str, float]]:
    result = {}
    for level in ("coarse", "fine"):
        gold = {row["message"]: row[f"gold_{level}"] for row in rows}
        agreement = measures.bcubed(gold, {text: clusters[text] for text in gold})
        table.row(
            name, level, agreement.precision, agreement.recall, agreement.f1, len(set(clusters.values()))
        )
        result[level] = asdict(agreement) | {"f1": agreement.f1}
    return result


def _by_overlap(texts: list[str]) -> dict[str, str]:
    """Join all texts that a chain of overlaps above the feedback threshold connects (single link)."""
    cut = {text: frozenset(words(text)) for text in texts}
    clusters: dict[str, str] = {}
    for text, mine in cut.items():
        near = {
            leader
            for other, leader in clusters.items()
            if jaccard(mine, cut[other]) > limits.FEEDBACK_JACCARD
        }
        clusters[text] = text
        clusters |= {other: text for other, leader in clusters.items() if leader in near}
    return clusters
