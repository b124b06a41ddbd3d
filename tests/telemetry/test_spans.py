from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, Status, StatusCode, TraceFlags

from engramia.telemetry.logging import carried, logger
from engramia.telemetry.spans import Plain, plain
from tests.telemetry.conftest import Log

TEXT = "somebody's text"


class Scripted(SpanExporter):
    """Ends each export as it is told."""

    def __init__(self, *outcomes: SpanExportResult | Exception) -> None:
        self._outcomes = list(outcomes)

    def export(self, _spans: Sequence[ReadableSpan]) -> SpanExportResult:
        outcome = self._outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def test_only_names_numbers_and_codes_are_left() -> None:
    memory = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    link = Link(SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(1)), {"engramia.operation": TEXT})
    with provider.get_tracer("test").start_as_current_span("work", links=[link]) as span:
        span.set_attributes({"engramia.operation": "learn", "engramia.size": 2, "engramia.task": TEXT})
        span.set_attributes({"http.route": "/" + "x" * 1_000, "error.type": (TEXT, TEXT), "url.path": TEXT})
        span.add_event(TEXT, {"a": TEXT})
        span.record_exception(ValueError(TEXT))
        span.set_status(Status(StatusCode.ERROR, TEXT))
    (whole,) = memory.get_finished_spans()
    left = plain(whole)
    assert TEXT in whole.to_json()
    assert TEXT not in left.to_json()
    assert left.attributes == {
        "engramia.operation": "learn",
        "engramia.size": 2,
        "http.route": "/" + "x" * 199,
    }
    assert (left.name, left.status.status_code) == ("work", StatusCode.ERROR)
    assert (left.context, left.start_time, left.end_time) == (
        whole.context,
        whole.start_time,
        whole.end_time,
    )


def test_a_failure_is_told_when_it_begins_and_when_it_ends(log: Log) -> None:
    good, bad = SpanExportResult.SUCCESS, SpanExportResult.FAILURE
    outcomes = (good, bad, bad, RuntimeError("broken"), good, good, RuntimeError("broken"))
    exporter = Plain(Scripted(*outcomes), "http://collector:4317")
    assert [exporter.export([]) for _ in outcomes] == [good, bad, bad, bad, good, good, bad]
    assert [line["message"] for line in log.lines] == [
        "No traces are exported until the collector answers",
        "The collector answers again",
        "No traces are exported until the collector answers",
    ]
    assert log.last["endpoint"] == "http://collector:4317"


def test_a_thread_of_ones_own_carries_the_span_as_well(log: Log) -> None:
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("test")
    say = logger("engramia.test").info
    with tracer.start_as_current_span("work") as span:
        inside = carried(say)
    inside("later, elsewhere")
    say("outside")
    trace_id = format(span.get_span_context().trace_id, "032x")
    assert [line["trace_id"] for line in log.lines] == [trace_id, None]
