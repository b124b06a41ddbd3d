"""Checks on input: what passes comes back clean, what does not is named together with its limit."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engramia.core import validation
from engramia.core.model import Classification, Scope, check_pattern_key
from engramia.errors import ValidationError


@pytest.mark.parametrize(
    "value", [10**400, -(10**400), 10**30, math.inf, -math.inf, math.nan, 11, -1, "5", None, True, [], 5j]
)
def test_what_is_no_score_is_refused_with_the_range(value: object) -> None:
    with pytest.raises(ValidationError, match="quality") as caught:
        validation.score(value, field="quality")
    assert caught.value.field == "quality"


@pytest.mark.parametrize(
    ("value", "shown"), [(10**5000, "bits"), (99, "99"), (-1, "-1")], ids=["huge", "99", "-1"]
)
def test_whole_numbers_name_the_range_whatever_their_size(value: int, shown: str) -> None:
    with pytest.raises(ValidationError, match=f"1 to 50; got .*{shown}"):
        validation.whole(value, field="limit", low=1, high=50)


@given(st.floats(0, 10) | st.integers(0, 10))
def test_every_score_in_the_range_passes(value: float) -> None:
    assert validation.score(value, field="quality") == value


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("", "blank"),
        (" \t\n", "blank"),
        ("x" * 11, "11 characters; the limit is 10"),
        ("a\0b", "NUL"),
        ("\ud800", "surrogate"),
        (b"x", "bytes"),
        (None, "NoneType"),
    ],
)
def test_text_that_cannot_be_stored_says_why(value: object, says: str) -> None:
    with pytest.raises(ValidationError, match=says) as caught:
        validation.text(value, field="task", max_chars=10)
    assert caught.value.field == "task"


def test_a_choice_names_what_may_be_chosen() -> None:
    assert validation.choice("public", Classification, field="classification") is Classification.PUBLIC
    with pytest.raises(ValidationError, match="public, internal, confidential"):
        validation.choice("secret", Classification, field="classification")


@given(st.lists(st.sampled_from([" CSV", "csv ", "Plot", "plot", "io"])))
def test_tags_are_clean_and_without_repeats(tags: list[str]) -> None:
    cleaned = validation.skills(tags)
    assert cleaned == validation.skills(list(cleaned))
    assert set(cleaned) == {tag.strip().lower() for tag in tags}
    assert len(set(cleaned)) == len(cleaned)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "-a", "_a", "a b", "ä", "a" * 65, "a\n", 5])
def test_a_scope_has_harmless_names_only(name: str) -> None:
    with pytest.raises(ValidationError, match="tenant_id"):
        Scope(tenant_id=name)
    with pytest.raises(ValidationError, match="project_id"):
        Scope(project_id=name)


@pytest.mark.parametrize("name", ["a", "A.b-c_d", "0", "a" * 64, "a..b"])
def test_a_scope_takes_every_documented_name(name: str) -> None:
    assert Scope(name, name).project_id == name


@given(st.text())
def test_only_keys_of_patterns_pass(text: str) -> None:
    with pytest.raises(ValidationError, match="pattern_key"):
        check_pattern_key(f"patterns/{text}" if len(text) != 26 else text)
