"""Counters and histograms: families of series, one for each set of label values."""

import json
import threading
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric

from engramia.telemetry.cells import Cells, Row

SERIES_MAX = 2_000
"""Series of one family; label values beyond are counted as `other`, so that nobody can fill the memory."""

OTHER = "other"


@dataclass(frozen=True, slots=True)
class Family:
    """A metric as it is exposed. With `buckets`, upper bounds in ascending order, it is a histogram."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def cells(self) -> int:
        """How many numbers a series has: a counter one, a histogram its buckets, the rest, and the sum."""
        return len(self.buckets) + 2 if self.buckets else 1


class _Series:
    """The series of one family in this process."""

    def __init__(self, family: Family, cells: Cells) -> None:
        self.family = family
        self._make = cells
        self._lock = threading.Lock()
        self._cells: dict[tuple[str, ...], Row] = {}
        if not family.labels:
            self._of(())

    def totals(self) -> dict[tuple[str, ...], list[float]]:
        """Return each series' numbers by its label values."""
        with self._lock:
            return {labels: list(cells) for labels, cells in self._cells.items()}

    def _of(self, labels: tuple[str, ...]) -> Row:
        """Return the cells of a series; the lock is held, or nobody else has the object yet."""
        cells = self._cells.get(labels)
        if cells is not None:
            return cells
        if len(self._cells) >= SERIES_MAX:
            labels = (OTHER,) * len(labels)
        if labels not in self._cells:
            self._cells[labels] = self._make(series_name(self.family, labels), self.family.cells)
        return self._cells[labels]


class Counter(_Series):
    """Counts events."""

    def add(self, *labels: str) -> None:
        """Count one event."""
        with self._lock:
            self._of(labels)[0] += 1


class Histogram(_Series):
    """Sorts observations into buckets."""

    def observe(self, value: float, *labels: str) -> None:
        """Count one observation of `value`."""
        place = bisect_left(self.family.buckets, value)
        with self._lock:
            cells = self._of(labels)
            cells[place] += 1
            cells[-1] += value


def series_name(family: Family, labels: Sequence[str]) -> str:
    """Return the name under which a series is shared; `of_family` takes it apart again."""
    return json.dumps([family.name, *labels])


def of_family(family: Family, totals: Mapping[str, list[float]]) -> dict[tuple[str, ...], list[float]]:
    """Return those of the shared series that are the family's, by their label values."""
    named = ((_labels(family, name), values) for name, values in totals.items())
    return {labels: values for labels, values in named if labels is not None and len(values) == family.cells}


def _labels(family: Family, name: str) -> tuple[str, ...] | None:
    """Return the label values in a series' name, or None if it is no series of this family."""
    try:
        first, *labels = json.loads(name)
    except (ValueError, TypeError):
        return None
    ours = first == family.name and len(labels) == len(family.labels)
    return tuple(map(str, labels)) if ours else None


def exposed(family: Family, totals: Mapping[tuple[str, ...], Sequence[float]]) -> Metric:
    """Return a family with its series for the exposition formats."""
    return _histogram(family, totals) if family.buckets else _counter(family, totals)


def _counter(family: Family, totals: Mapping[tuple[str, ...], Sequence[float]]) -> Metric:
    metric = CounterMetricFamily(family.name, family.help, labels=family.labels)
    for labels, values in sorted(totals.items()):
        metric.add_metric(labels, values[0])
    return metric


def _histogram(family: Family, totals: Mapping[tuple[str, ...], Sequence[float]]) -> Metric:
    metric = HistogramMetricFamily(family.name, family.help, labels=family.labels)
    bounds = [*map(str, family.buckets), "+Inf"]
    for labels, values in sorted(totals.items()):
        below = 0.0
        buckets: list[tuple[str, float]] = []
        for bound, count in zip(bounds, values, strict=False):
            below += count
            buckets.append((bound, below))
        metric.add_metric(labels, buckets, values[-1])
    return metric
