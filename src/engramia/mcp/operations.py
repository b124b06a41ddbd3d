"""Rows of operations that are no POST over HTTP, and bodies of those whose address names a pattern there."""

from typing import Annotated, Any

from pydantic import Field

from engramia.core import documents, limits
from engramia.memory.facade import Memory
from engramia.server.kit.operations import Asked, Document, NoBody, Operation
from engramia.server.kit.permissions import Permission
from engramia.server.kit.schemas import EXAMPLE_KEY, PATTERN_KEY_FORM, Request, optional_text
from engramia.server.memory import schemas
from engramia.server.memory.operations import MEMORY, QUALITY


class FeedbackRequest(Request):
    """Which recurring issues are wanted."""

    task_type: str | None = optional_text(
        "Only issues whose task or text contains this, such as 'csv'.", limits.ID_MAX_CHARS
    )
    limit: int = Field(5, ge=1, le=limits.LIST_LIMIT_MAX, description="Most issues.")
    offset: int = Field(0, ge=0, le=limits.OFFSET_MAX, description="Issues to pass over.")


class RefineArguments(schemas.RefineRequest):
    """A judgement, and the pattern it is of."""

    pattern_key: Annotated[
        str,
        Field(
            description="Key of the pattern, as recall gave it.",
            examples=[EXAMPLE_KEY],
            json_schema_extra={"pattern": PATTERN_KEY_FORM},
        ),
    ]


class ListRequest(Request):
    """Which patterns are wanted."""

    limit: int = Field(100, ge=1, le=limits.LIST_LIMIT_MAX, description="Most patterns.")
    offset: int = Field(0, ge=0, le=limits.OFFSET_MAX, description="Patterns to pass over.")


def _feedback(memory: Memory, asked: Asked[FeedbackRequest]) -> Document:
    return documents.feedback_document(memory.get_feedback(**asked.body.model_dump()))


def _metrics(memory: Memory, asked: Asked[NoBody]) -> Document:
    del asked
    return documents.metrics_document(memory.metrics())


def _list(memory: Memory, asked: Asked[ListRequest]) -> Document:
    return documents.list_document(memory.list_patterns(**asked.body.model_dump()))


def _get(memory: Memory, asked: Asked[NoBody]) -> Document:
    return documents.record_document(memory.get_pattern(asked.key))


FEEDBACK = Operation(
    name="feedback",
    path="/v1/feedback",
    tag=QUALITY,
    summary="Recurring issues",
    description="Returns issues that were said at least twice, most pressing first.",
    permission=Permission.FEEDBACK_READ,
    request=FeedbackRequest,
    response=schemas.FeedbackList,
    run=_feedback,
)

METRICS = Operation(
    name="metrics",
    path="/v1/metrics",
    tag=MEMORY,
    summary="Statistics of the project",
    description="Returns how much was learned and reused, and how good it was.",
    permission=Permission.METRICS,
    request=NoBody,
    response=schemas.MetricsAnswer,
    run=_metrics,
)

LIST_PATTERNS = Operation(
    name="list_patterns",
    path="/v1/patterns",
    tag=MEMORY,
    summary="List patterns",
    description="Returns patterns newest first.",
    permission=Permission.PATTERNS_READ,
    request=ListRequest,
    response=schemas.PatternList,
    run=_list,
)

GET_PATTERN: Operation[Any] = Operation(
    name="get_pattern",
    path="/v1/patterns/{key:path}",
    tag=MEMORY,
    summary="One pattern",
    description="Returns a pattern with its versions and observations.",
    permission=Permission.PATTERNS_READ,
    request=NoBody,
    response=schemas.RecordBody,
    run=_get,
    may_miss=True,
)
