"""What every endpoint says of itself: the permission it needs, the errors it may answer."""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import Depends, Path
from starlette.requests import Request
from starlette.responses import Response

from engramia import errors
from engramia.core.audit import AuditFact
from engramia.memory.facade import Memory
from engramia.server.kit import schemas
from engramia.server.kit.auditing import Act, asked_by
from engramia.server.kit.error_responses import responses_for
from engramia.server.kit.lanes import Lane
from engramia.server.kit.one_transaction import OneTransaction
from engramia.server.kit.operations import Document
from engramia.server.kit.permissions import Permission
from engramia.server.kit.services import caller_of, encoded, joined, services_of

PATTERN_KEY = Path(
    description="Key of a pattern; its slash may be sent as it is or as %2F.",
    examples=[schemas.EXAMPLE_KEY],
    json_schema_extra={"pattern": schemas.PATTERN_KEY_FORM},
)

ERRORS_OF_ALL = (
    errors.AuthenticationError,
    errors.AuthorizationError,
    errors.RateLimitedError,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.UnavailableError,
)
"""What any endpoint may answer."""
ERRORS_OF_BODIES = (
    errors.BadRequestError,
    errors.PayloadTooLargeError,
    errors.UnsupportedMediaTypeError,
    errors.ValidationError,
)
"""What any endpoint that takes a body may answer besides."""

PUBLIC = "public"
"""Stands in the documentation for the permission of what anybody may call."""


def guarded(
    permission: Permission | None, *kinds: type[errors.EngramiaError], example: Any = None
) -> dict[str, Any]:
    """Return what a route needs to be guarded by `permission` (None: by nothing) and to be documented."""
    answers: dict[int | str, dict[str, Any]] = {}
    if example is not None:
        answers[200] = {"description": "Done.", "content": {"application/json": {"example": example}}}
    return {
        "dependencies": [Depends(_requires(permission))] if permission else [],
        "responses": answers | responses_for(*ERRORS_OF_ALL, *kinds),
        "openapi_extra": {"x-permission": permission.value if permission else PUBLIC},
    }


async def answer(request: Request, ask: Callable[[Memory], Document], lane: Lane = Lane.QUICK) -> Response:
    """Return what `ask` finds in the caller's memory, asked in a thread."""
    services = services_of(request)
    memory = services.memory_of(caller_of(request).scope)
    content = await services.lanes.run(lane, lambda: encoded(ask(memory)))
    return Response(content, media_type="application/json")


async def answer_act(
    request: Request,
    event: str,
    do: Callable[[Memory], Document],
    facts: Mapping[str, AuditFact],
    lane: Lane = Lane.QUICK,
) -> Response:
    """Return what `do` did in the caller's memory, kept together with its entry of the audit trail."""
    services, caller = services_of(request), caller_of(request)
    act = Act(services.trail, event, asked_by(request, caller), dict(facts))
    memory = services.memory_of(caller.scope)

    def work() -> bytes:
        unit = OneTransaction(memory.engine.storage)
        act.within(unit)
        with unit.transaction():
            return encoded(do(joined(unit, memory)))

    return Response(await services.lanes.run(lane, work), media_type="application/json")


def _requires(permission: Permission) -> Callable[[Request], Awaitable[None]]:
    async def check(request: Request) -> None:
        caller_of(request).require(permission)

    return check
