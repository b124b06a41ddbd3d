"""What every endpoint says of itself: the permission it needs, the errors it may answer."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from fastapi import Depends, Path
from starlette.requests import Request

from engramia import errors
from engramia.server.kit import schemas
from engramia.server.kit.error_responses import responses_for
from engramia.server.kit.permissions import Permission
from engramia.server.kit.services import caller_of

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


def _requires(permission: Permission) -> Callable[[Request], Awaitable[None]]:
    async def check(request: Request) -> None:
        caller_of(request).require(permission)

    return check
