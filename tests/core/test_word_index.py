from collections.abc import Sequence
from math import floor, log2, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engramia.core.roots import GRAMMAR, Roots, root
from engramia.core.word_index import WordIndex, rarity_step
from engramia.core.words import words

VOCABULARY = [
    "count",
    "counts",
    "counting",
    "lines",
    "line",
    "of",
    "file",
    "files",
    "17",
    "x2",
    "zip",
    "sort",
]
ROWS = st.lists(st.lists(st.sampled_from(VOCABULARY), max_size=8), max_size=12)
TEXTS = st.text(st.sampled_from("aZé19 _-.ﬁß\0\n日") | st.characters(), max_size=60)
WORDS = st.lists(st.sampled_from([*VOCABULARY, "unseen"]), max_size=6)


def built(*texts: str) -> WordIndex:
    index = WordIndex()
    index.add_many(list(enumerate(texts)))
    return index


def by_hand(rows: dict[int, Sequence[str]], query: Sequence[str], size: int) -> list[float]:
    """The score as its definition says it, from nothing but the rows."""
    roots = {row: {root(word) for word in held} for row, held in rows.items()}

    def weight(name: str) -> float:
        frequency = sum(name in held for held in roots.values())
        step = floor(4 * log2(frequency)) if frequency else -4
        rarity = 1 + 4 * log2(len(rows) + 1) - step
        kind = 8 if not name.isalpha() else 1 if name in GRAMMAR else 4
        return rarity**2 * kind

    def norm(names: set[str]) -> float:
        return sqrt(sum(map(weight, names))) or 1.0

    asked = {root(word) for word in query}
    return [
        sum(map(weight, asked & roots.get(row, set()))) / norm(asked) / norm(roots.get(row, set()))
        for row in range(size)
    ]


@given(ROWS, WORDS)
def test_scores_follow_their_definition(rows: list[list[str]], query: list[str]) -> None:
    scores = built(*map(" ".join, rows)).scores(query, len(rows))
    assert scores.dtype == np.float32
    assert scores == pytest.approx(by_hand(dict(enumerate(rows)), query, len(rows)), abs=1e-6)


@given(st.lists(TEXTS, max_size=6), TEXTS)
def test_any_text_is_cut_as_words_are_cut(texts: list[str], query: str) -> None:
    asked, size = words(query), len(texts)
    expected = by_hand(dict(enumerate(map(words, texts))), asked, size)
    assert built(*texts).scores(asked, size) == pytest.approx(expected, abs=1e-6)


@given(ROWS, ROWS, st.sets(st.integers(0, 11)), WORDS)
def test_scores_do_not_depend_on_history(
    first: list[list[str]], second: list[list[str]], gone: set[int], query: list[str]
) -> None:
    lived, held = WordIndex(), dict[int, str]()
    for row, text in [*enumerate(map(" ".join, first)), *enumerate(map(" ".join, second))]:
        if row in held:
            lived.remove(row, held[row])
        lived.add_many([(row, text)])
        held[row] = text
    for row in gone & set(held):
        lived.remove(row, held.pop(row))
    fresh = WordIndex()
    fresh.add_many(list(held.items()))

    assert len(lived) == len(fresh) == len(held)
    np.testing.assert_array_equal(lived.scores(query, 12), fresh.scores(query, 12))


@pytest.mark.parametrize("step", [1, 1500])
def test_a_store_that_grew_in_steps_and_lost_rows_equals_one_built_at_once(step: int) -> None:
    texts = [f"run {number} of case {number % 97} in lot {number % 11}" for number in range(9000)]
    lived = WordIndex()
    numbered = list(enumerate(texts))
    for start in range(0, 9000, 1500):
        for first in range(start, start + 1500, step):
            lived.add_many(numbered[first : first + step])
        for row in range(start, start + 1500, 2):
            lived.remove(row, texts[row])
    fresh = WordIndex()
    fresh.add_many([(row, texts[row]) for row in range(1, 9000, 2)])
    for query in (["run", "1501"], ["case", "5"], ["lot", "7", "run"]):
        np.testing.assert_array_equal(lived.scores(query, 9000), fresh.scores(query, 9000))
    assert lived.scores(["1501"], 9000).nonzero()[0].tolist() == [1501]
    assert not lived.scores(["1500"], 9000).any()


def test_the_same_words_score_one_and_other_words_nothing() -> None:
    index = built("zip the log folder", "sort names by length", "")
    assert index.scores(words("zip the log folder"), 3).tolist() == pytest.approx([1.0, 0.0, 0.0])
    assert index.scores([], 3).tolist() == [0.0, 0.0, 0.0]
    assert index.scores(["unheard"], 3).tolist() == [0.0, 0.0, 0.0]


