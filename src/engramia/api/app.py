"""`create_app`: the service put together from its slices and the settings."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, Literal

from fastapi import FastAPI
from pydantic import SecretStr
from starlette.routing import Route

from engramia.api.front import edge_of, holders_of, keys_of
from engramia.api.observing import Observing
from engramia.api.openapi import document_of
from engramia.api.pauses import short_pauses
from engramia.api.work import trail_of, worker_of
from engramia.bootstrap import Adapters, choose_embeddings, new_job_id
from engramia.core.embedding import Embeddings
from engramia.core.llm import LLM
from engramia.core.ports import Clock, Storage
from engramia.mcp import endpoint as mcp_endpoint
from engramia.memory.facade import Memory
from engramia.server import database_only
from engramia.server.audit import endpoints as audit_endpoints
from engramia.server.identity.choice import refuse_unsafe
from engramia.server.identity.settings_check import AuthChoice
from engramia.server.jobs import endpoints as job_endpoints
from engramia.server.jobs.queue import JobQueue
from engramia.server.jobs.worker import Worker
from engramia.server.keys import endpoints as key_endpoints
from engramia.server.keys.endpoints import Keys
from engramia.server.kit.authentication import MetricsToken
from engramia.server.kit.errors import EXCEPTION_HANDLERS
from engramia.server.kit.fallback_windows import FallbackRateLimiter
from engramia.server.kit.lanes import QUICK_AT_HOME, Lanes
from engramia.server.kit.routes import OperationRoute
from engramia.server.kit.services import Services, Submission
from engramia.server.kit.windows import RateLimiter
from engramia.server.memory import endpoints as memory_endpoints
from engramia.server.memory.operations import OPERATIONS
from engramia.server.ops import endpoints as ops_endpoints
from engramia.server.ops import pages
from engramia.server.ops.health import Health
from engramia.server.ops.service import Build, Ops
from engramia.server.ops.totals import totals_of
from engramia.server.ops.writing import writes_into
from engramia.settings import Settings, StorageKind
from engramia.telemetry.requests import RequestMetrics
from engramia.telemetry.templates import Templates

_AUDIT_SECONDS = 5.0
"""For what the audit trail has still to write at the end."""
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
    refuse_unsafe(AuthChoice.of(settings))
    observing = Observing(settings, version("engramia"))
    adapters = Adapters(
        settings, storage=storage, embeddings=embeddings, llm=llm, clock=clock, watch=observing
    )
    trail = trail_of(adapters)
    keys = keys_of(adapters, settings, trail.tell)
    holders = holders_of(adapters, settings, keys, trail.tell)
    edge = edge_of(settings, holders, trail.note)
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
        trail=trail,
    )
    worker = worker_of(adapters, settings, observing, wake=wake, trail=trail) if settings.job_worker else None
    mcp = mcp_endpoint.Endpoint(services, edge)
    audited = partial(asyncio.to_thread, trail.close, _AUDIT_SECONDS)
    closing = (mcp.close, edge.limiter.close, *(() if holders is None else (holders.close,)), audited)
    app = _empty(observing, _lifespan(adapters, services, worker, settings, observing, closing))
    app.state.services = services
    app.state.keys = keys and Keys(keys, _secret(settings.bootstrap_token))
    app.state.drain = worker.drain if worker is not None else _nothing
    app.state.audit = trail
    app.state.ops = _ops(settings, adapters, services, observing, edge.limiter)
    app.add_middleware(edge.around)
    if observing.metrics is not None:
        app.add_middleware(RequestMetrics, metrics=observing.metrics, template=Templates(lambda: app.routes))
    _add_routes(app)
    if find_spec("mcp") is not None:
        app.router.routes.append(Route(mcp_endpoint.PATH, mcp, include_in_schema=False))
    return app


def _empty(observing: Observing, lifespan: Any) -> FastAPI:
    """Return an app without routes."""
    app = FastAPI(
        title="Engramia",
        summary="Memory for AI agents: store runs, find them again, know how far to trust them.",
        version=version("engramia"),
        lifespan=lifespan,
        telemetry=observing.tracing.fastapi(),
        openapi_url="/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    for kind, handler in EXCEPTION_HANDLERS.items():
        app.add_exception_handler(kind, handler)
    return app


def _lanes(settings: Settings) -> Lanes:
    """Return the threads for what is asked of the memory: many where they wait for a network, few else."""
    at_home = settings.storage is StorageKind.JSON and choose_embeddings(settings).kind != "openai"
    return Lanes(QUICK_AT_HOME) if at_home else Lanes()


def _nothing() -> None:
    """Do nothing."""


def _secret(given: SecretStr | None) -> str | None:
    return None if given is None else given.get_secret_value()


def _submitted(queue: JobQueue, asked: Submission) -> str:
    author, unit = asked.author, asked.unit
    return queue.submit(asked.scope, asked.operation, asked.request, author=author, unit=unit).id


def _ops(
    settings: Settings, adapters: Adapters, services: Services, observing: Observing, limiter: RateLimiter
) -> Ops:
    if observing.metrics is not None:
        observing.metrics.tell_totals(totals_of(adapters.storage, adapters.clock))
    json = settings.storage is StorageKind.JSON
    token = settings.metrics_token
    return Ops(
        build=Build(version("engramia"), settings.git_commit, settings.build_time),
        storage_kind=settings.storage.value,
        health=Health(
            services.lanes,
            writes_into(settings.data_path) if json else None,
            check_limits=limiter.check if isinstance(limiter, FallbackRateLimiter) else None,
            look_at_replica=None if adapters.replica is None else adapters.replica.look,
        ),
        metrics=observing.metrics,
        metrics_token=MetricsToken(None if token is None else token.get_secret_value()),
    )


def _lifespan(
    adapters: Adapters,
    services: Services,
    worker: Worker | None,
    settings: Settings,
    observing: Observing,
    closing: Sequence[Callable[[], Awaitable[None]]],
) -> Any:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        if worker is not None:
            worker.start()
        try:
            with short_pauses():
                yield
        finally:
            if worker is not None:
                worker.stop(settings.shutdown_timeout)
            for close in closing:
                await close()
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
        key_endpoints.router,
        ops_endpoints.router,
        audit_endpoints.router,
        pages.router,
        database_only.router(),
    ):
        app.router.routes.extend(router.routes)
    app.openapi = lambda: _documented(app)  # type: ignore[method-assign]  # FastAPI's own way to replace it


def _documented(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        app.openapi_schema = document_of(app)
    return app.openapi_schema
