"""Health, version and metrics over HTTP. Nothing limits how often they are asked."""

from dataclasses import replace
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from engramia import errors
from engramia.memory.facade import Memory
from engramia.server.kit.auditing import refusals_noted
from engramia.server.kit.endpoints import guarded
from engramia.server.kit.error_responses import responses_for
from engramia.server.kit.errors import problem_of, response_of, status_of
from engramia.server.kit.lanes import Lane
from engramia.server.kit.operations import Document
from engramia.server.kit.permissions import Permission
from engramia.server.kit.services import caller_of, encoded, services_of
from engramia.server.ops import schemas
from engramia.server.ops.service import ops_of

router = APIRouter(tags=["ops"])

API_VERSION = "v1"

_JSON = "application/json"
_ALIVE = encoded(schemas.ALIVE)
_INTERNAL = HTTPStatus.INTERNAL_SERVER_ERROR


def _unlimited(permission: Permission, *kinds: type[errors.EngramiaError], example: Any) -> dict[str, Any]:
    """Return what a guarded route needs that no rate limit holds for."""
    route = guarded(permission, *kinds, example=example)
    del route["responses"][status_of(errors.RateLimitedError)]
    return route


def _public(*kinds: type[errors.EngramiaError], example: Any) -> dict[str, Any]:
    """Return what a route needs that anybody may call."""
    route = guarded(None, example=example)
    answer = {HTTPStatus.OK: route["responses"][HTTPStatus.OK]}
    return {**route, "responses": answer | responses_for(_INTERNAL, *kinds)}


@router.get(
    "/v1/health",
    summary="Is the service up?",
    operation_id="health",
    response_model=schemas.HealthAnswer,
    **_unlimited(Permission.HEALTH, example=schemas.HEALTH),
)
async def health(request: Request) -> Response:
    """Return the kind of the storage and how many patterns the project has."""
    ops, services = ops_of(request), services_of(request)
    memory = services.memory_of(caller_of(request).scope)
    count = await services.lanes.run(Lane.QUICK, lambda: _count(memory))
    document = {
        "status": "ok",
        "storage": ops.storage_kind,
        "pattern_count": count,
        "version": ops.build.app_version,
    }
    return Response(encoded(document), media_type=_JSON)


@router.get(
    "/v1/health/live",
    summary="Does the process answer?",
    operation_id="health_live",
    response_model=schemas.Alive,
    **_public(example=schemas.ALIVE),
)
async def live() -> Response:
    """Answer, for load balancers; touches nothing and reveals nothing."""
    return Response(_ALIVE, media_type=_JSON)


@router.get(
    "/v1/version",
    summary="Which release is this?",
    operation_id="version",
    response_model=schemas.Version,
    **_public(example=schemas.VERSION),
)
async def version(request: Request) -> Response:
    """Return the release and what it was built from."""
    build = ops_of(request).build
    document = {
        "app_version": build.app_version,
        "api_version": API_VERSION,
        "git_commit": build.git_commit,
        "build_time": build.build_time,
    }
    return Response(encoded(document), media_type=_JSON)


_deep = _unlimited(Permission.HEALTH, example=schemas.DEEP)
_deep["responses"][status_of(errors.StorageError)] |= {
    "model": schemas.DeepHealthDown,
    "description": "The storage is down: the same body, and what is wrong.",
    "content": {_JSON: {"example": schemas.DEEP_DOWN}},
}


@router.get(
    "/v1/health/deep",
    summary="How is everything that the service stands on?",
    operation_id="health_deep",
    response_model=schemas.DeepHealthAnswer,
    **_deep,
)
async def deep(request: Request) -> Response:
    """Probe storage, language model and embeddings at once, each for 5 s at most.

    What the probes of the models found is told again for 10 s, however often this is asked.
    """
    ops = ops_of(request)
    engine = services_of(request).memory_of(caller_of(request).scope).engine
    report = await ops.health.report(engine)
    document: Document = {
        "status": report.status,
        "version": ops.build.app_version,
        "uptime_seconds": ops.uptime_seconds,
        "checks": report.checks,
    }
    if report.failure is not None:
        return response_of(replace(problem_of(report.failure), facts=document))
    return Response(encoded(document), media_type=_JSON)


_metrics = _public(
    errors.AuthenticationError, errors.NotFoundError, errors.UnavailableError, example=schemas.METRICS
)
_metrics["responses"][HTTPStatus.OK] = {
    "description": "Done.",
    "content": {"text/plain": {"schema": {"type": "string"}, "example": schemas.METRICS}},
}


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    operation_id="prometheus",
    response_class=Response,
    **_metrics,
)
async def metrics(request: Request) -> Response:
    """Return the metrics as text, or as OpenMetrics for who prefers it; 404 unless `ENGRAMIA_METRICS` is on.

    With `ENGRAMIA_METRICS_TOKEN` that token is asked for: `Authorization: Bearer <token>`.
    """
    ops = ops_of(request)
    exposition = ops.metrics
    if exposition is None:
        raise errors.NotFoundError("There is nothing at this path.")
    with refusals_noted(request):
        ops.metrics_token.check(request.headers)
    accept = request.headers.get("accept")
    media_type, body = await services_of(request).lanes.run(Lane.QUICK, lambda: exposition.render(accept))
    return Response(body, headers={"Content-Type": media_type})


def _count(memory: Memory) -> int:
    with memory.engine.storage.reading() as stores:
        return stores.patterns.count()
