"""The obligations of `PatternStore`, all but `search`."""

from dataclasses import replace
from datetime import timedelta, timezone

import numpy as np
import pytest

from engramia.core import limits
from engramia.core.model import Classification, Observation, PatternRecord, Source
from engramia.core.ports import PatternStore, ScopedStorage
from engramia.core.query import DecayPolicy, Filter
from engramia.errors import EmbeddingModelMismatchError, NotFoundError, ValidationError
from tests.contract.samples import MODEL, NOW, dense, key, pattern, record, unit, version

POLICY = DecayPolicy(0.98, 0.1)


def add(patterns: PatternStore, *records: PatternRecord) -> None:
    for one in records:
        patterns.add(one, None)


def test_get_returns_every_field_as_it_was_added(scope: ScopedStorage, elsewhere: ScopedStorage) -> None:
    full = PatternRecord(
        pattern(
            1,
            'Läs "filen" \\ på\n日本語 \x01\u2028',
            output=None,
            success_score=1 / 3,
            reuse_count=2**40,
            classification=Classification.CONFIDENTIAL,
            source=Source.IMPORT,
            run_id="r-1",
            author="key-7",
            skills=("csv", "json"),
            embedding_model=MODEL,
            decayed_at=NOW + timedelta(days=9),
        ),
        versions=(version(1), version(2)),
        observations=(Observation(0.1, NOW), Observation(9.9, NOW, "tidy")),
    )
    with scope.writing() as stores:
        stores.patterns.add(full, unit(1, 2))
    for view in (scope, elsewhere):
        with view.reading() as stores:
            assert stores.patterns.get(key(1)) == full


def test_present_tells_which_keys_are_taken(scope: ScopedStorage, elsewhere: ScopedStorage) -> None:
    asked = [key(number) for number in (1, 2, 3, 3)]
    with elsewhere.reading() as stores:
        assert stores.patterns.present(asked) == set()
    with scope.writing() as stores:
        add(stores.patterns, record(1), record(3), record(4))
        assert stores.patterns.present(asked) == {key(1), key(3)}
        stores.patterns.delete([key(1)])
    with elsewhere.reading() as stores:
        assert stores.patterns.present(asked) == {key(3)}
        assert stores.patterns.present([]) == set()


def test_times_come_back_in_utc(scope: ScopedStorage) -> None:
    oslo = NOW.astimezone(timezone(timedelta(hours=2)))
    with scope.writing() as stores:
        add(stores.patterns, record(1, created_at=oslo))
        found = stores.patterns.get(key(1))
    assert found is not None
    assert found.pattern.created_at == oslo
    assert found.pattern.created_at.utcoffset() == timedelta(0)


def test_adding_under_a_key_takes_the_place_of_what_has_it(scope: ScopedStorage) -> None:
    with scope.writing() as stores:
        stores.patterns.add(dense(1, "sort words by length", skills=("sort",)), unit(1, 0))
        add(stores.patterns, record(1, "draw a circle"))
        assert stores.patterns.count() == 1
        assert stores.patterns.waiting_count() == 1
        assert not stores.patterns.near_identical("sort words by length", 0.9)
        assert not stores.patterns.with_skills(["sort"], match_all=True, limit=9, offset=0).items


def test_writes_that_name_a_key_that_is_not_there_raise(scope: ScopedStorage) -> None:
    with scope.writing() as stores:
        patterns = stores.patterns
        with pytest.raises(NotFoundError, match="patterns/"):
            patterns.replace(pattern(1), version(1))
        with pytest.raises(NotFoundError, match="patterns/"):
            patterns.observe(key(1), Observation(5, NOW))
        with pytest.raises(NotFoundError, match="patterns/"):
            patterns.set_skills(key(1), ["a"])
        with pytest.raises(NotFoundError, match="patterns/"):
            patterns.classify(key(1), Classification.PUBLIC)
        assert patterns.get(key(1)) is None


@pytest.mark.parametrize("wrong", ["patterns/../etc", "patterns/short", "x" * 26, "patterns/" + "U" * 26])
def test_a_key_of_another_form_is_refused(scope: ScopedStorage, wrong: str) -> None:
    with scope.writing() as stores, pytest.raises(ValidationError) as raised:
        add(stores.patterns, record(1, key=wrong))
    assert raised.value.field == "pattern_key"


