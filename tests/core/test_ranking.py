from collections.abc import Iterator
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engramia.core.ranking import (
    Fusion,
    head_bonus,
    lexical_part,
    one_per_group,
    quality_factor,
    recency_factor,
    relevance,
    word_order,
)

FUSION = Fusion()
SHARES = st.floats(0, 1, width=32)


def floats(*values: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.array(values, np.float32)


@given(SHARES, SHARES, st.floats(-1, 1, width=32))
def test_relevance_stays_between_0_and_1_with_its_bonus(task: float, code: float, cosine: float) -> None:
    bonus = head_bonus(1.0, agrees=True, dense=True, fusion=FUSION)
    fused = relevance(floats(cosine), floats(task), floats(code), FUSION)[0]
    assert 0 <= fused <= fused + bonus <= 1 + 1e-6
    alone = relevance(None, floats(task), floats(code), FUSION)[0]
    assert 0 <= alone <= alone + head_bonus(1.0, agrees=True, dense=False, fusion=FUSION) <= 1 + 1e-6


def test_relevance_of_known_parts() -> None:
    fusion = Fusion(task_words=0.5, code_words=0.25, word_order=0.15, agreement=0.1)
    # cos 60 degrees is a half, and 60 of 90 degrees leave a third.
    fused = relevance(floats(0.5), floats(0.8), floats(0.4), fusion)
    assert fused.dtype == np.float32
    assert fused[0] == pytest.approx((1 / 3 + 0.5 * 0.8 + 0.25 * 0.4) / 2.0)


def test_a_pattern_without_a_vector_is_ranked_by_its_words_alone() -> None:
    task, code = floats(0.9, 0.9), floats(0.2, 0.2)
    mixed = relevance(floats(np.nan, 0.7), task, code, FUSION)
    alone = relevance(None, task, code, FUSION)
    assert mixed[0] == alone[0] == pytest.approx(lexical_part(task, code, FUSION)[0] / 1.25)
    assert mixed[1] != alone[1]


def test_the_lexical_part_is_full_for_the_same_task_and_counts_code_beside_it() -> None:
    parts = lexical_part(floats(1, 0.5, 0.5, 0), floats(0.3, 0.5, 0, 0), Fusion(code_alone=0.8))
    assert parts.tolist() == pytest.approx([1.0, 1 - 0.5 * 0.6, 0.5, 0.0])


def test_every_part_raises_relevance() -> None:
    base = relevance(floats(0.6), floats(0.3), floats(0.3), FUSION)
    assert relevance(floats(0.7), floats(0.3), floats(0.3), FUSION) > base
    assert relevance(floats(0.6), floats(0.4), floats(0.3), FUSION) > base
    assert relevance(floats(0.6), floats(0.3), floats(0.4), FUSION) > base


def test_opposed_vectors_are_no_worse_than_unrelated_ones() -> None:
    assert relevance(floats(-0.4), floats(0), floats(0), FUSION)[0] == 0.0


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ([1, 2, 3], [1, 2, 3], 1.0),
        ([1, 2, 3], [3, 2, 1], 0.0),
        ([1, 2, 3], [1, 2, 4], 0.5),
        ([7], [7], 1.0),
        ([7], [8], 0.0),
        ([7], [7, 8], 0.0),
        ([], [], 1.0),
    ],
)
def test_word_order(left: list[int], right: list[int], expected: float) -> None:
    assert word_order(left, right) == expected
    assert word_order(right, left) == expected


def test_word_order_tells_a_conversion_from_its_reverse() -> None:
    snake, to, camel, case = range(4)
    query = [snake, case, to, camel, case]
    assert word_order(query, [snake, to, camel]) > word_order(query, [camel, to, snake])


def test_the_head_bonus_is_never_negative_and_weighs_its_parts() -> None:
    fusion = Fusion(task_words=0.5, code_words=0.25, word_order=0.15, agreement=0.1)
    assert head_bonus(0.0, agrees=False, dense=True, fusion=fusion) == 0.0
    assert head_bonus(0.5, agrees=True, dense=True, fusion=fusion) == pytest.approx(0.175 / 2.0)
    assert head_bonus(0.5, agrees=True, dense=False, fusion=fusion) == pytest.approx(0.175 / 1.25)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([], 0.75),
        ([10.0], 1.0),
        ([0.0], 0.5),
        ([4.0, 8.0], 0.8),
        ([0.0, 0.0, 0.0, 9.0, 6.0, 7.0, 1.0, 6.0], 0.8),
    ],
)
def test_quality_is_the_median_of_the_last_five_observations(scores: list[float], expected: float) -> None:
    assert quality_factor(scores) == pytest.approx(expected)


def test_recency_halves_its_share_with_each_half_life() -> None:
    ages = np.array([0.0, 30.0, 60.0, -5.0])
    assert recency_factor(ages, 30.0, 0.4).tolist() == pytest.approx([1.0, 0.8, 0.7, 1.0])
    assert recency_factor(ages, 30.0, 0.0).tolist() == [1.0] * 4
    assert recency_factor(np.array([1e9]), 30.0, 1.0)[0] == 0.0


def greedy(candidates: list[frozenset[int]], most: float) -> list[int]:
    kept: list[int] = []
    for row, words in enumerate(candidates):
        if all(
            not words or len(words & candidates[other]) <= most * len(words | candidates[other])
            for other in kept
        ):
            kept.append(row)
    return kept


@given(st.lists(st.frozensets(st.integers(0, 8)), max_size=30), st.sampled_from([0.25, 0.5, 0.75]))
def test_groups_are_those_of_comparing_each_with_every_one_kept(
    candidates: list[frozenset[int]], most: float
) -> None:
    assert list(one_per_group(enumerate(candidates), most)) == greedy(candidates, most)


def test_the_best_of_a_group_is_kept_and_the_limit_itself_is_no_repeat() -> None:
    ten = frozenset(range(10))
    at_limit = frozenset(range(3, 10))
    over_limit = frozenset(range(2, 10))
    candidates = [(4, ten), (2, over_limit), (9, at_limit), (1, ten)]
    assert list(one_per_group(candidates)) == [4, 9]


def test_patterns_without_words_repeat_nothing() -> None:
    assert list(one_per_group([(0, frozenset()), (1, frozenset()), (2, frozenset({1}))])) == [0, 1, 2]


def test_grouping_reads_no_further_than_its_page() -> None:
    read: list[int] = []

    def candidates() -> Iterator[tuple[int, frozenset[int]]]:
        for row in range(1000):
            read.append(row)
            yield row, frozenset({row // 2})

    assert list(islice(one_per_group(candidates()), 3)) == [0, 2, 4]
    assert len(read) == 5
