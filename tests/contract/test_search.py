"""The obligations of `PatternStore.search`."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from engramia.core.model import Classification, Source
from engramia.core.ports import ScopedStorage
from engramia.core.query import Filter, Hit, Page, Search, SearchPage
from engramia.core.ranking import Fusion
from engramia.errors import EmbeddingModelMismatchError
from tests.contract.samples import NOW, at_cosine, dense, key, record, search, unit

QUERY = unit(1, 0, 0)
COSINE_ONLY = Fusion(task_words=0.0, code_words=0.0, word_order=0.0, agreement=0.0)


def keys(page: Page[Hit]) -> list[str]:
    return [hit.pattern.key for hit in page]


def ask(scope: ScopedStorage, question: Search) -> SearchPage:
    with scope.reading() as stores:
        return stores.patterns.search(question)


def fill(scope: ScopedStorage, cosines: Sequence[float]) -> None:
    with scope.writing() as stores:
        for number, cosine in enumerate(cosines):
            stores.patterns.add(dense(number, f"task w{number}"), at_cosine(cosine))


def test_an_empty_scope_has_no_match(scope: ScopedStorage) -> None:
    page = ask(scope, search(vector=QUERY))
    assert (page.items, page.has_more) == ((), False)


def test_similarity_is_the_cosine_clamped_and_orders_the_answer(scope: ScopedStorage) -> None:
    fill(scope, [0.2, 0.9, -0.5, 0.6])
    page = ask(scope, search(vector=QUERY, fusion=COSINE_ONLY, deduplicate=False))
    assert keys(page) == [key(1), key(3), key(0), key(2)]
    assert [hit.similarity for hit in page] == pytest.approx([0.9, 0.6, 0.2, 0.0], abs=1e-6)
    assert all(hit.dense for hit in page)


def test_scores_are_the_product_of_their_parts_and_descend(scope: ScopedStorage) -> None:
    with scope.writing() as stores:
        for number in range(30):
            one = dense(number, f"sort list {number % 7} fast", scores=(float(number % 11),))
            stores.patterns.add(one, at_cosine(1.0 - number / 40))
    page = ask(scope, search("sort list 3", QUERY, limit=50, recency_weight=0.5, deduplicate=False))
    scores = [(hit.score, hit.pattern.key) for hit in page]
    assert len(scores) == 30
    assert scores == sorted(scores, reverse=True)
    for hit in page:
        assert hit.score == hit.relevance * hit.quality * hit.recency
        assert all(0 <= part <= 1 for part in (hit.relevance, hit.quality, hit.recency, hit.lexical))


def test_equal_patterns_come_newest_first_wherever_they_stand(scope: ScopedStorage) -> None:
    with scope.writing() as stores:
        for number in (5, 1, 9, 3, 7, 2, 8, 11, 30, 25, 13):
            stores.patterns.add(dense(number, "count the words"), unit(0.3, 0.2, 0.7))
    page = ask(scope, search("count words", unit(0.2, 0.3, 0.6), deduplicate=False, limit=20))
    assert keys(page) == [key(number) for number in (30, 25, 13, 11, 9, 8, 7, 5, 3, 2, 1)]


def test_a_match_needs_the_least_similarity(scope: ScopedStorage) -> None:
    fill(scope, [0.8, 0.6, 0.4])
    assert keys(ask(scope, search(vector=QUERY, min_similarity=0.6 - 1e-6))) == [key(0), key(1)]
    assert keys(ask(scope, search(vector=QUERY, min_similarity=0.61))) == [key(0)]


@pytest.mark.parametrize("deduplicate", [True, False])
def test_pages_are_full_and_has_more_is_exact(scope: ScopedStorage, *, deduplicate: bool) -> None:
    fill(scope, [1 - number / 200 for number in range(100)])
    seen: list[str] = []
    for offset in range(0, 100, 7):
        page = ask(scope, search(vector=QUERY, limit=7, offset=offset, deduplicate=deduplicate))
        assert len(page.items) == min(7, 100 - offset)
        assert page.next_offset == (offset + 7 if offset + 7 < 100 else None)
        seen += keys(page)
    assert seen == [key(number) for number in range(100)]
    assert not ask(scope, search(vector=QUERY, limit=7, offset=100, deduplicate=deduplicate)).items


def test_groups_keep_their_best_and_leave_pages_full(scope: ScopedStorage) -> None:
    with scope.writing() as stores:
        for number in range(120):
            task = f"convert report {number % 6}{number % 6} into a table please"
            stores.patterns.add(dense(number, task), at_cosine(0.99 - number / 1000))
        stores.patterns.add(dense(500, "draw a red circle"), at_cosine(0.3))
    page = ask(scope, search("x", QUERY, limit=2))
    assert keys(page) == [key(0), key(500)]
    assert not page.has_more
    assert ask(scope, search("x", QUERY, limit=1)).has_more
    assert len(ask(scope, search("x", QUERY, limit=50, deduplicate=False)).items) == 50


def test_filters_apply_inside_the_search(scope: ScopedStorage) -> None:
    with scope.writing() as stores:
        for number in range(60):
            stores.patterns.add(
                dense(
                    number,
                    f"task w{number}",
                    classification=Classification.PUBLIC if number >= 50 else Classification.INTERNAL,
                    source=Source.API if number % 2 else Source.SDK,
                    success_score=float(number % 10),
                ),
                at_cosine(0.9 - number / 100),
            )
    asked = search(vector=QUERY, limit=5, filter=Filter(classification=Classification.PUBLIC))
    assert keys(ask(scope, asked)) == [key(number) for number in range(50, 55)]
    asked = search(vector=QUERY, filter=Filter(Classification.PUBLIC, Source.API, 7.0))
    assert keys(ask(scope, asked)) == [key(57), key(59)]


def test_quality_weighs_only_where_asked(scope: ScopedStorage) -> None:
    with scope.writing() as stores:
        stores.patterns.add(dense(1, "a w1", scores=(10.0,)), at_cosine(0.80))
        stores.patterns.add(dense(2, "b w2", scores=(0.0, 10.0, 0.0)), at_cosine(0.82))
        stores.patterns.add(dense(3, "c w3"), at_cosine(0.5))
    weighted = ask(scope, search(vector=QUERY))
    assert [hit.quality for hit in weighted] == [1.0, 0.75, 0.5][: len(weighted)] or keys(weighted)[0] == key(
        1
    )
    assert {hit.pattern.key: hit.quality for hit in weighted} == {key(1): 1.0, key(2): 0.5, key(3): 0.75}
    assert keys(weighted)[0] == key(1)
    plain = ask(scope, search(vector=QUERY, eval_weighted=False))
    assert keys(plain)[0] == key(2)
    assert {hit.quality for hit in plain} == {1.0}


def test_quality_follows_new_observations(scope: ScopedStorage) -> None:
    from engramia.core.model import Observation

    fill(scope, [0.8, 0.79])
    with scope.writing() as stores:
        stores.patterns.observe(key(1), Observation(10.0, NOW))
    assert keys(ask(scope, search(vector=QUERY))) == [key(1), key(0)]


def test_recency_weighs_only_where_asked(scope: ScopedStorage) -> None:
    with scope.writing() as stores:
        old = NOW - timedelta(days=300)
        stores.patterns.add(dense(1, "a w1", created_at=old), at_cosine(0.80))
        stores.patterns.add(dense(2, "b w2"), at_cosine(0.75))
    assert keys(ask(scope, search(vector=QUERY))) == [key(1), key(2)]
    recent = ask(scope, search(vector=QUERY, recency_weight=0.5, recency_half_life_days=30.0))
    assert keys(recent) == [key(2), key(1)]
    assert recent.items[1].recency == pytest.approx(0.5 + 0.5 * 2**-10, abs=1e-9)


def test_words_alone_are_asked_without_a_vector(scope: ScopedStorage) -> None:
    with scope.writing() as stores:
        stores.patterns.add(dense(1, "parse the apache log"), at_cosine(0.1))
        stores.patterns.add(dense(2, "bake bread"), at_cosine(0.9))
    page = ask(scope, search("parse apache log"))
    assert keys(page) == [key(1)]
    assert page.items[0].similarity == page.items[0].lexical > 0.5
    assert not page.items[0].dense


def test_the_words_of_the_code_count(scope: ScopedStorage) -> None:
    with scope.writing() as stores:
        stores.patterns.add(dense(1, "alpha", code="print('x')"), at_cosine(0.5))
        stores.patterns.add(dense(2, "beta", code="conn = sqlite3.connect('shop.db')"), at_cosine(0.5))
    assert keys(ask(scope, search("connect sqlite3", QUERY))) == [key(2), key(1)]


def test_patterns_without_a_vector_match_by_their_words(scope: ScopedStorage) -> None:
    with scope.writing() as stores:
        stores.patterns.add(dense(1, "bake bread"), at_cosine(0.9))
        stores.patterns.add(record(2, "parse the apache log"), None)
        stores.patterns.add(record(3, "water some plants"), None)
    page = ask(scope, search("parse the apache log", QUERY, min_similarity=0.95))
    assert keys(page) == [key(2)]
    assert not page.items[0].dense
    with scope.writing() as stores:
        stores.patterns.set_vectors("test-model", [(key(2), at_cosine(0.97))])
    page = ask(scope, search("parse the apache log", QUERY, min_similarity=0.95))
    assert page.items[0].dense
    assert page.items[0].similarity == pytest.approx(0.97, abs=1e-6)


def test_vectors_of_a_former_model_no_longer_count(scope: ScopedStorage) -> None:
    fill(scope, [0.9])
    with scope.writing() as stores:
        stores.patterns.use_embedding_model("new")
    assert not ask(scope, search("nothing shared", unit(1, 0, 0, 0))).items


def test_a_vector_of_another_dimension_is_refused(scope: ScopedStorage) -> None:
    fill(scope, [0.9])
    with pytest.raises(EmbeddingModelMismatchError, match="reindex"):
        ask(scope, search(vector=unit(1, 0)))


def test_deleted_and_overwritten_patterns_are_not_found(scope: ScopedStorage) -> None:
    fill(scope, [0.9, 0.8, 0.7])
    with scope.writing() as stores:
        stores.patterns.delete([key(0)])
        stores.patterns.add(dense(1, "other"), at_cosine(0.1))
        stores.patterns.add(dense(7, "task w7"), at_cosine(0.5))
    page = ask(scope, search(vector=QUERY, min_similarity=0.05))
    assert keys(page) == [key(2), key(7), key(1)]


def test_asking_changes_nothing(scope: ScopedStorage) -> None:
    fill(scope, [0.9, 0.8])
    first = ask(scope, search(vector=QUERY))
    assert ask(scope, search(vector=QUERY)) == first
    assert [hit.pattern.reuse_count for hit in first] == [0, 0]


@pytest.mark.parametrize(
    "options", [{}, {"limit": 1}, {"offset": 3}, {"min_similarity": 0.95}, {"filter": Filter(min_score=11)}]
)
def test_the_crowd_is_the_fourth_nearest_of_all_however_one_asks(
    scope: ScopedStorage, options: dict[str, object]
) -> None:
    fill(scope, [0.9, 0.1, 0.7, 0.8, 0.5, 0.6])
    page = ask(scope, search(vector=QUERY, fusion=COSINE_ONLY, deduplicate=False, **options))  # type: ignore[arg-type]  # by name
    assert page.crowd == pytest.approx(0.6, abs=1e-5)


def test_fewer_than_four_are_no_crowd(scope: ScopedStorage) -> None:
    fill(scope, [0.9, 0.8, 0.7])
    assert ask(scope, search(vector=QUERY)).crowd == 0.0


@pytest.mark.parametrize("limit", [1, 5])
@pytest.mark.parametrize("deduplicate", [True, False])
def test_the_lead_is_over_the_next_group(scope: ScopedStorage, *, limit: int, deduplicate: bool) -> None:
    with scope.writing() as stores:
        stores.patterns.add(dense(1, "sort the long list fast"), at_cosine(0.9))
        stores.patterns.add(dense(2, "sort the long list fast"), at_cosine(0.89))
        stores.patterns.add(dense(3, "draw a circle"), at_cosine(0.5))
    page = ask(scope, search(vector=QUERY, fusion=COSINE_ONLY, limit=limit, deduplicate=deduplicate))
    everything = ask(scope, search(vector=QUERY, fusion=COSINE_ONLY, limit=5, deduplicate=False))
    first, _, other = everything.items
    assert page.lead == pytest.approx(first.relevance - other.relevance)
