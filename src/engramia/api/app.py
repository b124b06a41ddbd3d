"""`create_app`: the service put together from its slices and the settings."""

import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, Literal

from fastapi import FastAPI
from starlette.routing import Route

from engramia.api.observing import Observing
from engramia.api.openapi import document_of
from engramia.bootstrap import Adapters, choose_embeddings, new_job_id
from engramia.core.embedding import Embeddings
from engramia.core.jobs import JobError, JobStatus
from engramia.core.llm import LLM
from engramia.core.model import Scope
from engramia.core.ports import Clock, ScopedStorage, Storage
from engramia.mcp import endpoint as mcp_endpoint
from engramia.memory.facade import Memory
from engramia.server import database_only
from engramia.server.identity.choice import static_authenticator
from engramia.server.identity.settings_check import AuthChoice
from engramia.server.jobs import endpoints as job_endpoints
from engramia.server.jobs.equipment import Equipment, Pace
from engramia.server.jobs.handlers import JobHandler
from engramia.server.jobs.queue import JobQueue
from engramia.server.jobs.worker import Worker
from engramia.server.kit.authentication import MetricsToken
from engramia.server.kit.caller import Caller
from engramia.server.kit.edge import Edge
from engramia.server.kit.errors import EXCEPTION_HANDLERS, job_error_of
from engramia.server.kit.lanes import QUICK_AT_HOME, Lanes
from engramia.server.kit.operations import Asked, Document, Operation
from engramia.server.kit.peer import Peers
from engramia.server.kit.permissions import Role
from engramia.server.kit.rate_limit import Limits
from engramia.server.kit.routes import OperationRoute
from engramia.server.kit.services import Services, Submission
from engramia.server.kit.windows import MemoryRateLimiter
from engramia.server.memory import endpoints as memory_endpoints
from engramia.server.memory.operations import IMPORT, OPERATIONS
from engramia.server.ops import endpoints as ops_endpoints
from engramia.server.ops import pages
from engramia.server.ops.health import Health
from engramia.server.ops.service import Build, Ops
from engramia.server.ops.totals import totals_of
from engramia.server.ops.writing import writes_into
from engramia.settings import Settings, StorageKind
from engramia.telemetry.audit import audit
from engramia.telemetry.logging import bind, clear
from engramia.telemetry.requests import RequestMetrics
from engramia.telemetry.templates import Templates

_ROWS = {operation.name: operation for operation in OPERATIONS}


