"""How the bodies of answers are read; a `KeyError` says that it is somebody else's."""

from typing import Any

from engramia.sdk.answers import Cluster, Issue, ListedPattern, Matches, Page
from engramia.sdk.calls import Document


def _paged(document: Document) -> dict[str, Any]:
    return {"has_more": document["has_more"], "next_offset": document["next_offset"]}


def matches(document: Document) -> Matches:
    """Return the matches of a recall or a search by tags."""
    return Matches(
        document["matches"],
        **_paged(document),
        degraded=document.get("degraded", False),
        reason=document.get("reason"),
    )


def patterns(document: Document) -> Page[ListedPattern]:
    """Return a page of patterns."""
    return Page(document["patterns"], **_paged(document))


def issues(document: Document) -> Page[Issue]:
    """Return a page of recurring issues."""
    return Page(document["feedback"], **_paged(document))


def clusters(document: Document) -> list[Cluster]:
    """Return clusters of failures."""
    return list(document["clusters"])


def tags(document: Document) -> list[str]:
    """Return the tags that a pattern has now."""
    return list(document["skills"])


def records(document: Document) -> list[Document]:
    """Return the records of an export."""
    return list(document["records"])
