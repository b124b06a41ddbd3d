"""An OpenTelemetry collector: the real protocol on a real port."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc  # type: ignore[import-untyped] # it has none
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Collector(TraceServiceServicer):
    """Keeps what it is sent."""

    def __init__(self, port: int = 0) -> None:
        self._server = grpc.server(ThreadPoolExecutor(2))
        add_TraceServiceServicer_to_server(self, self._server)  # type: ignore[no-untyped-call] # generated
        self.port: int = self._server.add_insecure_port(f"127.0.0.1:{port}")
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._server.start()
        self.requests: list[ExportTraceServiceRequest] = []
        self._arrived = threading.Condition()

    def Export(self, request: ExportTraceServiceRequest, context: Any) -> ExportTraceServiceResponse:  # noqa: N802, ARG002 - the protocol's names
        with self._arrived:
            self.requests.append(request)
            self._arrived.notify_all()
        return ExportTraceServiceResponse()

    @property
    def spans(self) -> list[Span]:
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def wait(self, number: int) -> dict[str, Span]:
        """Return the spans by name as soon as there are `number`."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.spans) >= number, 20)
        return {span.name: span for span in self.spans}

    def look(self, seconds: float) -> None:
        """Wait for something to arrive, at most so long."""
        with self._arrived:
            self._arrived.wait_for(lambda: self.requests, seconds)

    def stop(self) -> None:
        """Go away."""
        self._server.stop(0).wait(10)

    @property
    def bytes(self) -> bytes:
        """All that left the house."""
        return b"".join(request.SerializeToString() for request in self.requests)


@contextmanager
def collecting(port: int = 0) -> Iterator[Collector]:
    """Run a collector."""
    collector = Collector(port)
    try:
        yield collector
    finally:
        collector.stop()


def attributes(span: Span) -> dict[str, str | int]:
    """Return a span's attributes."""
    return {
        one.key: one.value.string_value if one.value.HasField("string_value") else one.value.int_value
        for one in span.attributes
    }
