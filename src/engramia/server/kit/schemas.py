"""What the bodies of all slices are made of."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from engramia.core import limits

Json = Any
"""Any JSON value."""


class Request(BaseModel):
    """A body that is sent: types are taken strictly, fields that are not known are ignored."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, allow_inf_nan=False)


class Answer(BaseModel):
    """A body that is answered."""

    model_config = ConfigDict(frozen=True)


def text(description: str, max_chars: int) -> Any:
    """Return the field of a text that must not be blank; the memory's own check words the refusal."""
    # Documented, not enforced here: neither blank nor with NUL characters.
    pattern: JsonDict = {
        "minLength": 1,
        "maxLength": max_chars,
        "pattern": r"^[^\u0000]*[^\s\u0000][^\u0000]*$",
    }
    return Field(description=description, json_schema_extra=pattern)


def optional_text(description: str, max_chars: int) -> Any:
    """Return the field of a text that may be left out."""
    extra: JsonDict = {
        "anyOf": [{"type": "string", "maxLength": max_chars, "pattern": r"^[^\u0000]*$"}, {"type": "null"}]
    }
    return Field(None, description=description, json_schema_extra=extra)


PATTERN_KEY_FORM = r"^patterns/[0-9a-hjkmnp-tv-z]{26}$"
EXAMPLE_KEY = "patterns/01kabcdefghjkmnpqrstvwxyz0"

type Score = Annotated[float, Field(ge=limits.SCORE_MIN, le=limits.SCORE_MAX)]
type Share = Annotated[float, Field(ge=0, le=1)]
type Moment = Annotated[datetime, Field(description="RFC 3339, UTC.")]
type Tier = Literal["duplicate", "adapt", "fresh"]
type ClassificationName = Literal["public", "internal", "confidential"]
type SourceName = Literal["api", "sdk", "cli", "import"]


class JobAccepted(Answer):
    """A request that is done later; `GET /v1/jobs/{job_id}` tells what became of it."""

    job_id: str
    status: Literal["pending"]
