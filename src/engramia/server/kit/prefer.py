"""What the caller prefers: the `Prefer` header of RFC 7240."""

from collections.abc import Iterable

from engramia.server.kit.header_list import split_outside_quotes

RESPOND_ASYNC = "respond-async"


def wants_async(headers: Iterable[str]) -> bool:
    """Return whether the `Prefer` headers of a request ask for an answer later: `respond-async; wait=5`."""
    preferences = (part for header in headers for part in split_outside_quotes(header, ","))
    return any(_name(preference) == RESPOND_ASYNC for preference in preferences)


def _name(preference: str) -> str:
    """Return the preference's name: what stands before its value and parameters."""
    return split_outside_quotes(preference, ";")[0].partition("=")[0].strip().lower()
