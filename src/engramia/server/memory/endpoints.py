"""The memory's endpoints that only look, and the one that deletes."""

from collections.abc import Iterator
from functools import partial
from itertools import batched
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from engramia.core import documents, limits
from engramia.errors import EngramiaError, NotFoundError, ValidationError
from engramia.memory.facade import Memory
from engramia.server.kit.auditing import AskedBy, Trail, asked_by
from engramia.server.kit.endpoints import PATTERN_KEY, answer, answer_act, guarded
from engramia.server.kit.errors import problem_of
from engramia.server.kit.lanes import Lane
from engramia.server.kit.operations import Document
from engramia.server.kit.permissions import Permission
from engramia.server.kit.schemas import ClassificationName, Score, SourceName
from engramia.server.kit.services import caller_of, services_of
from engramia.server.memory import examples, schemas
from engramia.server.memory.operations import MEMORY, QUALITY, TRANSFER

router = APIRouter()

_JSON = "application/json"
_CHUNK = 64
"""Records of an export that are read and sent together."""

type Limit = Annotated[int, Query(ge=1, le=limits.LIST_LIMIT_MAX, description="Most items.")]
type Offset = Annotated[int, Query(ge=0, le=limits.OFFSET_MAX, description="Items to pass over.")]


@router.get(
    "/v1/feedback",
    tags=[QUALITY],
    summary="Recurring issues",
    operation_id="feedback",
    response_model=schemas.FeedbackList,
    **guarded(Permission.FEEDBACK_READ, ValidationError, example=examples.FEEDBACK),
)
async def feedback(
    request: Request,
    task_type: Annotated[
        str | None,
        Query(max_length=limits.ID_MAX_CHARS, description="Only issues whose task or text contains this."),
    ] = None,
    limit: Limit = 5,
    offset: Offset = 0,
) -> Response:
    """Return issues that were said at least twice, most pressing first."""
    return await answer(
        request,
        lambda memory: documents.feedback_document(
            memory.get_feedback(task_type=task_type, limit=limit, offset=offset)
        ),
    )


@router.get(
    "/v1/metrics",
    tags=[MEMORY],
    summary="Statistics of the project",
    operation_id="metrics",
    response_model=schemas.MetricsAnswer,
    **guarded(Permission.METRICS, example=examples.METRICS),
)
async def metrics(request: Request) -> Response:
    """Return how much was learned and reused, and how good it was."""
    return await answer(request, lambda memory: documents.metrics_document(memory.metrics()))


@router.get(
    "/v1/patterns",
    tags=[MEMORY],
    summary="List patterns",
    operation_id="list_patterns",
    response_model=schemas.PatternList,
    **guarded(Permission.PATTERNS_READ, ValidationError, example=examples.PATTERN_LIST),
)
async def list_patterns(
    request: Request,
    classification: ClassificationName | None = None,
    source: SourceName | None = None,
    min_score: Score | None = None,
    limit: Limit = 100,
    offset: Offset = 0,
) -> Response:
    """Return patterns newest first."""
    wanted: dict[str, Any] = {"classification": classification, "source": source, "min_score": min_score}
    return await answer(
        request,
        lambda memory: documents.list_document(memory.list_patterns(**wanted, limit=limit, offset=offset)),
    )


@router.get(
    "/v1/patterns/{key:path}",
    tags=[MEMORY],
    summary="One pattern",
    operation_id="get_pattern",
    response_model=schemas.RecordBody,
    **guarded(Permission.PATTERNS_READ, NotFoundError, ValidationError, example=examples.RECORD),
)
async def get_pattern(request: Request, key: Annotated[str, PATTERN_KEY]) -> Response:
    """Return a pattern with its versions and observations."""
    return await answer(request, lambda memory: documents.record_document(memory.get_pattern(key)))


@router.delete(
    "/v1/patterns/{key:path}",
    tags=[MEMORY],
    summary="Delete a pattern",
    operation_id="delete_pattern",
    response_model=schemas.Deleted,
    **guarded(Permission.PATTERNS_DELETE_OWN, NotFoundError, ValidationError, example=examples.DELETED),
)
async def delete_pattern(request: Request, key: Annotated[str, PATTERN_KEY]) -> Response:
    """Delete a pattern for good. An editor may delete what it stored itself, an admin everything."""
    caller = caller_of(request)
    author = None if caller.may(Permission.PATTERNS_DELETE) else caller.key_id or ""

    def delete(memory: Memory) -> Document:
        memory.delete_pattern(key, author=author)
        return {"deleted": True, "pattern_key": key}

    return await answer_act(request, "pattern.deleted", delete, {"pattern_key": key})


@router.get(
    "/v1/export",
    tags=[TRANSFER],
    summary="Export every pattern",
    operation_id="export",
    response_model=schemas.ExportAnswer,
    **guarded(Permission.EXPORT, example=examples.EXPORTED),
)
async def export(request: Request) -> Response:
    """Return every pattern with its history, in key order, as `POST /v1/import` takes them; streamed."""
    services = services_of(request)
    caller = caller_of(request)
    memory = services.memory_of(caller.scope)
    # The first chunk is read before the answer begins, so that a failing store is a failing request.
    chunks = _export_chunks(memory)
    begin = partial(_begun, services.trail, asked_by(request, caller), chunks)
    first = await services.lanes.run(Lane.BULK, begin)
    return StreamingResponse(_then(first, chunks), media_type=_JSON)


def _begun(trail: Trail, by: AskedBy, chunks: Iterator[bytes]) -> bytes:
    """Return the first chunk, once it is kept that somebody gets it."""
    try:
        first = next(chunks)
    except EngramiaError as error:
        trail.later(by.entry("export.begun", "failed", trail.now(), {"error": problem_of(error).error}))
        raise
    trail.keep(by.entry("export.begun", "success", trail.now(), {}))
    return first


def _then(first: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from chunks


def _export_chunks(memory: Memory) -> Iterator[bytes]:
    """Yield the document in pieces: `{"records":[...],"count":n}`."""
    count, before = 0, b'{"records":['
    for some in batched(memory.iter_export(), _CHUNK):
        yield before + b",".join(orjson.dumps(record) for record in some)
        count, before = count + len(some), b","
    yield (before if count == 0 else b"") + b'],"count":%d}' % count