def test_text_that_is_no_unicode_is_refused_and_leaves_nothing(scope: ScopedStorage) -> None:
    with scope.writing() as stores:
        with pytest.raises(ValidationError):
            add(stores.patterns, record(1, "lone \ud800 surrogate"))
        assert stores.patterns.count() == 0


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_scores_that_are_no_number_are_refused_and_leave_nothing(scope: ScopedStorage, wrong: float) -> None:
    with scope.writing() as stores:
        add(stores.patterns, record(1))
        with pytest.raises(ValidationError, match="finite"):
            add(stores.patterns, record(2, success_score=wrong))
        with pytest.raises(ValidationError, match="finite"):
            stores.patterns.observe(key(1), Observation(wrong, NOW))
        assert stores.patterns.get(key(1)) == record(1)
        assert stores.patterns.count() == 1


def test_near_identical_finds_equal_tasks_first_then_overlapping_ones(scope: ScopedStorage) -> None:
    words = "read the csv file skip the header and print every second row of it as json with indent four"
    with scope.writing() as stores:
        add(
            stores.patterns,
            record(1, words + " now"),
            record(2, words.upper().replace(" ", ", ") + "!"),
            record(3, "something else entirely"),
        )
        found = stores.patterns.near_identical(words, 0.92)
        assert [one.key for one in found] == [key(2), key(1)]
        assert [one.key for one in stores.patterns.near_identical(words, 0.99)] == [key(2)]


def test_near_identical_knows_tasks_without_words(scope: ScopedStorage) -> None:
    with scope.writing() as stores:
        add(stores.patterns, record(1, "???"), record(2, "why ???"))
        assert [one.key for one in stores.patterns.near_identical("!?", 0.92)] == [key(1)]


def test_near_identical_follows_replace_and_delete(scope: ScopedStorage) -> None:
    with scope.writing() as stores:
        add(stores.patterns, record(1, "count the vowels"), record(2, "count the vowels"))
        stores.patterns.replace(pattern(1, "Count the vowels!"), version(1))
        stores.patterns.delete([key(2)])
        assert [one.key for one in stores.patterns.near_identical("count the vowels", 0.92)] == [key(1)]


def test_replace_keeps_vector_and_history_and_appends_the_version(scope: ScopedStorage) -> None:
    better = pattern(1, "task number 1", code="better()", success_score=9.0, embedding_model=MODEL)
    with scope.writing() as stores:
        stores.patterns.add(dense(1, scores=(4.0,)), unit(1, 0))
        stores.patterns.replace(better, version(1))
        found = stores.patterns.get(key(1))
        assert found == PatternRecord(better, (version(1),), dense(1, scores=(4.0,)).observations)
        assert stores.patterns.waiting_count() == 0


def test_history_is_kept_up_to_its_limits_newest_last(scope: ScopedStorage) -> None:
    with scope.writing() as stores:
        add(stores.patterns, record(1))
        for number in range(limits.VERSIONS_KEPT + 3):
            stores.patterns.replace(pattern(1), version(number))
        for number in range(limits.OBSERVATIONS_KEPT + 3):
            stores.patterns.observe(key(1), Observation(5.0, NOW + timedelta(minutes=number)))
        found = stores.patterns.get(key(1))
    assert found is not None
    assert len(found.versions) == limits.VERSIONS_KEPT
    assert found.versions[-1] == version(limits.VERSIONS_KEPT + 2)
    assert len(found.observations) == limits.OBSERVATIONS_KEPT
    assert found.observations[-1].at == NOW + timedelta(minutes=limits.OBSERVATIONS_KEPT + 2)


