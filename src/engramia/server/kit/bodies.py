"""Reads the body of a request strictly: its bytes, its kind, its form."""

from typing import Any

import pydantic
from fastapi.exceptions import RequestValidationError
from starlette.requests import ClientDisconnect, Request

from engramia import errors
from engramia.server.kit import schemas
from engramia.server.kit.strict_json import loads

_JSON = "application/json"
_CURL_DEFAULT = "application/x-www-form-urlencoded"
"""What `curl -d` says of a body unless it is told otherwise."""


async def read_body[B: schemas.Request](request: Request, form: type[B]) -> B:
    """Return the body, checked against `form`; for bodies that are never long."""
    raw = await received(request)
    check_media_type(request.headers.get("content-type"))
    return parsed(form, raw)


async def received(request: Request) -> bytes:
    """Return the whole body; the body limit in front of the app bounds it."""
    chunks, more = list[bytes](), True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunks.append(message.get("body", b""))
        more = message.get("more_body", False)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def check_media_type(content_type: str | None) -> None:
    """Raise `UnsupportedMediaTypeError` for what says that it is no JSON."""
    kind = (content_type or _JSON).partition(";")[0].strip().lower()
    if kind not in {_JSON, _CURL_DEFAULT, ""} and not (
        kind.startswith("application/") and kind.endswith("+json")
    ):
        raise errors.UnsupportedMediaTypeError(f"The body must be {_JSON}, not {kind[:100]}.")


def parsed[B: schemas.Request](form: type[B], raw: bytes) -> B:
    """Return the JSON object that these bytes are, as `form` takes it."""
    value = loads(raw)
    if not isinstance(value, dict):
        raise errors.BadRequestError("The body must be a JSON object.")
    try:
        return form.model_validate(value)
    except pydantic.ValidationError as error:
        raise RequestValidationError(
            [issue | {"loc": ("body", *issue["loc"])} for issue in error.errors(include_url=False)]
        ) from error


def documented(form: type[schemas.Request], example: Any) -> dict[str, Any]:
    """Return what the OpenAPI document says of a body that `read_body` reads; `form` refers to no other."""
    schema = form.model_json_schema()
    content = {_JSON: {"schema": schema, "examples": {"example": {"value": example}}}}
    return {"requestBody": {"required": True, "content": content}}
