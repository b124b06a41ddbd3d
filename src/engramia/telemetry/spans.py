"""What leaves the house in a span: names, numbers and codes; no text of anybody's."""

from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Status

from engramia.telemetry.logging import logger

ATTRIBUTES = frozenset(
    {
        "code.function.name",
        "engramia.backend",
        "engramia.operation",
        "engramia.project_id",
        "engramia.question",
        "engramia.request_id",
        "engramia.size",
        "engramia.tenant_id",
        "error.type",
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "http.request.method",
        "http.response.status_code",
        "http.route",
        "network.protocol.name",
        "network.protocol.version",
        "url.scheme",
    }
)
"""All that may be exported. The path and query of an address, and the host a client named, hold anything."""

ATTRIBUTE_MAX_CHARS = 200

_log = logger("engramia.telemetry")


class Plain(SpanExporter):
    """Exports spans without what may hold text: other attributes, events, links, descriptions of a status.

    It tells the log once when `inner` begins to fail, and once when that is over.
    """

    def __init__(self, inner: SpanExporter, endpoint: str) -> None:
        self._inner = inner
        self._endpoint = endpoint
        self._failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export a batch; called by one thread at a time, never by one that serves a request."""
        result = self._exported([plain(span) for span in spans])
        failing = result is not SpanExportResult.SUCCESS
        if failing and not self._failing:
            _log.warning("No traces are exported until the collector answers", endpoint=self._endpoint)
        elif self._failing and not failing:
            _log.warning("The collector answers again", endpoint=self._endpoint)
        self._failing = failing
        return result

    def _exported(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            return self._inner.export(spans)
        except Exception:  # noqa: BLE001 - a span is never worth a failure, and the caller logs every one
            return SpanExportResult.FAILURE

    def shutdown(self, timeout_millis: float = 30_000) -> None:
        """Close the connection, within `timeout_millis` if it can be done."""
        del timeout_millis  # closing a channel does not wait
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flush the inner exporter."""
        return self._inner.force_flush(timeout_millis)


def plain(span: ReadableSpan) -> ReadableSpan:
    """Return a copy of `span` that holds nothing but what `ATTRIBUTES` allows."""
    return ReadableSpan(
        name=span.name[:ATTRIBUTE_MAX_CHARS],
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=_allowed(span.attributes or {}),
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _allowed(attributes: Mapping[str, Any]) -> dict[str, str | bool | int | float]:
    return {
        name: value[:ATTRIBUTE_MAX_CHARS] if isinstance(value, str) else value
        for name, value in attributes.items()
        if name in ATTRIBUTES and isinstance(value, str | bool | int | float)
    }
