import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fastapi import FastAPI, HTTPException
from opentelemetry import trace
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from engramia import Memory
from engramia.core.llm import Panel, Question
from engramia.errors import ProviderUnreachableError
from engramia.providers import JSONStorage
from engramia.providers.wrappers import Pooled
from engramia.telemetry.logging import logger
from engramia.telemetry.spans import ATTRIBUTES
from engramia.telemetry.tracing import NoTracing, Tracing, configure
from engramia.testing import HashEmbeddings, ScriptedLLM
from tests.telemetry.collecting import Collector, attributes, collecting
from tests.telemetry.conftest import Log
from tests.telemetry.serving import serving

pytestmark = pytest.mark.slow

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
SECRET = "s3cr3t"  # noqa: S105 - what must not be found again
QUESTION = Question("verdict", f"Judge {SECRET}.", f"it {SECRET}", {})

log_of = logger("engramia.test")


@contextmanager
def tracing_to(endpoint: str, *, deadline: float = 5.0, delay: float = 0.02) -> Iterator[Tracing]:
    tracing = configure(endpoint, "engramia-test", "9.9", deadline=deadline, delay=delay)
    try:
        yield tracing
    finally:
        tracing.shutdown(2)


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture
def tracing(collector: Collector) -> Iterator[Tracing]:
    with tracing_to(collector.endpoint) as tracing:
        yield tracing


def application(tracing: Tracing | NoTracing) -> FastAPI:
    app = FastAPI(telemetry=tracing.fastapi())

    @app.get("/v1/patterns/{key}")
    def pattern(key: str) -> str:
        with tracing.operation("recall", request_id="r-1", tenant_id="acme", project_id=None, size=3):
            log_of.info("inside")
        return key

    @app.get("/v1/missing")
    def missing() -> str:
        raise HTTPException(404, SECRET)

    @app.get("/v1/broken")
    def broken() -> str:
        raise RuntimeError(SECRET)

    @app.get("/v1/health/live")
    def live() -> str:
        return "ok"

    return app


def trace_of(span: Span) -> str:
    return bytes(span.trace_id).hex()


class TestRequests:
    def test_a_trace_goes_on_from_caller_to_operation_and_log(
        self, tracing: Tracing, collector: Collector, log: Log
    ) -> None:
        with serving(application(tracing)) as served:
            assert served.request("GET", "/v1/patterns/p1", {"traceparent": TRACEPARENT})[0] == 200
        spans = collector.wait(2)
        request, operation = spans["GET /v1/patterns/{key}"], spans["engramia.recall"]
        assert {trace_of(request), trace_of(operation), log.saying("inside")["trace_id"]} == {TRACE}
        assert bytes(request.parent_span_id).hex() == PARENT
        assert operation.parent_span_id == request.span_id
        assert (
            attributes(request).items()
            >= {
                "http.request.method": "GET",
                "http.route": "/v1/patterns/{key}",
                "http.response.status_code": 200,
            }.items()
        )
        assert attributes(operation) == {
            "engramia.operation": "recall",
            "engramia.request_id": "r-1",
            "engramia.tenant_id": "acme",
            "engramia.size": 3,
        }

    def test_without_a_caller_it_begins_one(self, tracing: Tracing, collector: Collector, log: Log) -> None:
        with serving(application(tracing)) as served:
            served.request("GET", "/v1/patterns/p1", {"traceparent": "00-oops"})
        request = collector.wait(2)["GET /v1/patterns/{key}"]
        assert not request.parent_span_id
        assert log.saying("inside")["trace_id"] == trace_of(request) != TRACE

    def test_a_caller_that_does_not_sample_is_not_sampled(
        self, tracing: Tracing, collector: Collector
    ) -> None:
        with serving(application(tracing)) as served:
            served.request("GET", "/v1/patterns/p1", {"traceparent": TRACEPARENT[:-2] + "00"})
            served.request("GET", "/v1/missing")
        assert set(collector.wait(1)) == {"GET /v1/missing"}

    def test_who_serves_is_said(self, tracing: Tracing, collector: Collector) -> None:
        with tracing.operation("learn"):
            pass
        collector.wait(1)
        resource = collector.requests[0].resource_spans[0].resource
        assert {one.key: one.value.string_value for one in resource.attributes} == {
            "service.name": "engramia-test",
            "service.version": "9.9",
        }

    def test_no_text_of_anybodys_leaves(
        self, tracing: Tracing, collector: Collector, caplog: pytest.LogCaptureFixture
    ) -> None:
        with serving(application(tracing)) as served:
            for path in ("patterns/s3cr3t", "missing?token=s3cr3t", "s3cr3t", "broken?a=s3cr3t"):
                served.request(
                    "GET", f"/v1/{path}", {"Host": "s3cr3t.example", "Authorization": f"Bearer {SECRET}"}
                )
        spans = collector.wait(5)
        assert SECRET.encode() not in collector.bytes
        assert {name for span in spans.values() for name in attributes(span)} <= ATTRIBUTES
        assert attributes(spans["GET /v1/broken"])["error.type"] == "RuntimeError"
        assert spans["GET /v1/broken"].status.code == Status.STATUS_CODE_ERROR
        assert "RuntimeError" in caplog.text

    def test_probes_leave_no_trace(self, tracing: Tracing, collector: Collector) -> None:
        with serving(application(tracing)) as served:
            for _ in range(3):
                assert served.request("GET", "/v1/health/live")[0] == 200
            served.request("GET", "/v1/missing")
        assert set(collector.wait(1)) == {"GET /v1/missing"}