def test_list_is_newest_first_filtered_and_paged_exactly(scope: ScopedStorage) -> None:
    with scope.writing() as stores:
        add(
            stores.patterns,
            record(1),
            record(3, classification=Classification.PUBLIC, success_score=5.0),
            record(2, source=Source.API, success_score=4.999),
            record(4, created_at=NOW),
            record(5, created_at=NOW),
        )
        everything = stores.patterns.list(Filter(), limit=9, offset=0)
        assert [one.key for one in everything] == [key(3), key(2), key(1), key(5), key(4)]
        page = stores.patterns.list(Filter(), limit=2, offset=2)
        assert [one.key for one in page] == [key(1), key(5)]
        assert page.next_offset == 4
        assert not stores.patterns.list(Filter(), limit=2, offset=3).has_more
        assert not stores.patterns.list(Filter(), limit=2, offset=30).items
        asked = Filter(min_score=5.0)
        assert [one.key for one in stores.patterns.list(asked, limit=9, offset=0)] == [
            key(3), key(1), key(5), key(4),
        ]  # fmt: skip
        asked = Filter(classification=Classification.PUBLIC)
        assert [one.key for one in stores.patterns.list(asked, limit=9, offset=0)] == [key(3)]
        assert [one.key for one in stores.patterns.list(Filter(source=Source.API), limit=9, offset=0)] == [
            key(2)
        ]


def test_with_skills_matches_all_or_any_best_score_first_then_newest(scope: ScopedStorage) -> None:
    with scope.writing() as stores:
        patterns = stores.patterns
        add(
            patterns,
            record(1, skills=("csv",)),
            record(2, skills=("csv", "json")),
            record(3, skills=("json",), success_score=9.0),
            record(4, skills=("xml",)),
        )
        either = patterns.with_skills(["csv", "json"], match_all=False, limit=2, offset=0)
        assert [one.key for one in either] == [key(3), key(2)]
        assert either.next_offset == 2
        both = patterns.with_skills(["csv", "json"], match_all=True, limit=9, offset=0)
        assert [one.key for one in both] == [key(2)]
        patterns.set_skills(key(2), ["xml"])
        patterns.set_skills(key(4), [])
        assert [one.key for one in patterns.with_skills(["xml"], match_all=True, limit=9, offset=0)] == [
            key(2)
        ]
        assert not patterns.with_skills(["none"], match_all=False, limit=9, offset=0).items


def test_records_are_in_key_order_and_as_of_the_call(scope: ScopedStorage) -> None:
    with scope.writing() as stores:
        add(stores.patterns, record(2), record(1), record(3, classification=Classification.PUBLIC))
        everything = stores.patterns.records(Filter())
        first = next(everything)
        stores.patterns.delete([key(2)])
        add(stores.patterns, record(4), record(3))
        stores.patterns.count_reuse([key(3)])
        stores.patterns.age(POLICY, NOW + timedelta(weeks=9))
    rest = [*everything]
    assert [first, *rest] == [record(1), record(2), record(3, classification=Classification.PUBLIC)]
    with scope.reading() as stores:
        assert [one.pattern.key for one in stores.patterns.records(Filter(min_score=0.0))] == [
            key(1),
            key(3),
            key(4),
        ]


def test_mean_observation_counts_those_at_or_after_a_moment(scope: ScopedStorage) -> None:
    with scope.writing() as stores:
        assert stores.patterns.mean_observation(NOW) is None
        add(stores.patterns, record(1, scores=(1.0, 5.0)), record(2, scores=(9.0,)))
        assert stores.patterns.mean_observation(NOW) == 5.0
        assert stores.patterns.mean_observation(NOW + timedelta(minutes=1)) == 5.0
        assert stores.patterns.mean_observation(NOW + timedelta(minutes=1, microseconds=1)) is None
        stores.patterns.delete([key(2)])
        assert stores.patterns.mean_observation(NOW) == 3.0


def test_classify_and_count_reuse(scope: ScopedStorage, elsewhere: ScopedStorage) -> None:
    with scope.writing() as stores:
        add(stores.patterns, record(1), record(2))
        stores.patterns.classify(key(1), Classification.PUBLIC)
        stores.patterns.count_reuse([key(1), key(9)])
        stores.patterns.count_reuse([key(1)])
    with elsewhere.reading() as stores:
        assert stores.patterns.get(key(1)) == record(1, classification=Classification.PUBLIC, reuse_count=2)
        assert stores.patterns.get(key(2)) == record(2)


