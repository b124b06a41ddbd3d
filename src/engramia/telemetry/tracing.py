"""Traces: spans of requests, operations, models and storage, sent to an OpenTelemetry collector."""

import logging
import threading
from collections.abc import MutableMapping
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from fastapi.telemetry import TelemetryConfig
from opentelemetry import context as current
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased
from opentelemetry.trace import Span, SpanKind, StatusCode

from engramia.core.embedding import Embeddings
from engramia.core.llm import LLM
from engramia.core.ports import Storage
from engramia.telemetry.spans import Plain
from engramia.telemetry.watched import WatchedEmbeddings, WatchedStorage, watched_llm

UNTRACED = frozenset({"/metrics", "/v1/health/live"})
"""Paths that machines ask every few seconds."""

_QUEUED_SPANS = 2_048
_BATCH_SPANS = 512
_LIBRARY_LOGGERS = (
    "opentelemetry.exporter.otlp.proto.grpc.exporter",
    "opentelemetry.sdk._shared_internal",
)


class Tracing:
    """Tracing that is on: what is wrapped by it makes spans. Made by `configure`."""

    def __init__(self, provider: TracerProvider, exporter: SpanExporter) -> None:
        self.provider = provider
        self._exporter = exporter
        self._tracer = provider.get_tracer("engramia")

    def fastapi(self) -> TelemetryConfig:
        """Return what `FastAPI(telemetry=...)` takes: spans of requests, continuing W3C `traceparent`."""
        return TelemetryConfig(
            tracer_provider=self.provider,
            tracing=True,
            metrics=False,
            logs=False,
            operation_spans=False,
            auto_configure=False,
            exclude=_untraced,
        )

    def operation(self, name: str, /, **attributes: str | int | None) -> AbstractContextManager[object]:
        """Return what stands around an operation of the engine, such as `recall`.

        Of the attributes (`tenant_id`, `project_id`, `request_id`, `size`) those in `spans.ATTRIBUTES` are
        exported, as `engramia.<name>`.
        """
        given = {f"engramia.{key}": value for key, value in attributes.items() if value is not None}
        return _Spanned(self._tracer, f"engramia.{name}", {"engramia.operation": name, **given})

    def embeddings(self, embeddings: Embeddings, provider: str, /) -> Embeddings:
        """Return `embeddings` with a span for each call."""
        facts = {"gen_ai.provider.name": provider, "gen_ai.request.model": embeddings.model}
        return WatchedEmbeddings(embeddings, self._watch("engramia.embeddings.{}", facts, SpanKind.CLIENT))

    def llm(self, llm: LLM) -> LLM:
        """Return `llm` with a span for each call; put it outside `Pooled`, in the caller's thread."""
        facts = {"gen_ai.provider.name": llm.vendor, "gen_ai.request.model": llm.model}
        return watched_llm(llm, self._watch("engramia.llm.{}", facts, SpanKind.CLIENT))

    def storage(self, storage: Storage, backend: str, /) -> Storage:
        """Return `storage` with a span for each transaction."""
        facts = {"engramia.backend": backend}
        return WatchedStorage(storage, self._watch("engramia.storage.{}", facts, SpanKind.INTERNAL))

    def shutdown(self, timeout: float = 5.0) -> None:
        """Export what is left, within `timeout` seconds; what is traced later is dropped."""
        # The library's own shutdown waits for half a minute, and cannot be told otherwise.
        farewell = threading.Thread(target=self.provider.shutdown, name="engramia-traces-end", daemon=True)
        farewell.start()
        farewell.join(timeout)
        if farewell.is_alive():
            self._exporter.shutdown()

    def _watch(self, name: str, facts: dict[str, str], kind: SpanKind) -> "_Spans":
        return _Spans(self._tracer, name, facts, kind)


class NoTracing:
    """Tracing that is off: everything stays as it is."""

    def fastapi(self) -> TelemetryConfig:
        """Return what `FastAPI(telemetry=...)` takes to leave out its own spans, metrics and logs."""
        return TelemetryConfig(tracing=False, metrics=False, logs=False, auto_configure=False)

    def operation(self, _name: str, /, **_attributes: str | int | None) -> AbstractContextManager[object]:
        """Return what does nothing around a block."""
        return nullcontext()

    def embeddings(self, embeddings: Embeddings, _provider: str, /) -> Embeddings:
        """Return `embeddings`."""
        return embeddings

    def llm(self, llm: LLM) -> LLM:
        """Return `llm`."""
        return llm

    def storage(self, storage: Storage, _backend: str, /) -> Storage:
        """Return `storage`."""
        return storage

    def shutdown(self, timeout: float = 5.0) -> None:
        """Do nothing."""


def configure(
    endpoint: str,
    service_name: str,
    version: str,
    *,
    deadline: float = 5.0,
    delay: float = 1.0,
) -> Tracing:
    """Return tracing to the OTLP collector at `endpoint`, `http://host:4317` or with https.

    Spans are sent every `delay` seconds by a thread of its own, each batch within `deadline` seconds. While
    the collector does not answer they queue up to a bound, and then are dropped: no request waits for it.
    Nothing global is set.
    Raises `ValueError` for an endpoint that is no address.
    """
    _check(endpoint)
    for name in _LIBRARY_LOGGERS:
        # They tell of every batch; `Plain` tells of the first.
        logging.getLogger(name).setLevel(logging.CRITICAL)
    exporter = OTLPSpanExporter(endpoint=endpoint, timeout=deadline)
    processor = BatchSpanProcessor(
        Plain(exporter, endpoint),
        max_queue_size=_QUEUED_SPANS,
        schedule_delay_millis=delay * 1000,
        max_export_batch_size=_BATCH_SPANS,
        export_timeout_millis=deadline * 1000,
    )
    provider = TracerProvider(
        resource=Resource({"service.name": service_name, "service.version": version}),
        sampler=ParentBased(ALWAYS_ON),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(processor)
    return Tracing(provider, exporter)


def _check(endpoint: str) -> None:
    address = urlsplit(endpoint)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise ValueError(
            f"The address of the trace collector must look like http://host:4317; got {endpoint!r}."
        )


def _untraced(scope: MutableMapping[str, Any]) -> bool:
    return scope.get("path") in UNTRACED


class _Spans:
    """Watches calls by a span each."""

    def __init__(self, tracer: trace.Tracer, name: str, facts: dict[str, str], kind: SpanKind) -> None:
        self._tracer = tracer
        self._name = name
        self._facts = facts
        self._kind = kind

    def __call__(self, name: str, size: int, /) -> AbstractContextManager[object]:
        facts = {**self._facts, "engramia.operation": name, "engramia.size": size}
        return _Spanned(self._tracer, self._name.format(name), facts, self._kind)


class _Spanned:
    """A block with a span around it, which is the current one inside; only the class of an error is kept."""

    __slots__ = ("_facts", "_kind", "_name", "_span", "_token", "_tracer")

    def __init__(
        self,
        tracer: trace.Tracer,
        name: str,
        facts: dict[str, Any],
        kind: SpanKind = SpanKind.INTERNAL,
    ) -> None:
        self._tracer = tracer
        self._name = name
        self._facts = facts
        self._kind = kind

    def __enter__(self) -> Span:
        self._span = self._tracer.start_span(self._name, kind=self._kind, attributes=self._facts)
        self._token = current.attach(trace.set_span_in_context(self._span))
        return self._span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        current.detach(self._token)
        if error is not None and kind is not None:
            self._span.set_attribute("error.type", kind.__qualname__)
            self._span.set_status(StatusCode.ERROR)
        self._span.end()
