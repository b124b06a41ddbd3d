"""An operation as a route: read, check, do it now or leave it as a job, answer.

FastAPI documents the route; it is handled here, for the general way of its dependencies costs several times
what a recall does.
"""

import inspect
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any

import orjson
from fastapi import Body, Header
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from engramia import errors
from engramia.memory.asking import configured
from engramia.server.kit import schemas
from engramia.server.kit.auditing import asked_by
from engramia.server.kit.bodies import check_media_type, parsed, received
from engramia.server.kit.endpoints import ERRORS_OF_ALL, ERRORS_OF_BODIES, PATTERN_KEY
from engramia.server.kit.error_responses import responses_for
from engramia.server.kit.idempotency_header import IDEMPOTENCY_KEY
from engramia.server.kit.lanes import Lane
from engramia.server.kit.once import HEADER, REPLAYED, Outcome, key_of
from engramia.server.kit.operations import Asked, NoBody, Operation
from engramia.server.kit.order import Order
from engramia.server.kit.paths import route_path
from engramia.server.kit.prefer import RESPOND_ASYNC, wants_async
from engramia.server.kit.services import Services, caller_of, services_of

_INLINE_BYTES = 1 << 16
"""Larger bodies are read in a thread: the loop has others to serve."""
_JSON = "application/json"

PREFER = Header(
    description="`respond-async` asks for a job in place of an answer (RFC 7240).", examples=[RESPOND_ASYNC]
)

_REPLAYED = {
    REPLAYED: {"description": "`true` on the answer to a request sent again.", "schema": {"type": "string"}}
}

_ERRORS_OF_MODELS = (
    errors.ProviderNotConfiguredError,
    errors.ProviderOutputError,
    errors.ProviderTimeoutError,
)


class OperationRoute(APIRoute):
    """Serves one operation."""

    def __init__(self, operation: Operation[Any]) -> None:
        self.operation = operation
        super().__init__(
            operation.path,
            _documented(operation),
            methods=["POST"],
            response_model=operation.response,
            responses=_responses(operation),
            tags=[operation.tag],
            summary=operation.summary,
            description=operation.description,
            operation_id=operation.name,
            openapi_extra={"x-permission": operation.permission.value},
        )

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Say whether this is a request's route; where it has no parameters, by the path itself."""
        if not self.param_convertors and scope["type"] == "http" and route_path(scope) != self.path:
            return Match.NONE, {}
        return super().matches(scope)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; errors go up to the app's exception handlers."""
        if scope["method"] not in (self.methods or ()):
            await super().handle(scope, receive, send)
            return
        response = await _respond(self.operation, Request(scope, receive))
        await response(scope, receive, send)


async def _respond(operation: Operation[Any], request: Request) -> Response:
    caller, services = caller_of(request), services_of(request)
    caller.require(operation.permission)
    body = await _read(operation, request, services)
    memory = services.memory_at(caller.workspace)
    if operation.needs_llm:
        configured(memory.engine.llm, operation.name)
    by = asked_by(request, caller) if operation.audited else None
    asked = Asked(body, caller.key_id, request.path_params.get("key", ""), by)
    order = Order(operation, services, caller, asked)
    later = operation.job is not None and wants_async(request.headers.getlist("prefer"))
    job = operation.job if later else None
    lane = operation.lane
    if job is not None and lane is not Lane.BULK:
        # Redacting a body may take a while; only imports are so large that they would hold up others.
        lane = Lane.QUICK
    if operation.once is not None and HEADER in request.headers:
        do_once = partial(order.once, operation.once, key_of(request), job)
        return _told(await services.lanes.run(lane, do_once))
    if job is not None:
        return _accepted(await services.lanes.run(lane, partial(order.leave, job)))
    if operation.run_many is not None:
        content = await services.batches[operation.name].ask(caller.workspace, order.asked)
    else:
        content = await services.lanes.run(lane, order.now)
    return Response(content, media_type=_JSON)


def _told(outcome: Outcome) -> Response:
    if outcome.status == HTTPStatus.ACCEPTED:
        response = _accepted(outcome.content)
    else:
        response = Response(outcome.content, outcome.status, media_type=_JSON)
    if outcome.is_replay:
        response.headers[REPLAYED] = "true"
    return response


def _accepted(content: bytes) -> Response:
    headers = {"Location": f"/v1/jobs/{orjson.loads(content)['job_id']}", "Preference-Applied": RESPOND_ASYNC}
    return Response(content, HTTPStatus.ACCEPTED, headers, _JSON)


async def _read(operation: Operation[Any], request: Request, services: Services) -> Any:
    """Return the request's body, checked against the operation's form."""
    raw = await received(request)
    if operation.request is NoBody and not raw.strip():
        return NoBody()
    check_media_type(request.headers.get("content-type"))
    if len(raw) <= _INLINE_BYTES:
        return parsed(operation.request, raw)
    return await services.lanes.run(operation.lane, partial(parsed, operation.request, raw))


def _responses(operation: Operation[Any]) -> dict[int | str, dict[str, Any]]:
    answers: dict[int | str, dict[str, Any]] = {
        200: {"description": "Done.", "content": {_JSON: {"example": operation.answer}}}
    }
    if operation.job is not None:
        answers[202] = {
            "model": schemas.JobAccepted,
            "description": "Will be done: the request asked with `Prefer: respond-async` not to wait for it.",
            "headers": {
                "Location": {"description": "Where the job is.", "schema": {"type": "string"}},
                "Preference-Applied": {"description": "`respond-async`.", "schema": {"type": "string"}},
            },
        }
    if operation.once is not None:
        for described in answers.values():
            described["headers"] = described.get("headers", {}) | _REPLAYED
    kinds = (
        *ERRORS_OF_ALL,
        *((errors.InProgressError,) if operation.once is not None else ()),
        *ERRORS_OF_BODIES,
        *((errors.NotFoundError,) if operation.may_miss else ()),
        *(_ERRORS_OF_MODELS if operation.needs_llm else ()),
    )
    failures = responses_for(*kinds)
    if operation.once is not None:
        failures[HTTPStatus.CONFLICT] = failures[HTTPStatus.CONFLICT] | {
            "description": "A request with this `Idempotency-Key` is still under way.",
            "headers": {"Retry-After": {"description": "In so many seconds.", "schema": {"type": "string"}}},
            "content": {_JSON: {"example": {"error": "idempotency_in_progress", "detail": "Ask again."}}},
        }
    return answers | failures


def _documented(operation: Operation[Any]) -> Any:
    """Return a function with the operation's parameters, for FastAPI to document."""

    def endpoint(**_: object) -> None:
        raise AssertionError("OperationRoute answers by itself.")

    keyword = inspect.Parameter.KEYWORD_ONLY
    wanted: dict[str, Any] = {}
    if "{key:path}" in operation.path:
        wanted["key"] = Annotated[str, PATTERN_KEY]
    if operation.request is not NoBody:
        wanted["body"] = Annotated[
            operation.request, Body(openapi_examples={"example": {"value": operation.example}})
        ]
    if operation.job is not None:
        wanted["prefer"] = Annotated[str | None, PREFER]
    if operation.once is not None:
        wanted["idempotency_key"] = Annotated[str | None, IDEMPOTENCY_KEY]
    parameters = [inspect.Parameter(name, keyword, annotation=kind) for name, kind in wanted.items()]
    vars(endpoint)["__signature__"] = inspect.Signature(parameters)
    endpoint.__name__ = operation.name
    return endpoint
