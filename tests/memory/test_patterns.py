"""Refining, looking at, tagging and deleting single patterns."""

from datetime import timedelta

import pytest

from engramia import Memory, NotFoundError, ReuseTier, ValidationError
from engramia.testing import FrozenClock

UNKNOWN = "patterns/" + "0" * 26


@pytest.fixture
def key(memory: Memory) -> str:
    return memory.learn(task="Resize an image", code="a", eval_score=6).pattern_key


def test_refining_adds_an_observation_and_leaves_the_score(
    memory: Memory, key: str, clock: FrozenClock
) -> None:
    clock.advance(timedelta(days=1))
    record = memory.refine_pattern(key, 9, "Handles transparency well")
    assert record == memory.get_pattern(key)
    assert record.pattern.success_score == 6
    last = record.observations[-1]
    assert (last.score, last.at, last.feedback) == (9.0, clock.now(), "Handles transparency well")


def test_feedback_is_redacted(memory: Memory, key: str) -> None:
    record = memory.refine_pattern(key, 2, "Ask jane.roe@bigcorp-mail.com about it")
    assert "jane.roe" not in str(record)


@pytest.mark.parametrize(
    "bad",
    ["abc", "patterns/", "patterns/../../etc/passwd", "patterns/" + "0" * 25, "patterns/" + "U" * 26, 7],
)
def test_a_malformed_key_is_refused_everywhere(memory: Memory, bad: str) -> None:
    for call in (
        lambda: memory.get_pattern(bad),
        lambda: memory.refine_pattern(bad, 5),
        lambda: memory.delete_pattern(bad),
        lambda: memory.register_skills(bad, ["x"]),
    ):
        with pytest.raises(ValidationError, match="pattern_key"):
            call()


def test_an_unknown_key_is_not_found_everywhere(memory: Memory) -> None:
    for call in (
        lambda: memory.get_pattern(UNKNOWN),
        lambda: memory.refine_pattern(UNKNOWN, 5, "said"),
        lambda: memory.delete_pattern(UNKNOWN),
        lambda: memory.register_skills(UNKNOWN, ["x"]),
    ):
        with pytest.raises(NotFoundError, match=UNKNOWN):
            call()
    assert memory.analyze_failures() == []


@pytest.mark.parametrize("score", [-1, 11, float("nan"), "5", None])
def test_a_bad_score_is_refused(memory: Memory, key: str, score: float) -> None:
    with pytest.raises(ValidationError, match="eval_score"):
        memory.refine_pattern(key, score)
    assert len(memory.get_pattern(key).observations) == 1


def test_deleting_takes_the_pattern_out_of_everything(memory: Memory, key: str) -> None:
    memory.register_skills(key, ["images"])
    memory.delete_pattern(key)
    assert list(memory.recall("Resize an image")) == []
    assert list(memory.find_by_skills(["images"])) == []
    assert list(memory.list_patterns()) == []
    assert memory.metrics().pattern_count == 0
    assert memory.learn(task="Resize an image", code="b", eval_score=1).duplicate_of is None


def test_listing_is_newest_first_and_pages(memory: Memory, clock: FrozenClock) -> None:
    keys = []
    for number in range(5):
        clock.advance(timedelta(seconds=1))
        keys.append(memory.learn(task=f"Count to {number}", code="x", eval_score=number).pattern_key)
    page = memory.list_patterns(limit=2)
    assert [pattern.key for pattern in page] == keys[:2:-1]
    assert (page.has_more, page.next_offset) == (True, 2)
    last = memory.list_patterns(limit=2, offset=4)
    assert ([pattern.key for pattern in last], last.has_more, last.next_offset) == (keys[:1], False, None)
    assert [pattern.key for pattern in memory.list_patterns(min_score=4)] == keys[4:]


def test_skills_are_cleaned_replaced_and_cleared(memory: Memory, key: str) -> None:
    assert memory.register_skills(key, [" CSV ", "csv", "Stats"]) == ("csv", "stats")
    assert memory.get_pattern(key).pattern.skills == ("csv", "stats")
    assert memory.register_skills(key, ["images"]) == ("images",)
    assert memory.register_skills(key, []) == ()
    assert memory.get_pattern(key).pattern.skills == ()


def test_finding_by_skills(memory: Memory, clock: FrozenClock) -> None:
    both = memory.learn(task="Plot a CSV", code="a", eval_score=5, skills=["csv", "plot"]).pattern_key
    clock.advance(timedelta(seconds=1))
    one = memory.learn(task="Sum a CSV", code="b", eval_score=9, skills=["csv"]).pattern_key
    assert [match.pattern_key for match in memory.find_by_skills(["CSV "])] == [one, both]
    assert [match.pattern_key for match in memory.find_by_skills(["csv", "plot"], match_all=True)] == [both]
    assert [match.pattern_key for match in memory.find_by_skills(["csv", "plot"])] == [one, both]
    (match, *_) = memory.find_by_skills(["plot"])
    assert (match.similarity, match.reuse_tier) == (1.0, ReuseTier.DUPLICATE)
    page = memory.find_by_skills(["csv"], limit=1)
    assert (len(page), page.has_more, page.next_offset) == (1, True, 1)


@pytest.mark.parametrize("skills", [[], ["  "], "csv", [1], ["x"] * 65])
def test_a_search_needs_real_tags(memory: Memory, skills: list[str]) -> None:
    with pytest.raises(ValidationError, match="skills"):
        memory.find_by_skills(skills)
