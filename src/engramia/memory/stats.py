"""Aggregate statistics of a scope."""

from datetime import timedelta

from engramia.core import limits
from engramia.core.model import Metrics
from engramia.memory.engine import Engine


def metrics(engine: Engine) -> Metrics:
    """Return runs, success rate, mean quality of the last 30 days, pattern count and reuse rate."""
    since = engine.clock.now() - timedelta(days=limits.METRICS_WINDOW_DAYS)
    with engine.storage.reading() as stores:
        counts = stores.activity.counts()
        return Metrics(
            runs=counts.runs,
            success_rate=_rate(counts.successes, counts.runs),
            avg_eval_score=stores.patterns.mean_observation(since),
            pattern_count=stores.patterns.count(),
            reuse_rate=_rate(counts.reused, counts.recalls),
        )


def _rate(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
