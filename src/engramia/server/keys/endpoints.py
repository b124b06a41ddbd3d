"""Keys over HTTP: the first one, and then make, list, revoke, rotate."""

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from engramia.core import limits
from engramia.core.model import Scope
from engramia.errors import (
    AuthenticationError,
    AuthorizationError,
    ConflictError,
    DatabaseRequiredError,
    NotFoundError,
    ValidationError,
)
from engramia.server.keys import examples, schemas
from engramia.server.keys.model import Principal
from engramia.server.kit.auditing import asked_by, refusals_noted
from engramia.server.kit.bodies import documented, read_body
from engramia.server.kit.caller import Caller
from engramia.server.kit.endpoints import ERRORS_OF_BODIES, guarded
from engramia.server.kit.idempotency_header import IDEMPOTENCY_KEY
from engramia.server.kit.lanes import Lane
from engramia.server.kit.once import attempt_of
from engramia.server.kit.operations import Document
from engramia.server.kit.permissions import Permission, Role
from engramia.server.kit.services import caller_of, encoded, services_of

if TYPE_CHECKING:  # it needs the extra `postgres`
    from engramia.server.keys.service import KeyService

router = APIRouter(tags=["keys"])

_JSON = "application/json"
_FIRST_OWNER = Caller(Scope(), Role.OWNER)

type KeyId = Annotated[str, Path(description="Id of a key.", max_length=limits.ID_MAX_CHARS)]


@dataclass(frozen=True, slots=True)
class Keys:
    """What the endpoints work with: left in the app's state as `keys`, or None where keys are not in db."""

    service: "KeyService"
    bootstrap_token: str | None = field(default=None, repr=False)


def _documentation(
    permission: Permission | None, *kinds: Any, status: int, example: Any, body: dict[str, Any] | None = None
) -> dict[str, Any]:
    given = guarded(permission, DatabaseRequiredError, *kinds)
    description = "Made." if status == HTTPStatus.CREATED else "Done."
    answers = {status: {"description": description, "content": {_JSON: {"example": example}}}}
    return {
        **given,
        "status_code": status,
        "responses": answers | given["responses"],
        "openapi_extra": given["openapi_extra"] | (body or {}),
    }


@router.post(
    "/v1/keys/bootstrap",
    summary="Make the first owner key",
    operation_id="bootstrap_keys",
    response_model=schemas.NewKeyBody,
    **_documentation(
        None,
        *ERRORS_OF_BODIES,
        ConflictError,
        status=HTTPStatus.CREATED,
        example=examples.FIRST,
        body=documented(schemas.BootstrapRequest, examples.BOOTSTRAP),
    ),
)
async def bootstrap(request: Request) -> Response:
    """Make tenant `default`, its project `default` and its first owner key, once and never again.

    Asks for the token of `ENGRAMIA_BOOTSTRAP_TOKEN` in place of a key.
    """
    keys = _keys(request)
    body = await read_body(request, schemas.BootstrapRequest)
    with refusals_noted(request):
        _check_token(keys.bootstrap_token, body.presented)

    def make() -> Document:
        made = keys.service.bootstrap(_principal(request, _FIRST_OWNER))
        if made is None:
            raise ConflictError("The first key was made already.", code="already_bootstrapped")
        return schemas.new_key_document(made)

    return await _answer(request, make, HTTPStatus.CREATED)


@router.post(
    "/v1/keys",
    summary="Create a key",
    operation_id="create_key",
    response_model=schemas.NewKeyBody,
    **_documentation(
        Permission.KEYS_CREATE,
        *ERRORS_OF_BODIES,
        ConflictError,
        status=HTTPStatus.CREATED,
        example=examples.MADE,
        body=documented(schemas.CreateKeyRequest, examples.CREATE),
    ),
)
async def create_key(
    request: Request, idempotency_key: Annotated[str | None, IDEMPOTENCY_KEY] = None
) -> Response:
    """Make a key of at most one's own role (an admin: at most editor); its secret is shown this once.

    Sent again with its `Idempotency-Key` it makes no second one: 409 `key_already_created` with the `id`.
    """
    del idempotency_key  # checked by now, and read below
    service = _keys(request).service
    body = await read_body(request, schemas.CreateKeyRequest)
    wanted = schemas.key_request(body)
    by = _principal(request, caller_of(request))
    attempt = attempt_of(request, "create_key", by.key_id, body)
    return await _answer(
        request,
        lambda: schemas.new_key_document(service.create(wanted, by, attempt=attempt)),
        HTTPStatus.CREATED,
    )


