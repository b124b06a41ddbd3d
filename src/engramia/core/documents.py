"""Results as plain JSON values, in the names that the HTTP interface uses."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from engramia.core.model import (
    Explanation,
    FeedbackItem,
    ImportResult,
    LearnResult,
    Match,
    Metrics,
    Pattern,
    PatternRecord,
    Recall,
)
from engramia.core.record_format import encode, format_time

if TYPE_CHECKING:  # They bring numpy, which a command that only prints its help should not wait for.
    from engramia.core.evolution import Evolution
    from engramia.core.failures import FailureCluster
    from engramia.core.pipeline import MatchedStage, Pipeline
    from engramia.core.query import Page
    from engramia.core.scoring import Evaluation, JuryScore


def pattern_document(pattern: Pattern) -> dict[str, Any]:
    """Return what a match shows of its pattern."""
    return {
        "task": pattern.task,
        "code": pattern.code,
        "output": pattern.output,
        "success_score": pattern.success_score,
        "reuse_count": pattern.reuse_count,
        "classification": pattern.classification.value,
        "source": pattern.source.value,
        "created_at": format_time(pattern.created_at),
        "skills": list(pattern.skills),
    }


def record_document(record: PatternRecord) -> dict[str, Any]:
    """Return a pattern with its versions and observations."""
    return {"pattern_key": record.pattern.key, **encode(record)["data"]}


def recall_document(recall: Recall) -> dict[str, Any]:
    """Return a page of matches."""
    return {
        "matches": [_match(match) for match in recall],
        "has_more": recall.has_more,
        "next_offset": recall.next_offset,
        "degraded": recall.degraded,
        "reason": recall.reason,
    }


def learn_document(result: LearnResult) -> dict[str, Any]:
    """Return what became of a run."""
    return {
        "stored": result.stored,
        "pattern_count": result.pattern_count,
        "pattern_key": result.pattern_key,
        "duplicate_of": result.duplicate_of,
    }


def list_document(page: "Page[Pattern]") -> dict[str, Any]:
    """Return a page of patterns."""
    patterns = [{"pattern_key": pattern.key, **pattern_document(pattern)} for pattern in page]
    return {"patterns": patterns, "has_more": page.has_more, "next_offset": page.next_offset}


def feedback_document(page: "Page[FeedbackItem]") -> dict[str, Any]:
    """Return a page of quality issues."""
    items = [
        {
            "text": item.text,
            "count": item.count,
            "weight": item.weight,
            "task": item.task,
            "first_seen": format_time(item.first_seen),
            "last_seen": format_time(item.last_seen),
        }
        for item in page
    ]
    return {"feedback": items, "has_more": page.has_more, "next_offset": page.next_offset}


def clusters_document(clusters: "list[FailureCluster]") -> dict[str, Any]:
    """Return failure clusters, the most frequent first."""
    return {
        "clusters": [
            {
                "representative": cluster.representative,
                "members": list(cluster.members),
                "total_count": cluster.total_count,
                "avg_score": cluster.avg_score,
            }
            for cluster in clusters
        ]
    }


def metrics_document(metrics: Metrics) -> dict[str, Any]:
    """Return aggregate statistics."""
    return {
        "runs": metrics.runs,
        "success_rate": metrics.success_rate,
        "avg_eval_score": metrics.avg_eval_score,
        "pattern_count": metrics.pattern_count,
        "reuse_rate": metrics.reuse_rate,
    }


def explanation_document(explanation: Explanation) -> dict[str, Any]:
    """Return the parts of a score."""
    return {
        "relevance": explanation.relevance,
        "lexical": explanation.lexical,
        "quality": explanation.quality,
        "recency": explanation.recency,
        "differences": list(explanation.differences),
    }


def evaluation_document(evaluation: "Evaluation") -> dict[str, Any]:
    """Return what the judges said; `jury` is there only where judges were told apart."""
    document = {
        "median_score": evaluation.median_score,
        "variance": evaluation.variance,
        "high_variance": evaluation.high_variance,
        "feedback": evaluation.feedback,
        "adversarial_detected": evaluation.adversarial_detected,
        "scores": [asdict(judgement) for judgement in evaluation.scores],
    }
    return document if evaluation.jury is None else {**document, "jury": _jury(evaluation.jury)}


def pipeline_document(pipeline: "Pipeline") -> dict[str, Any]:
    """Return a task's stages and what is wrong with their contract."""
    return {
        "task": pipeline.task,
        "stages": [_stage(stage) for stage in pipeline.stages],
        "valid": pipeline.valid,
        "contract_errors": list(pipeline.contract_errors),
        "initial_inputs": list(pipeline.initial_inputs),
        "fallback": pipeline.fallback,
    }


def evolution_document(evolution: "Evolution") -> dict[str, Any]:
    """Return what became of a prompt."""
    return {
        "improved_prompt": evolution.improved_prompt,
        "changes": list(evolution.changes),
        "issues_addressed": list(evolution.issues_addressed),
        "accepted": evolution.accepted,
        "reason": evolution.reason,
    }


def import_document(result: ImportResult) -> dict[str, Any]:
    """Return what an import did."""
    return {
        "imported": result.imported,
        "skipped": result.skipped,
        "total": result.total,
        "reasons": [asdict(skipped) for skipped in result.reasons],
    }


def _jury(jury: "JuryScore") -> dict[str, Any]:
    return {
        "score": jury.score,
        "confidence": jury.confidence,
        "abstained": jury.abstained,
        "judges": dict(jury.judges),
    }


def _stage(stage: "MatchedStage") -> dict[str, Any]:
    return {
        "name": stage.name,
        "task": stage.task,
        "reads": list(stage.reads),
        "writes": list(stage.writes),
        "reuse_tier": stage.reuse_tier.value,
        "similarity": stage.similarity,
        "code": stage.code,
        "pattern_key": stage.pattern_key,
    }


def _match(match: Match) -> dict[str, Any]:
    document = {
        "similarity": match.similarity,
        "score": match.score,
        "reuse_tier": match.reuse_tier.value,
        "pattern_key": match.pattern_key,
        "pattern": pattern_document(match.pattern),
    }
    if match.explanation:
        document["explanation"] = explanation_document(match.explanation)
    return document
