"""The obligations of `FeedbackStore` and `ActivityLog`."""

from dataclasses import replace
from datetime import timedelta

import pytest

from engramia.core import limits
from engramia.core.failures import FailureText
from engramia.core.model import ActivityCounts, Event, EventKind, FeedbackVariant, ReuseTier
from engramia.core.ports import ScopedStorage
from engramia.core.query import DecayPolicy
from tests.contract.samples import NOW, feedback, key

POLICY = DecayPolicy(0.9, 0.15)


def test_overlapping_is_best_first_and_stricter_than_the_bound(scope: ScopedStorage) -> None:
    with scope.writing() as stores:
        for name, text in (
            ("a", "missing error handling"),
            ("b", "Missing ERROR handling!"),
            ("c", "missing tests"),
        ):
            stores.feedback.put(feedback(name, text))
        found = stores.feedback.overlapping("missing error handling here", 0.4)
        assert {item.id for item in found} == {"a", "b"}
        assert stores.feedback.overlapping("missing tests", 0.2)[0].id == "c"
        # 1 of 4 words is shared: not more than a quarter.
        assert not stores.feedback.overlapping("missing one two", 0.25)
        assert [item.id for item in stores.feedback.overlapping("Missing tests.", 1.0)] == ["c"]


def test_put_takes_the_place_of_the_item_with_its_id(scope: ScopedStorage, elsewhere: ScopedStorage) -> None:
    with scope.writing() as stores:
        stores.feedback.put(feedback("a", "slow"))
        changed = replace(feedback("a", "very slow", count=3), variants=(FeedbackVariant("slow", 2, 0.0, 0),))
        stores.feedback.put(changed)
    with elsewhere.reading() as stores:
        assert stores.feedback.top(None, min_count=1, limit=9, offset=0).items == (changed,)


def test_top_goes_by_count_times_weight_and_pages_exactly(scope: ScopedStorage) -> None:
    with scope.writing() as stores:
        for name, count, weight in (("a", 2, 1.0), ("b", 9, 0.2), ("c", 3, 1.0), ("d", 1, 1.0)):
            stores.feedback.put(feedback(name, f"issue {name}", count=count, weight=weight))
        page = stores.feedback.top(None, min_count=2, limit=2, offset=0)
        assert [item.id for item in page] == ["c", "a"]
        assert page.next_offset == 2
        assert [item.id for item in stores.feedback.top(None, min_count=2, limit=2, offset=2)] == ["b"]


def test_top_keeps_those_whose_text_or_task_contains_the_task_type(scope: ScopedStorage) -> None:
    with scope.writing() as stores:
        stores.feedback.put(feedback("a", "No CSV header", task="x"))
        stores.feedback.put(feedback("b", "slow", task="Read a Csv file"))
        stores.feedback.put(feedback("c", "slow too", task="json"))
        page = stores.feedback.top("csv", min_count=1, limit=9, offset=0)
        assert {item.id for item in page} == {"a", "b"}


def test_texts_are_every_wording_with_its_mean_score(scope: ScopedStorage) -> None:
    wordings = (FeedbackVariant("slow", 4, 12.0, 3), FeedbackVariant("too slow", 1, 0.0, 0))
    with scope.writing() as stores:
        stores.feedback.put(replace(feedback("a", "slow"), variants=wordings))
        assert stores.feedback.texts() == [FailureText("slow", 4, 4.0), FailureText("too slow", 1, None)]


@pytest.mark.parametrize("steps", [1, 7])
def test_decay_depends_on_time_alone(scope: ScopedStorage, elsewhere: ScopedStorage, steps: int) -> None:
    with scope.writing() as stores:
        stores.feedback.put(feedback("a", "stays"))
        stores.feedback.put(feedback("b", "goes", weight=0.2))
        gone = [
            stores.feedback.decay(POLICY, NOW + timedelta(weeks=4) * step / steps)
            for step in range(1, steps + 1)
        ]
    assert sum(gone) == 1
    with elsewhere.reading() as stores:
        (left,) = stores.feedback.top(None, min_count=1, limit=9, offset=0).items
        assert left.weight == pytest.approx(0.9**4, rel=1e-12)
        assert left.decayed_at == NOW + timedelta(weeks=4)
        assert not stores.feedback.overlapping("goes", 0.4)


def learned(minute: int, score: float) -> Event:
    return Event(EventKind.LEARN, NOW + timedelta(minutes=minute), eval_score=score, pattern_key=key(minute))


def recalled(minute: int, tier: ReuseTier) -> Event:
    return Event(EventKind.RECALL, NOW + timedelta(minutes=minute), None, 0.5, tier, key(minute))


def test_counts_are_totals(scope: ScopedStorage, elsewhere: ScopedStorage) -> None:
    with scope.writing() as stores:
        assert stores.activity.counts() == ActivityCounts()
        for event in (
            learned(1, limits.SUCCESS_SCORE),
            learned(2, 4.99),
            recalled(3, ReuseTier.FRESH),
            recalled(4, ReuseTier.ADAPT),
            recalled(5, ReuseTier.DUPLICATE),
        ):
            stores.activity.record(event)
    with elsewhere.reading() as stores:
        assert stores.activity.counts() == ActivityCounts(runs=2, successes=1, recalls=3, reused=2)


def test_events_are_newest_first_filtered_and_limited(scope: ScopedStorage, elsewhere: ScopedStorage) -> None:
    happened = [learned(1, 5.0), recalled(2, ReuseTier.ADAPT), learned(3, 6.0), recalled(4, ReuseTier.FRESH)]
    with scope.writing() as stores:
        stores.activity.record(happened[0])
        stores.activity.record(*happened[1:])
        stores.activity.record()
    with elsewhere.reading() as stores:
        log = stores.activity
        assert log.events(since=None, kind=None, limit=9).items == tuple(reversed(happened))
        assert log.events(since=None, kind=EventKind.LEARN, limit=9).items == (happened[2], happened[0])
        assert log.events(since=happened[2].ts, kind=None, limit=9).items == (happened[3], happened[2])
        page = log.events(since=None, kind=None, limit=1)
        assert page.items == (happened[3],)
        assert page.has_more


def test_events_older_than_the_limit_go_but_their_counts_stay(scope: ScopedStorage) -> None:
    with scope.writing() as stores:
        stores.activity.record(learned(0, 9.0))
        late = Event(
            EventKind.LEARN, NOW + timedelta(days=limits.EVENTS_KEPT_DAYS, minutes=1), eval_score=1.0
        )
        stores.activity.record(late)
        assert stores.activity.events(since=None, kind=None, limit=9).items == (late,)
        assert stores.activity.counts().runs == 2