def test_a_rare_word_counts_for_more_than_a_common_one() -> None:
    index = built("resize image", "resize video", "resize canvas", "crop video", "resize banner")
    scores = index.scores(words("crop image"), 5)
    assert scores[3] > scores[1]
    common, rare = index.scores(["resize", "crop"], 5)[[0, 3]]
    assert rare > common


def test_what_a_pattern_has_beside_the_query_lowers_its_score() -> None:
    index = built("parse dates", "parse dates from invoices and mail them to accounting")
    short, long = index.scores(["parse", "dates"], 2)
    assert short == pytest.approx(1.0)
    assert long < 0.7


def test_numbers_outweigh_words() -> None:
    index = built("keep 30 backups", "keep last backups")
    with_number, with_word = index.scores(words("30 last"), 2)
    assert with_number > with_word


def test_inflections_share_a_root_and_identifiers_do_not() -> None:
    assert root("compressing") == root("compression")
    assert root("20240117") != root("20240118")
    index = built("compression of images")
    assert index.scores(["compressing"], 1)[0] > 0


def test_roots_longer_than_a_machine_word_are_told_apart() -> None:
    index = built("commit 0123456789abcdef", "commit 0123456789abcdee", "commit 01234567")
    assert index.scores(["0123456789abcdef"], 3).nonzero()[0].tolist() == [0]
    assert index.scores(["01234567"], 3).nonzero()[0].tolist() == [2]


def test_more_rows_asked_for_than_were_ever_held() -> None:
    index = WordIndex()
    assert index.scores(["zip"], 3).tolist() == [0.0, 0.0, 0.0]
    index.add_many([(1, "zip")])
    scores = index.scores(["zip"], 1000)
    assert scores.shape == (1000,)
    assert np.flatnonzero(scores).tolist() == [1]


def test_a_large_row_number_needs_no_rows_before_it() -> None:
    index = WordIndex()
    index.add_many([(5000, "zip files")])
    assert index.scores(["zip", "files"], 5001)[5000] == pytest.approx(1.0)


def test_scores_follow_a_change_after_they_were_asked() -> None:
    index = built("zip files", "sort files")
    alone = index.scores(["zip"], 4)[0]
    index.add_many([(2, "zip folders"), (3, "zip")])
    assert index.scores(["zip"], 4)[0] != alone
    index.remove(3, "zip")
    index.remove(2, "zip folders")
    assert index.scores(["zip"], 4)[0] == alone


@pytest.mark.parametrize("octave", range(20))
def test_rarity_steps_are_quarter_octaves(octave: int) -> None:
    assert rarity_step(2**octave) == 4 * octave
    assert rarity_step(2 ** (octave + 1) - 1) in range(4 * octave, 4 * octave + 4)
    assert rarity_step(0) == -4


def test_indexes_that_share_roots_score_as_if_alone() -> None:
    texts = [(0, "sort rows by name"), (1, "merge files 12"), (2, "sort files")]
    codes = [(0, "rows.sort()"), (1, "cat a b"), (2, "zebra")]
    roots = Roots()
    tasks, code = WordIndex(roots), WordIndex(roots)
    tasks.add_many(texts)
    code.add_many(codes)
    tasks.add_many([(3, "late words of its own 99")])
    for shared, held in ((tasks, [*texts, (3, "late words of its own 99")]), (code, codes)):
        alone = WordIndex()
        alone.add_many(held)
        for query in ("sort rows", "zebra 99", "files unseen", ""):
            np.testing.assert_array_equal(shared.scores(query.split(), 4), alone.scores(query.split(), 4))


def test_pairs_make_an_equal_index() -> None:
    index = WordIndex()
    index.add_many([(row, f"alpha{row % 5} beta {row} gamma") for row in range(3000)])
    for row in range(0, 3000, 7):
        index.remove(row, f"alpha{row % 5} beta {row} gamma")
    index.add_many([(4000, "alpha2 delta")])
    held = np.array([row for row in range(3000) if row % 7] + [4000], np.uint32)
    again = WordIndex(index._roots)
    again.add_pairs(held, index.pairs())
    assert len(again) == len(index) == len(held)
    for query in ("alpha2 beta", "gamma 77", "delta"):
        np.testing.assert_array_equal(again.scores(query.split(), 4001), index.scores(query.split(), 4001))
