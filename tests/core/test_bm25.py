from collections.abc import Sequence
from math import floor, log2, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engramia.core.bm25 import CODE_CHARS, WordIndex, code_words, rarity_step, root
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
WORDS = st.lists(st.sampled_from([*VOCABULARY, "unseen"]), max_size=6)


def built(*texts: str) -> WordIndex:
    index = WordIndex()
    index.add_many(enumerate(map(words, texts)))
    return index


def by_hand(rows: dict[int, Sequence[str]], query: Sequence[str], size: int) -> list[float]:
    """The score as its definition says it, from nothing but the rows."""
    roots = {row: {root(word) for word in held} for row, held in rows.items()}

    def weight(name: str) -> float:
        frequency = sum(name in held for held in roots.values())
        step = floor(4 * log2(frequency)) if frequency else -4
        rarity = 1 + 4 * log2(len(rows) + 1) - step
        kind = 8 if not name.isalpha() else 1 if name == "of" else 4
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
    index = WordIndex()
    index.add_many(enumerate(rows))
    scores = index.scores(query, len(rows))
    assert scores.dtype == np.float32
    assert scores == pytest.approx(by_hand(dict(enumerate(rows)), query, len(rows)), abs=1e-6)


@given(ROWS, ROWS, st.sets(st.integers(0, 11)), WORDS)
def test_scores_do_not_depend_on_history(
    first: list[list[str]], second: list[list[str]], gone: set[int], query: list[str]
) -> None:
    lived = WordIndex()
    lived.add_many(enumerate(first))
    lived.add_many(enumerate(second))
    for row in gone:
        lived.remove(row)
    held = {
        row: text
        for row, text in (dict(enumerate(first)) | dict(enumerate(second))).items()
        if row not in gone
    }
    fresh = WordIndex()
    fresh.add_many(held.items())

    assert len(lived) == len(fresh) == len(held)
    assert all((row in lived) == (row in held) for row in range(12))
    np.testing.assert_array_equal(lived.scores(query, 12), fresh.scores(query, 12))
    asked = frozenset(query)
    assert lived.overlapping(asked, 0.5) == fresh.overlapping(asked, 0.5)


@given(
    ROWS,
    st.frozensets(st.sampled_from([*VOCABULARY, "unseen"])),
    st.sampled_from([0.3, 0.5, 0.75, 0.92, 1.0]),
)
def test_overlapping_finds_every_row_that_overlaps(
    rows: list[list[str]], asked: frozenset[str], least: float
) -> None:
    index = WordIndex()
    index.add_many(enumerate(rows))
    expected = [
        row
        for row, held in enumerate(rows)
        if asked and len(asked & set(held)) / len(asked | set(held)) >= least
    ]
    assert index.overlapping(asked, least) == expected


def test_overlapping_among_many_rows_of_common_words() -> None:
    texts = [f"count the lines of file number {number}" for number in range(500)]
    index = built(*texts, "count the lines of file number")
    assert index.overlapping(frozenset(words(texts[77])), 0.92) == [77]
    assert index.overlapping(frozenset(words("the lines of file number count")), 0.85) == list(range(501))


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


def test_more_rows_asked_for_than_were_ever_held() -> None:
    index = WordIndex()
    assert index.scores(["zip"], 3).tolist() == [0.0, 0.0, 0.0]
    index.add(1, ["zip"])
    scores = index.scores(["zip"], 1000)
    assert scores.shape == (1000,)
    assert np.flatnonzero(scores).tolist() == [1]


def test_a_large_row_number_needs_no_rows_before_it() -> None:
    index = WordIndex()
    index.add(5000, ["zip", "files"])
    assert index.scores(["zip", "files"], 5001)[5000] == pytest.approx(1.0)


def test_removing_what_is_not_there_changes_nothing() -> None:
    index = built("zip files")
    index.remove(7)
    assert len(index) == 1
    index.remove(0)
    index.remove(0)
    assert len(index) == 0
    with pytest.raises(KeyError):
        index.sequence(0)


def test_sequences_keep_order_and_repeats() -> None:
    index = built("copy a to b then b to a")
    a, b = index.encode(["a", "b"])
    copy, to, then = index.encode(["copy", "to", "then"])
    assert list(index.sequence(0)) == [copy, a, to, b, then, b, to, a]


def test_unseen_words_are_encoded_as_distinct_negative_numbers() -> None:
    index = built("copy files")
    encoded = index.encode(["move", "files", "away", "move"])
    assert encoded == [-1, index.encode(["files"])[0], -2, -1]


@pytest.mark.parametrize("octave", range(20))
def test_rarity_steps_are_quarter_octaves(octave: int) -> None:
    assert rarity_step(2**octave) == 4 * octave
    assert rarity_step(2 ** (octave + 1) - 1) in range(4 * octave, 4 * octave + 4)
    assert rarity_step(0) == -4


def test_code_is_indexed_by_the_distinct_words_of_its_head() -> None:
    assert code_words("for row in rows: print(row.total)") == ["for", "row", "in", "rows", "print", "total"]
    assert code_words("x" * CODE_CHARS + " tail") == ["x" * CODE_CHARS]
