"""What the store holds over all scopes, for the gauges of the metrics."""

from collections.abc import Callable, Iterator
from datetime import timedelta

from engramia.core import limits
from engramia.core.model import ActivityCounts
from engramia.core.ports import Clock, Storage
from engramia.telemetry.totals import Totals

type _Found = tuple[int, ActivityCounts, float | None]


def totals_of(storage: Storage, clock: Clock) -> Callable[[], Totals]:
    """Return what counts over all scopes of `storage`, for `Metrics.tell_totals`."""

    def count() -> Totals:
        found = list(_scopes(storage, clock))
        runs = sum(counts.runs for _, counts, _ in found)
        recalls = sum(counts.recalls for _, counts, _ in found)
        return Totals(
            pattern_count=sum(patterns for patterns, _, _ in found),
            total_runs=runs,
            avg_eval_score=_mean([(mean, patterns) for patterns, _, mean in found if mean is not None]),
            success_rate=_share(sum(counts.successes for _, counts, _ in found), runs),
            reuse_rate=_share(sum(counts.reused for _, counts, _ in found), recalls),
        )

    return count


def _scopes(storage: Storage, clock: Clock) -> Iterator[_Found]:
    """Yield each scope's patterns, its activity, and the mean of its latest observations."""
    since = clock.now() - timedelta(days=limits.METRICS_WINDOW_DAYS)
    for scope in storage.scopes():
        with storage.scoped(scope).reading() as stores:
            patterns = stores.patterns
            yield patterns.count(), stores.activity.counts(), patterns.mean_observation(since)


def _mean(weighted: list[tuple[float, int]]) -> float | None:
    """Return the mean over scopes, each weighed by its patterns: nobody keeps count of the observations."""
    weight = sum(patterns for _, patterns in weighted)
    return sum(mean * patterns for mean, patterns in weighted) / weight if weight else None


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
