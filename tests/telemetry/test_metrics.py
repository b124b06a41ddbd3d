import math
import threading
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from engramia.core.llm import Question
from engramia.providers.wrappers import Measured, Measurement
from engramia.telemetry.instruments import SERIES_MAX
from engramia.telemetry.metrics import Metrics
from engramia.telemetry.totals import Totals
from engramia.testing import ScriptedLLM
from tests.telemetry.conftest import Log
from tests.telemetry.scraped import scraped, value

FOURTEEN = {
    "engramia_pattern_count": ("gauge", ()),
    "engramia_avg_eval_score": ("gauge", ()),
    "engramia_total_runs": ("gauge", ()),
    "engramia_success_rate": ("gauge", ()),
    "engramia_reuse_rate": ("gauge", ()),
    "engramia_requests_total": ("counter", ("method", "path", "status_code")),
    "engramia_request_duration_seconds": ("histogram", ("method", "path", "status_code")),
    "engramia_llm_call_duration_seconds": ("histogram", ("model", "provider")),
    "engramia_embedding_duration_seconds": ("histogram", ("provider",)),
    "engramia_storage_op_duration_seconds": ("histogram", ("backend", "operation")),
    "engramia_recall_hits_total": ("counter", ()),
    "engramia_recall_misses_total": ("counter", ()),
    "engramia_jobs_submitted_total": ("counter", ("operation",)),
    "engramia_jobs_completed_total": ("counter", ("operation", "status")),
}
OPEN = "application/openmetrics-text"
TOTALS = Totals(pattern_count=42, total_runs=50, avg_eval_score=7.5, success_rate=0.9, reuse_rate=0.25)


class Hands:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def busy(metrics: Metrics) -> Metrics:
    """Let everything happen once."""
    metrics.request("GET", "/v1/health", 200, 0.004)
    metrics.llm_call(Measurement("openai", "gpt-4.1", "verdict", 1.5, None))
    metrics._embedding_seconds.observe(0.002, "local")
    metrics._storage_seconds.observe(0.0002, "json", "read")
    metrics.recalled(3)
    metrics.recalled(0)
    metrics.job_submitted("evaluate")
    metrics.job_completed("evaluate", "failed")
    return metrics


@pytest.mark.parametrize("shared", [False, True])
def test_the_fourteen_have_their_names_types_and_labels(tmp_path: Path, shared: bool) -> None:
    metrics = busy(Metrics(folder=tmp_path if shared else None))
    metrics.tell_totals(lambda: TOTALS)
    _, body = metrics.render(None)
    families = {
        (f"{family.name}_total" if family.type == "counter" else family.name): (
            family.type,
            tuple(sorted(set(family.samples[0].labels) - {"le"})),
        )
        for family in parse_text(body.decode())
    }
    assert families == FOURTEEN


def test_two_apps_in_one_process_count_apart() -> None:
    one, other = Metrics(), Metrics()
    one.recalled(1)
    assert (value(one, "engramia_recall_hits_total"), value(other, "engramia_recall_hits_total")) == (1, 0)


class TestFormats:
    @pytest.mark.parametrize(
        ("accept", "opened"),
        [
            (None, False),
            ("", False),
            ("*/*", False),
            ("text/plain", False),
            (OPEN, True),
            (f"{OPEN};version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1", True),
            (f"text/plain;version=0.0.4;q=0.9,{OPEN};q=0.5", False),
            (f"{OPEN};q=0", False),
            (f"{OPEN};q=nan", False),
            (f"{OPEN};q=", False),
            (f"{OPEN};version=oops;q=0.5", True),
            (";;,=,q=;\x00", False),
            (f"{OPEN};q=²", False),
        ],
    )
    def test_are_chosen_by_accept(self, accept: str | None, opened: bool) -> None:
        kind, body = Metrics().render(accept)
        assert kind.startswith(f"{OPEN}; version=1.0.0" if opened else "text/plain; version=0.0.4")
        assert body.endswith(b"# EOF\n") is opened

    def test_both_say_the_same(self) -> None:
        metrics = busy(Metrics())
        metrics.tell_totals(lambda: TOTALS)
        plain = {sample for family in parse_text(metrics.render(None)[1].decode()) for sample in rows(family)}
        families = parse_openmetrics(metrics.render(OPEN)[1].decode())  # type: ignore[no-untyped-call] # theirs
        opened = {sample for family in families for sample in rows(family)}
        assert plain == opened
        assert len(plain) > 70

    def test_a_label_value_cannot_break_out(self) -> None:
        metrics = Metrics()
        metrics.job_submitted('a"} 1\nengramia_evil 1')
        assert set(scraped(metrics)) == set(scraped(Metrics())) | {"engramia_jobs_submitted_total"}


def rows(family: object) -> set[tuple[str, tuple[tuple[str, str], ...], float]]:
    samples = family.samples  # type: ignore[attr-defined] # the two parsers have a family each
    return {(one.name, tuple(sorted(one.labels.items())), one.value) for one in samples}


