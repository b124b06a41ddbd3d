"""What it means that two storages answer the same: equal but for the rounding of their sums."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from engramia.core.model import FeedbackItem, Pattern, PatternRecord
from engramia.core.ports import Stores
from engramia.core.query import Filter, Hit, Page, Search, SearchPage

PARTS = 1e-5
"""How far the parts of a score may lie apart: both add in single precision, in their own order."""
_TIE = 4 * PARTS


def same_pattern(ours: Pattern, theirs: Pattern) -> None:
    assert ours.success_score == pytest.approx(theirs.success_score, rel=1e-9)
    assert replace(ours, success_score=0.0) == replace(theirs, success_score=0.0)


def same_records(ours: Iterable[PatternRecord], theirs: Iterable[PatternRecord]) -> None:
    for left, right in zip(ours, theirs, strict=True):
        same_pattern(left.pattern, right.pattern)
        assert left.observations == right.observations
        assert left.versions == right.versions


def same_patterns(ours: Page[Pattern], theirs: Page[Pattern]) -> None:
    assert (ours.offset, ours.has_more) == (theirs.offset, theirs.has_more)
    for left, right in zip(ours, theirs, strict=True):
        same_pattern(left, right)


def same_feedback(ours: Iterable[FeedbackItem], theirs: Iterable[FeedbackItem]) -> None:
    for left, right in zip(ours, theirs, strict=True):
        assert left.weight == pytest.approx(right.weight, rel=1e-9)
        assert replace(left, weight=0.0) == replace(right, weight=0.0)


def same_search(ours: SearchPage, theirs: SearchPage) -> None:
    """Compare two pages; only hits whose scores are as good as equal may change places."""
    assert (ours.offset, ours.has_more, len(ours)) == (theirs.offset, theirs.has_more, len(theirs))
    assert ours.crowd == pytest.approx(theirs.crowd, abs=PARTS)
    assert ours.lead == pytest.approx(theirs.lead, abs=2 * PARTS)
    known = {hit.pattern.key: hit for hit in theirs}
    for place, hit in enumerate(ours):
        other = theirs.items[place]
        assert hit.score == pytest.approx(other.score, abs=_TIE)
        if hit.pattern.key != other.pattern.key:
            tied = known.get(hit.pattern.key, other)
            assert tied.score == pytest.approx(hit.score, abs=_TIE)
        if hit.pattern.key in known:
            same_hit(hit, known[hit.pattern.key])


def same_hit(ours: Hit, theirs: Hit) -> None:
    same_pattern(ours.pattern, theirs.pattern)
    assert ours.dense == theirs.dense
    for part in ("similarity", "lexical", "relevance", "quality", "recency"):
        assert getattr(ours, part) == pytest.approx(getattr(theirs, part), abs=PARTS), part


def same_scope(ours: Stores, theirs: Stores, searches: Iterable[Search]) -> None:
    """Compare everything that the stores answer."""
    left, right = ours.patterns, theirs.patterns
    assert left.count() == right.count()
    assert left.embedding_model() == right.embedding_model()
    assert left.waiting_count() == right.waiting_count()
    assert {key for key, _ in left.waiting(99)} == {key for key, _ in right.waiting(99)}
    same_records(left.records(Filter()), right.records(Filter()))
    for offset in (0, 2):
        same_patterns(
            left.list(Filter(), limit=3, offset=offset), right.list(Filter(), limit=3, offset=offset)
        )
    for search in searches:
        same_search(left.search(search), right.search(search))
        found = left.near_identical(search.task, 0.6), right.near_identical(search.task, 0.6)
        for ours_near, theirs_near in zip(*found, strict=True):
            same_pattern(ours_near, theirs_near)
    for match_all in (True, False):
        tagged = [
            store.with_skills(["a", "b"], match_all=match_all, limit=4, offset=0) for store in (left, right)
        ]
        same_patterns(*tagged)
    same_activity(ours, theirs)


def same_activity(ours: Stores, theirs: Stores) -> None:
    assert ours.activity.counts() == theirs.activity.counts()
    log = [stores.activity.events(since=None, kind=None, limit=5) for stores in (ours, theirs)]
    assert log[0] == log[1]
    for asked in (None, "ss", "Ä"):
        tops = [stores.feedback.top(asked, min_count=1, limit=3, offset=0) for stores in (ours, theirs)]
        assert tops[0].has_more == tops[1].has_more
        same_feedback(*tops)
    for text in ("slow output", "", "no tests"):
        same_feedback(ours.feedback.overlapping(text, 0.3), theirs.feedback.overlapping(text, 0.3))
    assert ours.feedback.texts() == theirs.feedback.texts()