class TestPorts:
    def test_models_and_storage_make_spans_below_the_operation(
        self, tracing: Tracing, collector: Collector, tmp_path: Path
    ) -> None:
        memory = Memory(
            llm=None,
            embeddings=tracing.embeddings(HashEmbeddings(), "local"),
            storage=tracing.storage(JSONStorage(tmp_path), "json"),
        )
        with memory, tracing.operation("learn"):
            memory.learn(task=f"Sort {SECRET} words", code=SECRET, output=SECRET, eval_score=8.0)
        spans = collector.wait(4)
        learn = spans["engramia.learn"]
        assert {"engramia.embeddings.embed", "engramia.storage.read", "engramia.storage.write"} < set(spans)
        assert all(span.parent_span_id == learn.span_id for span in collector.spans if span is not learn)
        assert attributes(spans["engramia.embeddings.embed"]) == {
            "gen_ai.provider.name": "local",
            "gen_ai.request.model": "hash-256",
            "engramia.operation": "embed",
            "engramia.size": 1,
        }
        assert attributes(spans["engramia.storage.write"])["engramia.backend"] == "json"
        assert SECRET.encode() not in collector.bytes

    def test_a_language_model_and_its_failure(self, tracing: Tracing, collector: Collector) -> None:
        answers = [{"a": SECRET}, ProviderUnreachableError(SECRET), {"a": 1}, {"a": 2}]
        llm = tracing.llm(Pooled(ScriptedLLM(answers, model="m"), 1))
        llm.ask(QUESTION)
        first = collector.wait(1)["engramia.llm.verdict"]
        assert attributes(first) == {
            "gen_ai.provider.name": "scripted",
            "gen_ai.request.model": "m",
            "engramia.operation": "verdict",
            "engramia.size": 1,
        }
        assert first.kind == Span.SPAN_KIND_CLIENT
        with pytest.raises(ProviderUnreachableError):
            llm.ask(QUESTION)
        failed = collector.wait(2)["engramia.llm.verdict"]
        assert attributes(failed)["error.type"] == "ProviderUnreachableError"
        assert failed.status.code == Status.STATUS_CODE_ERROR
        assert isinstance(llm, Panel)
        llm.ask_all([QUESTION, QUESTION])
        assert attributes(collector.wait(3)["engramia.llm.verdict"])["engramia.size"] == 2
        assert SECRET.encode() not in collector.bytes

    def test_after_a_block_its_span_is_no_longer_the_present_one(self, tracing: Tracing) -> None:
        with tracing.operation("learn"):
            assert trace.get_current_span() is not trace.INVALID_SPAN
        with pytest.raises(KeyError), tracing.operation("learn"):
            raise KeyError
        assert trace.get_current_span() is trace.INVALID_SPAN


