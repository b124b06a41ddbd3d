"""Addresses of patterns."""

import pytest

from engramia.errors import NotFoundError, ValidationError
from engramia.mcp import resources
from engramia.mcp.operations import GET_PATTERN, LIST_PATTERNS

ID = "01kabcdefghjkmnpqrstvwxyz0"


@pytest.mark.parametrize(
    "uri",
    [
        f"engramia://patterns/{ID}",
        f"engramia://patterns/{ID}/",
        f"engramia://patterns/patterns/{ID}",
        f"engramia://patterns/patterns%2F{ID}",
    ],
)
def test_a_pattern_is_found_under_every_spelling_of_its_key(uri: str) -> None:
    operation, asked = resources.wanted(uri)
    assert operation is GET_PATTERN
    assert asked.key == f"patterns/{ID}"


@pytest.mark.parametrize(
    ("uri", "offset"), [("engramia://patterns", 0), ("engramia://patterns?offset=100", 100)]
)
def test_the_listing_has_pages(uri: str, offset: int) -> None:
    operation, asked = resources.wanted(uri)
    assert operation is LIST_PATTERNS
    assert asked.body.offset == offset


@pytest.mark.parametrize(
    "uri", ["file:///etc/passwd", "engramia://keys", "engramia://patternsx/1", "", "patterns"]
)
def test_what_is_no_resource_is_not_found(uri: str) -> None:
    with pytest.raises(NotFoundError):
        resources.wanted(uri)


@pytest.mark.parametrize(
    "uri", ["engramia://patterns/../keys", "engramia://patterns/01K", "engramia://patterns?offset=-1"]
)
def test_a_key_or_offset_that_is_none_is_refused(uri: str) -> None:
    with pytest.raises(ValidationError):
        resources.wanted(uri)


def test_a_long_task_is_shortened_in_the_list() -> None:
    pattern = {
        "pattern_key": f"patterns/{ID}",
        "task": "Sort\na list " * 20,
        "success_score": 8.25,
        "reuse_count": 2,
        "skills": ["python"],
    }
    listing, one = resources.listed({"patterns": [pattern]})
    assert listing.uri == resources.LISTING
    assert one.uri == f"engramia://patterns/{ID}"
    assert one.title is not None
    assert len(one.title) == resources.TITLE_CHARS
    assert one.title.startswith("Sort a list")
    assert one.description == "Score 8.2, reused 2 times; python"
