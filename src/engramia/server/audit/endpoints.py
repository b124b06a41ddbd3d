"""The audit trail over HTTP, to be read."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime
from starlette.requests import Request
from starlette.responses import Response

from engramia.core import limits
from engramia.core.audit import AuditQuery
from engramia.errors import DatabaseRequiredError, ValidationError
from engramia.server.audit import schemas
from engramia.server.audit.trail import AuditTrail, Rows
from engramia.server.kit.endpoints import guarded
from engramia.server.kit.lanes import Lane
from engramia.server.kit.permissions import Permission
from engramia.server.kit.services import caller_of, encoded, services_of

router = APIRouter(tags=["audit"])

type Name = Annotated[str | None, Query(max_length=limits.ID_MAX_CHARS, pattern=r"^[^\x00]*$")]


@router.get(
    "/v1/audit",
    summary="Audit trail",
    operation_id="get_audit",
    response_model=schemas.AuditPage,
    **guarded(Permission.AUDIT_READ, ValidationError, DatabaseRequiredError, example=schemas.EXAMPLE),
)
async def get_audit(  # noqa: PLR0913 - one parameter for each filter
    request: Request,
    *,
    event: Annotated[Name, Query(description="Only this event.", examples=["key.created"])] = None,
    actor: Annotated[Name, Query(description="Only acts of this key or person.")] = None,
    outcome: schemas.OutcomeName | None = None,
    since: Annotated[AwareDatetime | None, Query(description="Only acts from this moment on.")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Only acts before this moment.")] = None,
    limit: Annotated[int, Query(ge=1, le=limits.AUDIT_LIST_LIMIT_MAX, description="Most entries.")] = 100,
    offset: Annotated[int, Query(ge=0, le=limits.OFFSET_MAX, description="Entries to pass over.")] = 0,
) -> Response:
    """Return what was done and refused in all projects of the caller's tenant, newest first."""
    wanted = AuditQuery(event=event, actor=actor, outcome=outcome, since=since, until=until)
    tenant = caller_of(request).scope.tenant_id
    read = partial(_read, _rows_of(request), tenant, wanted, limit, offset)
    return Response(await services_of(request).lanes.run(Lane.QUICK, read), media_type="application/json")


def _read(rows: Rows, tenant: str, wanted: AuditQuery, limit: int, offset: int) -> bytes:
    page = rows.page(tenant, wanted, limit=limit, offset=offset)
    return encoded(
        {
            "entries": [schemas.row_document(row) for row in page],
            "has_more": page.has_more,
            "next_offset": page.next_offset,
        }
    )


def _rows_of(request: Request) -> Rows:
    trail: AuditTrail = request.app.state.audit
    if trail.rows is None:
        raise DatabaseRequiredError(
            "The audit trail can be read where it is kept in Postgres; on this server it is in the log."
        )
    return trail.rows
