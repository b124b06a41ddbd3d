"""Patterns as resources: `engramia://patterns` lists them, `engramia://patterns/{key}` is one."""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from mcp.types import Resource, ResourceTemplate

from engramia.core.model import check_pattern_key
from engramia.errors import NotFoundError, ValidationError
from engramia.mcp.operations import GET_PATTERN, LIST_PATTERNS, ListRequest
from engramia.server.kit.operations import Asked, NoBody, Operation

LISTING = "engramia://patterns"
LISTED = 100
"""Patterns that the list of resources shows. There are no more pages: hosts fetch them all, unasked."""
TITLE_CHARS = 80

_SCHEME = "engramia://"
_FOLDER = "patterns/"
_JSON = "application/json"

TEMPLATES = (
    ResourceTemplate(
        name="pattern",
        title="A stored pattern",
        uri_template="engramia://patterns/{key}",
        description="A pattern with its code, its versions and what was said of it; `key` is its pattern_key "
        "without 'patterns/'.",
        mime_type=_JSON,
    ),
    ResourceTemplate(
        name="patterns_page",
        title="A page of the patterns",
        uri_template="engramia://patterns{?offset}",
        description=f"{LISTED} patterns, newest first, after `offset`; next_offset is null at the end.",
        mime_type=_JSON,
    ),
)


def newest() -> Asked[Any]:
    """Return the request for the patterns that the list of resources shows."""
    return Asked(ListRequest(limit=LISTED))


def listed(page: Mapping[str, Any]) -> list[Resource]:
    """Return the listing and its patterns as resources."""
    listing = Resource(
        name="patterns",
        title="All patterns",
        uri=LISTING,
        description="Every pattern of this project, newest first, in pages.",
        mime_type=_JSON,
    )
    return [listing, *_patterns(page["patterns"])]


def wanted(uri: str) -> tuple[Operation[Any], Asked[Any]]:
    """Return what reading `uri` asks of the memory.

    Raises `NotFoundError` for what is no resource and `ValidationError` for a key or an offset that is none.
    """
    parts = urlsplit(uri)
    if not uri.startswith(LISTING) or parts.netloc != "patterns":
        raise NotFoundError(f"There is no resource {uri[:TITLE_CHARS]!r}; {LISTING} lists them.")
    key = unquote(parts.path).strip("/").removeprefix(_FOLDER)
    if key:
        return GET_PATTERN, Asked(NoBody(), key=check_pattern_key(_FOLDER + key))
    return LIST_PATTERNS, Asked(ListRequest(limit=LISTED, offset=_offset(parts.query)))


def _offset(query: str) -> int:
    given = parse_qs(query).get("offset", ["0"])[0]
    if not (given.isascii() and given.isdigit()):
        raise ValidationError(f"offset must be a whole number from 0; got {given[:20]!r}.", field="offset")
    return int(given)


def _patterns(patterns: Iterable[Mapping[str, Any]]) -> Iterable[Resource]:
    for pattern in patterns:
        task = " ".join(str(pattern["task"]).split())
        tags = ", ".join(pattern["skills"])
        yield Resource(
            name=pattern["pattern_key"],
            title=task if len(task) <= TITLE_CHARS else f"{task[: TITLE_CHARS - 1]}…",
            uri=_SCHEME + pattern["pattern_key"],
            description=f"Score {pattern['success_score']:.1f}, reused {pattern['reuse_count']} times"
            + (f"; {tags}" if tags else ""),
            mime_type=_JSON,
        )