@router.get(
    "/v1/keys",
    summary="List keys",
    operation_id="list_keys",
    response_model=schemas.KeyList,
    **_documentation(Permission.KEYS_LIST, ValidationError, status=HTTPStatus.OK, example=examples.LISTED),
)
async def list_keys(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=limits.LIST_LIMIT_MAX, description="Most items.")] = 100,
    offset: Annotated[int, Query(ge=0, le=limits.OFFSET_MAX, description="Items to pass over.")] = 0,
) -> Response:
    """Return the project's keys, revoked and expired ones too, newest first; never a secret."""
    service, scope = _keys(request).service, caller_of(request).scope

    def find() -> Document:
        page = service.list(scope, limit=limit, offset=offset)
        return {
            "keys": [schemas.key_document(key) for key in page],
            "has_more": page.has_more,
            "next_offset": page.next_offset,
        }

    return await _answer(request, find)


@router.delete(
    "/v1/keys/{id}",
    summary="Revoke a key",
    operation_id="revoke_key",
    response_model=schemas.RevokedKey,
    **_documentation(
        Permission.KEYS_REVOKE,
        NotFoundError,
        ConflictError,
        ValidationError,
        status=HTTPStatus.OK,
        example=examples.REVOKED,
    ),
)
async def revoke_key(request: Request, id: KeyId) -> Response:
    """Revoke a key of the tenant, of one's own rank at most: within a second it opens nothing anywhere.

    The tenant's last owner key stays: 409 `last_owner_key`.
    """
    service, by = _keys(request).service, _principal(request, caller_of(request))
    return await _answer(request, lambda: schemas.revoked_document(service.revoke(id, by)))


@router.post(
    "/v1/keys/{id}/rotate",
    summary="Give a key a new secret",
    operation_id="rotate_key",
    response_model=schemas.NewKeyBody,
    **_documentation(
        Permission.KEYS_ROTATE,
        NotFoundError,
        ConflictError,
        ValidationError,
        status=HTTPStatus.OK,
        example=examples.MADE,
    ),
)
async def rotate_key(request: Request, id: KeyId) -> Response:
    """Give a key of the tenant, of one's own rank at most, a new secret; the old one opens nothing more."""
    service, by = _keys(request).service, _principal(request, caller_of(request))
    return await _answer(request, lambda: schemas.new_key_document(service.rotate(id, by)))


def _keys(request: Request) -> Keys:
    keys: Keys | None = request.app.state.keys
    if keys is None:
        raise DatabaseRequiredError(
            "This needs keys that are kept in Postgres (the auth mode db); this server has none."
        )
    return keys


def _principal(request: Request, caller: Caller) -> Principal:
    asked = asked_by(request, caller)
    return Principal(caller.scope, caller.role, caller.key_id, asked.request_id, asked.ip)


def _check_token(expected: str | None, presented: str) -> None:
    if expected is None:
        raise AuthorizationError(
            "This server makes no first key over HTTP: ENGRAMIA_BOOTSTRAP_TOKEN is not set. Set it, or run "
            "`engramia keys bootstrap` at the server.",
            code="bootstrap_not_configured",
        )
    if not hmac.compare_digest(expected.encode(), presented.encode()):
        raise AuthenticationError("This is not the token of ENGRAMIA_BOOTSTRAP_TOKEN.")


async def _answer(
    request: Request, work: Callable[[], Document], status: HTTPStatus = HTTPStatus.OK
) -> Response:
    content = await services_of(request).lanes.run(Lane.QUICK, partial(_encoded, work))
    # What holds a secret must not lie about in a cache on the way.
    return Response(content, status, {"Cache-Control": "no-store"}, _JSON)


def _encoded(work: Callable[[], Document]) -> bytes:
    return encoded(work())
