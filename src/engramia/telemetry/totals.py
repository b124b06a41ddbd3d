"""What the whole store holds, counted when somebody asks for the metrics."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from engramia.telemetry.logging import logger

_log = logger("engramia.telemetry")

_HELP = {
    "pattern_count": "Stored patterns.",
    "avg_eval_score": "Mean of the quality observations of the last 30 days, 0 to 10.",
    "total_runs": "Runs that were learned.",
    "success_rate": "Share of the learned runs with an eval score of at least 5, 0 to 1.",
    "reuse_rate": "Share of the recalls whose best match was a duplicate or could be adapted, 0 to 1.",
}


@dataclass(frozen=True, slots=True)
class Totals:
    """Over all scopes; None where nothing was observed yet."""

    pattern_count: int
    total_runs: int
    avg_eval_score: float | None = None
    success_rate: float | None = None
    reuse_rate: float | None = None


class Gauges:
    """The gauges of `Totals`, which are asked for at most once in `seconds`, also if that fails.

    They are facts about the store, not about a process: every process that is asked tells the same, and they
    are never added up.
    """

    def __init__(
        self, totals: Callable[[], Totals], clock: Callable[[], float], *, seconds: float = 5.0
    ) -> None:
        """Ask `totals`; `clock` returns monotonic seconds."""
        self._totals = totals
        self._clock = clock
        self._seconds = seconds
        self._lock = threading.Lock()
        self._fresh_until: float | None = None
        self._known: Totals | None = None

    def collect(self) -> Iterator[Metric]:
        """Yield each gauge that is known."""
        totals = self._current()
        for field in fields(Totals) if totals is not None else ():
            value = getattr(totals, field.name)
            if value is not None:
                yield GaugeMetricFamily(f"engramia_{field.name}", _HELP[field.name], value=value)

    def _current(self) -> Totals | None:
        with self._lock:
            now = self._clock()
            if self._fresh_until is None or now >= self._fresh_until:
                self._known = self._asked()
                self._fresh_until = self._clock() + self._seconds
            return self._known

    def _asked(self) -> Totals | None:
        try:
            return self._totals()
        except Exception as error:  # noqa: BLE001 - whatever the store suffers from, the other metrics are told
            _log.warning("The gauges are left out of the metrics", error=f"{type(error).__name__}: {error}")
            return None
