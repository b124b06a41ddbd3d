"""The service's metrics: what is counted, and how Prometheus reads it."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, exposition
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from engramia.core.embedding import Embeddings
from engramia.core.llm import LLM
from engramia.core.ports import Storage
from engramia.providers.wrappers import Measurement
from engramia.telemetry.cells import SharedCells, private_cells, shared_totals
from engramia.telemetry.families import (
    EMBEDDING_SECONDS,
    JOBS_COMPLETED,
    JOBS_SUBMITTED,
    LLM_SECONDS,
    RECALL_HITS,
    RECALL_MISSES,
    REQUEST_SECONDS,
    REQUESTS,
    STORAGE_SECONDS,
)
from engramia.telemetry.instruments import OTHER, Counter, Histogram, exposed, of_family
from engramia.telemetry.totals import Gauges, Totals
from engramia.telemetry.watched import Timed, WatchedEmbeddings, WatchedStorage, watched_llm

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
"""The methods of RFC 9110 and RFC 5789; any other is counted as `other`."""

_TEXT = "text/plain"
_OPEN = "application/openmetrics-text"


class Metrics(Collector):
    """Everything that is counted; thread-safe. Each app has its own, and its `registry` is the only one.

    With `folder`, the counters and histograms are those of all processes that were given the same folder,
    which `cells.prepare` makes before the first of them starts.
    """

    def __init__(self, *, folder: Path | None = None) -> None:
        make = private_cells if folder is None else SharedCells(folder)
        self._folder = folder
        self._requests = Counter(REQUESTS, make)
        self._request_seconds = Histogram(REQUEST_SECONDS, make)
        self._llm_seconds = Histogram(LLM_SECONDS, make)
        self._embedding_seconds = Histogram(EMBEDDING_SECONDS, make)
        self._storage_seconds = Histogram(STORAGE_SECONDS, make)
        self._hits = Counter(RECALL_HITS, make)
        self._misses = Counter(RECALL_MISSES, make)
        self._submitted = Counter(JOBS_SUBMITTED, make)
        self._completed = Counter(JOBS_COMPLETED, make)
        self._gauges: Gauges | None = None
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def tell_totals(self, totals: Callable[[], Totals], clock: Callable[[], float] = time.monotonic) -> None:
        """Expose the gauges; `totals` counts them over all scopes, and is asked every few seconds at most."""
        self._gauges = Gauges(totals, clock)

    def request(self, method: str, path: str, status: int, seconds: float) -> None:
        """Count an HTTP request; `path` is a route's template or `unmatched`."""
        labels = (method if method in METHODS else OTHER, path, str(status))
        self._requests.add(*labels)
        self._request_seconds.observe(seconds, *labels)

    def llm_call(self, call: Measurement) -> None:
        """Count a call; this is what `providers.wrappers.Measured` tells, inside the pool."""
        self._llm_seconds.observe(call.seconds, call.vendor, call.model)

    def recalled(self, matches: int) -> None:
        """Count a recall that found `matches` patterns; later pages of it are none."""
        (self._hits if matches else self._misses).add()

    def job_submitted(self, operation: str) -> None:
        """Count a job; `operation` is one of the table of operations."""
        self._submitted.add(operation)

    def job_completed(self, operation: str, status: str) -> None:
        """Count a job's end: completed, failed, cancelled or expired."""
        self._completed.add(operation, status)

    def embeddings(self, embeddings: Embeddings, provider: str) -> Embeddings:
        """Return `embeddings` with its calls timed; `provider` is openai or local."""
        return WatchedEmbeddings(
            embeddings, lambda _name, _size: Timed(lambda s: self._embedding_seconds.observe(s, provider))
        )

    def llm(self, llm: LLM) -> LLM:
        """Return `llm`, and a `Panel` for a `Panel`, with its calls timed, time in its own line included.

        Questions that are asked together count one each, and all take as long as the slowest.
        """
        return watched_llm(llm, lambda _name, size: Timed(lambda s: self._answers(llm, size, s)))

    def storage(self, storage: Storage, backend: str) -> Storage:
        """Return `storage` with its transactions timed, from opening to the last byte on disk."""
        return WatchedStorage(
            storage, lambda name, _size: Timed(lambda s: self._storage_seconds.observe(s, backend, name))
        )

    def render(self, accept: str | None) -> tuple[str, bytes]:
        """Return content type and body: OpenMetrics for who prefers it by `Accept`, else Prometheus' text."""
        if _prefers_openmetrics(accept or ""):
            body = openmetrics.generate_latest(self.registry)  # type: ignore[no-untyped-call] # theirs
            return openmetrics.CONTENT_TYPE_LATEST, body
        return exposition.CONTENT_TYPE_PLAIN_0_0_4, exposition.generate_latest(self.registry)

    def collect(self) -> Iterator[Metric]:
        """Yield every metric with its series, gauges first."""
        if self._gauges is not None:
            yield from self._gauges.collect()
        shared = None if self._folder is None else shared_totals(self._folder)
        for series in self._series():
            totals = series.totals() if shared is None else of_family(series.family, shared)
            yield exposed(series.family, totals)

    def _series(self) -> tuple[Counter | Histogram, ...]:
        return (
            self._requests,
            self._request_seconds,
            self._llm_seconds,
            self._embedding_seconds,
            self._storage_seconds,
            self._hits,
            self._misses,
            self._submitted,
            self._completed,
        )

    def _answers(self, llm: LLM, questions: int, seconds: float) -> None:
        for _ in range(questions):
            self._llm_seconds.observe(seconds, llm.vendor, llm.model)


def _prefers_openmetrics(accept: str) -> bool:
    weights: dict[str, float] = {}
    for part in accept.split(","):
        kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weights[kind] = max(weights.get(kind, 0.0), _weight(parameters))
    return weights.get(_OPEN, 0.0) > max(weights.get(_TEXT, 0.0), 0.0)


def _weight(parameters: list[str]) -> float:
    """Return the weight `q` of a media range, RFC 9110 section 12.4.2; 0 if it cannot be read."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name == "q":
            plain = value.replace(".", "", 1).isdecimal() and value.isascii()
            return min(float(value), 1.0) if plain else 0.0
    return 1.0
