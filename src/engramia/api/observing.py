"""Metrics and traces, as the parts of the service are told of them."""

from contextlib import AbstractContextManager
from typing import Any

from engramia.core.embedding import Embeddings
from engramia.core.llm import LLM
from engramia.core.model import Scope
from engramia.core.ports import Storage
from engramia.providers.wrappers import Measured
from engramia.server.kit.operations import Document
from engramia.server.memory.schemas import RecallRequest
from engramia.settings import Settings
from engramia.telemetry import tracing
from engramia.telemetry.metrics import Metrics

_SERVICE = "engramia"


class Observing:
    """Watches the adapters (`bootstrap.Watch`) and the service (`kit.services.Observer`)."""

    def __init__(self, settings: Settings, version: str) -> None:
        """Count where metrics are on, trace where telemetry is; raises `ValueError` for a bad endpoint."""
        self.metrics = Metrics(folder=settings.metrics_path) if settings.metrics else None
        self.tracing = (
            tracing.configure(settings.otel_endpoint, _SERVICE, version)
            if settings.telemetry
            else tracing.NoTracing()
        )

    def storage(self, storage: Storage, backend: str) -> Storage:
        """Return `storage` with its transactions timed and traced."""
        counted = storage if self.metrics is None else self.metrics.storage(storage, backend)
        return self.tracing.storage(counted, backend)

    def embeddings(self, embeddings: Embeddings, provider: str) -> Embeddings:
        """Return `embeddings` with its calls timed and traced."""
        counted = embeddings if self.metrics is None else self.metrics.embeddings(embeddings, provider)
        return self.tracing.embeddings(counted, provider)

    def model(self, llm: LLM) -> LLM:
        """Return `llm` with its calls timed."""
        return llm if self.metrics is None else Measured(llm, self.metrics.llm_call)

    def llm(self, llm: LLM) -> LLM:
        """Return `llm` with a span for each question."""
        return self.tracing.llm(llm)

    def around(self, operation: str, scope: Scope, requests: int) -> AbstractContextManager[object]:
        """Return a span around the work on some requests of an operation."""
        return self.tracing.operation(
            operation, tenant_id=scope.tenant_id, project_id=scope.project_id, size=requests
        )

    def answered(self, operation: str, body: Any, document: Document) -> None:
        """Count a recall as hit or miss; its later pages are no recalls of their own."""
        del operation
        if self.metrics is not None and isinstance(body, RecallRequest) and body.offset == 0:
            self.metrics.recalled(len(document["matches"]))

    def job_submitted(self, operation: str) -> None:
        """Count a job."""
        if self.metrics is not None:
            self.metrics.job_submitted(operation)

    def job_ended(self, operation: str, status: str) -> None:
        """Count a job's end."""
        if self.metrics is not None:
            self.metrics.job_completed(operation, status)