@pytest.mark.parametrize("steps", [1, 24])
def test_aging_depends_on_time_alone_not_on_how_often_it_runs(scope: ScopedStorage, steps: int) -> None:
    with scope.writing() as stores:
        add(stores.patterns, record(0, success_score=8.0))
        for step in range(1, steps + 1):
            assert stores.patterns.age(POLICY, NOW + timedelta(weeks=10) * step / steps) == 0
        found = stores.patterns.get(key(0))
    assert found is not None
    assert found.pattern.success_score == pytest.approx(8.0 * 0.98**10, rel=1e-12)
    assert found.pattern.decayed_at == NOW + timedelta(weeks=10)
    assert found.pattern.created_at == NOW


def test_aging_prunes_what_fell_low_and_never_goes_back_in_time(scope: ScopedStorage) -> None:
    with scope.writing() as stores:
        add(stores.patterns, record(0, success_score=0.11), record(1, success_score=0.1))
        assert stores.patterns.age(POLICY, NOW - timedelta(weeks=50)) == 0
        assert stores.patterns.get(key(0)) == record(0, success_score=0.11)
        assert stores.patterns.age(POLICY, NOW + timedelta(weeks=1)) == 1
        assert stores.patterns.count() == 1


def test_delete_counts_what_was_there_and_takes_all_that_hangs_on_it(
    scope: ScopedStorage, elsewhere: ScopedStorage
) -> None:
    with scope.writing() as stores:
        stores.patterns.add(dense(1, skills=("csv",), scores=(9.0,)), unit(1, 0))
        add(stores.patterns, record(2))
        assert stores.patterns.delete([key(1), key(1), key(7)]) == 1
    with elsewhere.reading() as stores:
        assert stores.patterns.count() == 1
        assert stores.patterns.get(key(1)) is None
        assert stores.patterns.mean_observation(NOW) is None
        assert not stores.patterns.with_skills(["csv"], match_all=True, limit=9, offset=0).items
        assert not stores.patterns.near_identical("task number 1", 0.92)


def test_the_first_vector_makes_its_model_the_stores_own(scope: ScopedStorage) -> None:
    with scope.writing() as stores:
        add(stores.patterns, record(1))
        assert stores.patterns.embedding_model() is None
        stores.patterns.add(dense(2), unit(1, 0))
        assert stores.patterns.embedding_model() == MODEL
        assert stores.patterns.waiting(9) == [(key(1), "task number 1")]


def test_vectors_of_another_model_shape_or_value_are_refused(scope: ScopedStorage) -> None:
    with scope.writing() as stores:
        stores.patterns.add(dense(1), unit(1, 0))
        with pytest.raises(EmbeddingModelMismatchError, match="reindex"):
            stores.patterns.add(record(2, embedding_model="other"), unit(1, 0))
        with pytest.raises(EmbeddingModelMismatchError, match="reindex"):
            stores.patterns.set_vectors("other", [(key(1), unit(1, 0))])
        for wrong in (unit(1, 0, 0), np.array([np.nan, 0], dtype=np.float32)):
            with pytest.raises(ValidationError):
                stores.patterns.add(dense(2), wrong)
        with pytest.raises(ValidationError):
            stores.patterns.add(record(2), unit(1, 0))
        assert stores.patterns.count() == 1


def test_reindexing_goes_batch_by_batch_to_another_dimension(
    scope: ScopedStorage, elsewhere: ScopedStorage
) -> None:
    with scope.writing() as stores:
        for number in range(3):
            stores.patterns.add(dense(number), unit(1, 0))
    with scope.writing() as stores:
        stores.patterns.use_embedding_model("new")
        assert stores.patterns.waiting_count() == 3
        assert stores.patterns.get(key(0)) == record(0)
        stores.patterns.set_vectors("new", [(key(0), unit(1, 0, 0)), (key(9), unit(1, 0, 0))])
    with elsewhere.writing() as stores:
        assert stores.patterns.embedding_model() == "new"
        assert [waiting for waiting, _ in stores.patterns.waiting(2)] == [key(1), key(2)]
        assert len(stores.patterns.waiting(1)) == 1
        stores.patterns.use_embedding_model("new")
        stores.patterns.set_vectors("new", [(key(number), unit(0, 1, 0)) for number in (1, 2)])
        assert stores.patterns.waiting_count() == 0
        found = stores.patterns.get(key(1))
        assert found == replace(record(1), pattern=replace(pattern(1), embedding_model="new"))
