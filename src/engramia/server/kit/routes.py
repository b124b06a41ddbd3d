"""An operation as a route: read, check, do it now or leave it as a job, answer.

FastAPI documents the route; it is handled here, for the general way of its dependencies costs several times
what a recall does.
"""

import inspect
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any

import pydantic
from fastapi import Body, Header
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from engramia import errors
from engramia.core.model import Scope as MemoryScope
from engramia.memory.asking import configured
from engramia.memory.facade import Memory
from engramia.server.kit import schemas
from engramia.server.kit.endpoints import ERRORS_OF_ALL, ERRORS_OF_BODIES, PATTERN_KEY
from engramia.server.kit.error_responses import responses_for
from engramia.server.kit.lanes import Lane
from engramia.server.kit.operations import Asked, JobForm, NoBody, Operation
from engramia.server.kit.prefer import RESPOND_ASYNC, wants_async
from engramia.server.kit.services import Services, Submission, caller_of, encoded, services_of
from engramia.server.kit.strict_json import loads

_INLINE_BYTES = 1 << 16
"""Larger bodies are read in a thread: the loop has others to serve."""
_JSON = "application/json"
_CURL_DEFAULT = "application/x-www-form-urlencoded"
"""What `curl -d` says of a body unless it is told otherwise."""

PREFER = Header(
    description="`respond-async` asks for a job in place of an answer (RFC 7240).", examples=[RESPOND_ASYNC]
)

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
    memory = services.memory_of(caller.scope)
    if operation.needs_llm:
        configured(memory.engine.llm, operation.name)
    asked = Asked(body, caller.key_id, request.path_params.get("key", ""))
    if operation.job is not None and wants_async(request.headers.getlist("prefer")):
        leave = partial(_leave, operation, operation.job, memory, services, asked, caller.scope)
        # Redacting a body may take a while; only imports are so large that they would hold up others.
        lane = Lane.BULK if operation.lane is Lane.BULK else Lane.QUICK
        return _accepted(await services.lanes.run(lane, leave))
    if operation.run_many is not None:
        content = await services.batches[operation.name].ask(caller.scope, asked)
    else:
        do = partial(services.do, operation, caller.scope, asked)
        content = await services.lanes.run(operation.lane, do)
    return Response(content, media_type=_JSON)


def _leave(
    operation: Operation[Any],
    form: JobForm[Any],
    memory: Memory,
    services: Services,
    asked: Asked[Any],
    scope: MemoryScope,
) -> str:
    request = form.prepare(memory, asked.body).model_dump(mode="json")
    return services.submit(Submission(scope, operation.name, request, asked.author))


def _accepted(job_id: str) -> Response:
    return Response(
        encoded({"job_id": job_id, "status": "pending"}),
        HTTPStatus.ACCEPTED,
        {"Location": f"/v1/jobs/{job_id}", "Preference-Applied": RESPOND_ASYNC},
        _JSON,
    )


async def _read(operation: Operation[Any], request: Request, services: Services) -> Any:
    """Return the request's body, checked against the operation's form."""
    raw = await _received(request)
    if operation.request is NoBody and not raw.strip():
        return NoBody()
    _check_media_type(request.headers.get("content-type"))
    if len(raw) <= _INLINE_BYTES:
        return _parsed(operation, raw)
    return await services.lanes.run(operation.lane, partial(_parsed, operation, raw))


def _parsed(operation: Operation[Any], raw: bytes) -> Any:
    value = loads(raw)
    if not isinstance(value, dict):
        raise errors.BadRequestError("The body must be a JSON object.")
    try:
        return operation.request.model_validate(value)
    except pydantic.ValidationError as error:
        raise RequestValidationError(
            [issue | {"loc": ("body", *issue["loc"])} for issue in error.errors(include_url=False)]
        ) from error


async def _received(request: Request) -> bytes:
    """Return the whole body; the body limit in front of the app bounds it."""
    chunks, more = list[bytes](), True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunks.append(message.get("body", b""))
        more = message.get("more_body", False)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _check_media_type(content_type: str | None) -> None:
    kind = (content_type or _JSON).partition(";")[0].strip().lower()
    if kind not in {_JSON, _CURL_DEFAULT, ""} and not (
        kind.startswith("application/") and kind.endswith("+json")
    ):
        raise errors.UnsupportedMediaTypeError(f"The body must be {_JSON}, not {kind[:100]}.")


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
    kinds = (
        *ERRORS_OF_ALL,
        *ERRORS_OF_BODIES,
        *((errors.NotFoundError,) if operation.may_miss else ()),
        *(_ERRORS_OF_MODELS if operation.needs_llm else ()),
    )
    return answers | responses_for(*kinds)


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
    parameters = [inspect.Parameter(name, keyword, annotation=kind) for name, kind in wanted.items()]
    vars(endpoint)["__signature__"] = inspect.Signature(parameters)
    endpoint.__name__ = operation.name
    return endpoint