def create_app(
    settings: Settings | None = None,
    *,
    storage: Storage | None = None,
    embeddings: Embeddings | Literal["default"] | None = "default",
    llm: LLM | Literal["default"] | None = "default",
    clock: Clock | None = None,
) -> FastAPI:
    """Return the service as an ASGI app; what is not given comes from the settings (`ENGRAMIA_*`).

    Raises `ValueError` with a sentence for settings that are unsafe together.
    """
    settings = settings or Settings()
    edge = edge_of(settings)
    observing = Observing(settings, version("engramia"))
    adapters = Adapters(
        settings, storage=storage, embeddings=embeddings, llm=llm, clock=clock, watch=observing
    )
    wake = threading.Event()
    queue = JobQueue(
        adapters.storage, adapters.clock, new_job_id, wake=wake, on_submitted=observing.job_submitted
    )
    services = Services(
        storage=adapters.storage,
        memory_of=lambda scope: Memory(adapters.engine(scope)),
        operations=_ROWS,
        submit=lambda asked: _submitted(queue, asked),
        observer=observing,
        lanes=_lanes(settings),
    )
    worker = worker_of(adapters, settings, observing, wake=wake) if settings.job_worker else None
    mcp = mcp_endpoint.Endpoint(services, edge)
    app = FastAPI(
        title="Engramia",
        summary="Memory for AI agents: store runs, find them again, know how far to trust them.",
        version=version("engramia"),
        lifespan=_lifespan(adapters, services, worker, settings, observing, mcp),
        telemetry=observing.tracing.fastapi(),
        openapi_url="/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    for kind, handler in EXCEPTION_HANDLERS.items():
        app.add_exception_handler(kind, handler)
    app.state.services = services
    app.state.drain = worker.drain if worker is not None else _nothing
    app.state.ops = _ops(settings, adapters, services, observing)
    app.add_middleware(edge.around)
    if observing.metrics is not None:
        app.add_middleware(RequestMetrics, metrics=observing.metrics, template=Templates(lambda: app.routes))
    _add_routes(app)
    if find_spec("mcp") is not None:
        app.router.routes.append(Route(mcp_endpoint.PATH, mcp, include_in_schema=False))
    return app


def _lanes(settings: Settings) -> Lanes:
    """Return the threads for what is asked of the memory: many where they wait for a network, few else."""
    at_home = settings.storage is StorageKind.JSON and choose_embeddings(settings).kind != "openai"
    return Lanes(QUICK_AT_HOME) if at_home else Lanes()


def edge_of(settings: Settings) -> Edge:
    """Return what stands in front of the endpoints; raises `ValueError` for settings that are unsafe."""
    return Edge(
        authenticator=static_authenticator(
            AuthChoice.of(settings), role=Role(settings.env_auth_role), cors_origins=settings.cors_origins
        ),
        limiter=MemoryRateLimiter(time.monotonic),
        limits=Limits(
            standard=settings.rate_limit_default,
            expensive=settings.rate_limit_expensive,
            per_key=settings.rate_limit_per_key,
        ),
        peers=Peers(settings.trusted_proxies),
        audit=audit,
        bind_request_id=_begin_log,
        bind_caller=_name_in_log,
        max_body_size=settings.max_body_size,
        max_body_sizes={IMPORT.path: settings.max_import_body_size},
        cors_origins=settings.cors_origins,
        maintenance=settings.maintenance,
        page_policies={"/docs": pages.POLICY},
    )


def worker_of(
    adapters: Adapters,
    settings: Settings,
    observing: Observing | None = None,
    *,
    wake: threading.Event | None = None,
) -> Worker:
    """Return a worker over the adapters, not yet started; `wake` is set by who hands in a job here."""
    observing = observing or Observing(settings, version("engramia"))
    deadline = timedelta(seconds=settings.job_timeout)
    equipment = Equipment(
        handlers={row.name: _handler(row, deadline, observing) for row in OPERATIONS if row.job is not None},
        memory_for=lambda scope, storage: _memory(adapters, scope, storage),
        describe_error=lambda error: JobError(*job_error_of(error)),
        clock=adapters.clock,
        name=f"{socket.gethostname()}:{os.getpid()}",
        pace=Pace(poll_interval=settings.job_poll_interval, max_concurrent=settings.job_max_concurrent),
        on_finished=lambda operation, status: _ended(observing, operation, status),
    )
    return Worker(adapters.storage, equipment, wake=wake)


def _nothing() -> None:
    """Do nothing."""


def _begin_log(request_id: str) -> None:
    clear()
    bind(request_id=request_id)


def _name_in_log(caller: Caller) -> None:
    bind(tenant_id=caller.scope.tenant_id, project_id=caller.scope.project_id)


def _memory(adapters: Adapters, scope: Scope, storage: ScopedStorage) -> Memory:
    return Memory(adapters.engine(scope, storage))


def _handler(operation: Operation[Any], deadline: timedelta, observing: Observing) -> JobHandler:
    form = operation.job
    if form is None:
        raise ValueError(f"{operation.name} cannot be a job.")
    stored = form.stored

    def run(memory: Memory, request: Mapping[str, Any]) -> Document:
        with observing.tracing.operation(operation.name):
            return operation.run(memory, Asked(stored.model_validate(request)))

    return JobHandler(run, deadline)


def _submitted(queue: JobQueue, asked: Submission) -> str:
    return queue.submit(asked.scope, asked.operation, asked.request, author=asked.author).id


def _ended(observing: Observing, operation: str, status: JobStatus) -> None:
    observing.job_ended(operation, status.value)


def _ops(settings: Settings, adapters: Adapters, services: Services, observing: Observing) -> Ops:
    if observing.metrics is not None:
        observing.metrics.tell_totals(totals_of(adapters.storage, adapters.clock))
    json = settings.storage is StorageKind.JSON
    token = settings.metrics_token
    return Ops(
        build=Build(version("engramia"), settings.git_commit, settings.build_time),
        storage_kind=settings.storage.value,
        health=Health(services.lanes, writes_into(settings.data_path) if json else None),
        metrics=observing.metrics,
        metrics_token=MetricsToken(None if token is None else token.get_secret_value()),
    )


def _lifespan(
    adapters: Adapters,
    services: Services,
    worker: Worker | None,
    settings: Settings,
    observing: Observing,
    mcp: mcp_endpoint.Endpoint,
) -> Any:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        if worker is not None:
            worker.start()
        try:
            yield
        finally:
            if worker is not None:
                worker.stop(settings.shutdown_timeout)
            await mcp.close()
            services.lanes.close()
            adapters.close()
            observing.tracing.shutdown()

    return lifespan


def _add_routes(app: FastAPI) -> None:
    for operation in OPERATIONS:
        app.router.routes.append(OperationRoute(operation))
    for router in (
        memory_endpoints.router,
        job_endpoints.router,
        ops_endpoints.router,
        pages.router,
        database_only.router(),
    ):
        app.router.routes.extend(router.routes)
    app.openapi = lambda: _documented(app)  # type: ignore[method-assign]  # FastAPI's own way to replace it


def _documented(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        app.openapi_schema = document_of(app)
    return app.openapi_schema