@contextmanager
def silence() -> Iterator[str]:
    """Accept connections and say nothing."""
    listener = socket.create_server(("127.0.0.1", 0))
    accepted: list[socket.socket] = []

    def accept() -> None:
        try:
            while True:
                accepted.append(listener.accept()[0])
        except OSError:
            return

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)
        for connection in accepted:
            connection.close()


@contextmanager
def closed() -> Iterator[str]:
    """Give the address of a port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    yield f"http://127.0.0.1:{port}"


def warnings_of(log: Log) -> list[str]:
    return [line["message"] for line in log.lines if line["level"] in ("WARNING", "ERROR", "CRITICAL")]


def eventually(log: Log, message: str) -> None:
    """Wait until the exporter's thread has said `message`."""
    end = time.monotonic() + 20
    while message not in log.text:
        assert time.monotonic() < end, log.text
        threading.Event().wait(0.01)


FIRST = "No traces are exported until the collector answers"
AGAIN = "The collector answers again"


@pytest.mark.parametrize("nobody", [closed, silence])
class TestWithoutACollector:
    def test_requests_are_as_quick_as_ever_and_one_warning_is_given(self, nobody: object, log: Log) -> None:
        with nobody() as endpoint, tracing_to(endpoint, deadline=0.2) as tracing:  # type: ignore[operator] # either
            app = application(tracing)
            with serving(app) as served:
                for _ in range(3):
                    begin = time.monotonic()
                    for _ in range(20):
                        assert served.request("GET", "/v1/patterns/p1")[0] == 200
                    # Twenty requests together are faster than one export is given up.
                    assert time.monotonic() - begin < 2
                    eventually(log, FIRST)
            # Many times what the queue holds, in one thread that must never wait.
            begin = time.monotonic()
            for _ in range(6_000):
                with tracing.operation("learn"):
                    pass
            assert time.monotonic() - begin < 5
        assert warnings_of(log) == [FIRST]

    def test_shutting_down_keeps_its_deadline(self, nobody: object, log: Log) -> None:
        with nobody() as endpoint:  # type: ignore[operator] # either
            tracing = configure(endpoint, "engramia-test", "9.9", deadline=30, delay=0.01)
            for _ in range(600):
                with tracing.operation("learn"):
                    pass
            begin = time.monotonic()
            tracing.shutdown(0.3)
            assert time.monotonic() - begin < 2
            with tracing.operation("late"):
                pass
            tracing.shutdown(0.3)
        assert log.handler.lost == 0


def test_a_collector_that_comes_back_is_told_of_once(log: Log) -> None:
    with collecting() as first, tracing_to(first.endpoint, deadline=0.5) as tracing:
        with tracing.operation("before"):
            pass
        first.wait(1)
        first.stop()
        with tracing.operation("between"):
            pass
        eventually(log, FIRST)
        with collecting(first.port) as second:
            while not second.spans:
                with tracing.operation("after"):
                    second.look(0.05)
            eventually(log, AGAIN)
            assert warnings_of(log) == [FIRST, AGAIN]


def test_what_is_left_is_sent_at_the_end(collector: Collector) -> None:
    tracing = configure(collector.endpoint, "engramia-test", "9.9", delay=60)
    with tracing.operation("last"):
        pass
    tracing.shutdown(5)
    assert set(collector.wait(1)) == {"engramia.last"}


@pytest.mark.parametrize("endpoint", ["", "localhost:4317", "ftp://x:1", "http://", "4317"])
def test_an_endpoint_that_is_no_address_is_refused(endpoint: str) -> None:
    with pytest.raises(ValueError, match=r"http://host:4317"):
        configure(endpoint, "engramia", "1")


def test_off_it_changes_nothing(log: Log) -> None:
    off = NoTracing()
    embeddings, llm = HashEmbeddings(), ScriptedLLM([])
    assert off.embeddings(embeddings, "local") is embeddings
    assert off.llm(llm) is llm
    with serving(application(off)) as served:
        assert served.request("GET", "/v1/patterns/p1", {"traceparent": TRACEPARENT})[0] == 200
    assert log.saying("inside")["trace_id"] is None
    off.shutdown()