class TestHistograms:
    def test_buckets_hold_their_upper_bound_and_add_up(self) -> None:
        metrics = Metrics()
        for seconds in (0.0005, 0.001, 0.0011, 59.0, 61.0):
            metrics.request("GET", "/x", 200, seconds)
        labels = {"method": "GET", "path": "/x", "status_code": "200"}

        def bucket(bound: str) -> float:
            return value(metrics, "engramia_request_duration_seconds_bucket", le=bound, **labels)

        assert [bucket(bound) for bound in ("0.001", "0.0025", "30.0", "60.0", "+Inf")] == [2, 3, 3, 4, 5]
        assert value(metrics, "engramia_request_duration_seconds_count", **labels) == 5
        total = value(metrics, "engramia_request_duration_seconds_sum", **labels)
        assert math.isclose(total, 120.0026)


class TestLabels:
    def test_a_method_that_nobody_knows_is_other(self) -> None:
        metrics = Metrics()
        for method in ("PATCH", "BREW", "get", "X" * 1000):
            metrics.request(method, "/x", 200, 0.1)
        counted = {labels["method"]: count for labels, count in scraped(metrics)["engramia_requests_total"]}
        assert counted == {"PATCH": 1, "other": 3}

    def test_nobody_fills_the_memory_with_values(self) -> None:
        metrics = Metrics()
        for number in range(SERIES_MAX + 500):
            metrics.job_submitted(f"operation-{number}")
        series = scraped(metrics)["engramia_jobs_submitted_total"]
        assert len(series) == SERIES_MAX + 1
        assert [count for labels, count in series if labels["operation"] == "other"] == [500]


class TestGauges:
    def test_are_asked_at_most_once_in_a_few_seconds(self) -> None:
        clock, asked = Hands(), []

        def count() -> Totals:
            asked.append(clock.now)
            return Totals(pattern_count=len(asked), total_runs=0)

        metrics = Metrics()
        metrics.tell_totals(count, clock)
        seen = []
        for clock.now in (100.0, 101.0, 104.9, 105.0, 105.1):
            seen.append(value(metrics, "engramia_pattern_count"))
        assert (seen, asked) == ([1, 1, 1, 2, 2], [100.0, 105.0])

    def test_what_was_not_observed_is_absent_and_zero_is_not(self) -> None:
        metrics = Metrics()
        metrics.tell_totals(lambda: Totals(pattern_count=0, total_runs=0))
        assert [name for name in scraped(metrics) if name in FOURTEEN and FOURTEEN[name][0] == "gauge"] == [
            "engramia_pattern_count",
            "engramia_total_runs",
        ]
        metrics.tell_totals(lambda: Totals(1, 1, avg_eval_score=0.0, success_rate=0.0, reuse_rate=0.0))
        assert value(metrics, "engramia_success_rate") == 0

    def test_a_store_that_fails_costs_the_gauges_alone(self, log: Log) -> None:
        clock = Hands()
        answers: list[Exception | Totals] = [OSError("gone"), TOTALS]

        def count() -> Totals:
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        metrics = busy(Metrics())
        metrics.tell_totals(count, clock)
        for _ in range(3):
            assert "engramia_pattern_count" not in scraped(metrics)
        assert value(metrics, "engramia_recall_hits_total") == 1
        assert [line["error"] for line in log.lines] == ["OSError: gone"]
        clock.now += 5
        assert value(metrics, "engramia_pattern_count") == 42

    def test_scrapes_at_once_ask_once(self) -> None:
        asked, inside = [], threading.Event()

        def count() -> Totals:
            asked.append(1)
            inside.wait(10)
            return TOTALS

        metrics = Metrics()
        metrics.tell_totals(count)
        bodies: list[bytes] = []
        threads = [threading.Thread(target=lambda: bodies.append(metrics.render(None)[1])) for _ in range(4)]
        for thread in threads:
            thread.start()
        inside.set()
        for thread in threads:
            thread.join(10)
        assert (len(asked), len(set(bodies))) == (1, 1)


def test_the_measure_of_the_pool_is_what_it_takes() -> None:
    metrics = Metrics()
    llm = Measured(ScriptedLLM([{}], model="m"), metrics.llm_call)
    llm.ask(Question("verdict", "", "", {}))
    name = "engramia_llm_call_duration_seconds_count"
    assert value(metrics, name, provider="scripted", model="m") == 1


def test_no_count_is_lost_between_threads() -> None:
    metrics = Metrics()

    def work() -> None:
        for _ in range(2_000):
            metrics.request("GET", "/x", 200, 0.001)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    labels = {"method": "GET", "path": "/x", "status_code": "200"}
    assert value(metrics, "engramia_requests_total", **labels) == 12_000
    assert value(metrics, "engramia_request_duration_seconds_count", **labels) == 12_000
