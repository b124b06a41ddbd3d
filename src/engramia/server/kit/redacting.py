"""Redaction of whole bodies, before they are stored as jobs."""

from collections.abc import Callable
from typing import Any

from engramia.server.kit.schemas import Request


def redacted[B: Request](clean: Callable[[str], str], body: B) -> B:
    """Return `body` with every text in it cleaned, however deep; names of fields stay."""
    return type(body).model_validate(cleaned(clean, body.model_dump()))


def cleaned(clean: Callable[[str], str], value: Any) -> Any:
    """Return a JSON value with every text in it cleaned."""
    match value:
        case str():
            return clean(value)
        case list() | tuple():
            return [cleaned(clean, part) for part in value]
        case dict():
            return {name: cleaned(clean, part) for name, part in value.items()}
        case _:
            return value
