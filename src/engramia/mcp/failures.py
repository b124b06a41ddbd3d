"""Errors as MCP has them: an answer of the tool, flagged, in the shape that every door uses."""

import orjson
from mcp.shared.exceptions import MCPError
from mcp.types import INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, CallToolResult, TextContent

from engramia.errors import AuthorizationError, GoneError, NotFoundError, ValidationError


def failed(error: Exception, request_id: str | None) -> CallToolResult:
    """Return `error` as the answer of a tool: `{"error": code, "detail": sentence, …facts}`, no more."""
    text = orjson.dumps(_told(error, request_id), default=str).decode()
    # No structured content: it would have to be of the tool's output schema.
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=True)


def refusal(error: Exception, request_id: str | None) -> MCPError:
    """Return `error` for a request that has no other way to fail: a resource, a list."""
    told = _told(error, request_id)
    return MCPError(_code(error), str(told["detail"]), told)


def _told(error: Exception, request_id: str | None) -> dict[str, object]:
    # Loaded when something fails: it brings the HTTP framework, which an editor's server starts without.
    from engramia.server.kit.errors import log_failure, problem_of

    problem = problem_of(error, request_id=request_id)
    log_failure(error, problem)
    wait = problem.headers.get("Retry-After")
    told = {"error": problem.error, "detail": problem.detail, **problem.facts}
    return told if wait is None else {**told, "retry_after": int(wait)}


def _code(error: Exception) -> int:
    match error:
        case ValidationError() | NotFoundError() | GoneError():
            return INVALID_PARAMS
        case AuthorizationError():
            return INVALID_REQUEST
        case _:
            return INTERNAL_ERROR
