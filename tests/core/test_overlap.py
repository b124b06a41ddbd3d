import pytest
from hypothesis import given
from hypothesis import strategies as st

from engramia.core.overlap import OverlapIndex
from engramia.core.words import jaccard

VOCABULARY = ["count", "counts", "line", "lines", "of", "file", "17", "zip", "sort"]
SETS = st.frozensets(st.sampled_from(VOCABULARY), max_size=8)


def built(rows: list[frozenset[str]]) -> OverlapIndex:
    index = OverlapIndex()
    for row, words in enumerate(rows):
        index.add(row, words)
    return index


@given(
    st.lists(SETS, max_size=50),
    st.sets(st.integers(0, 49)),
    st.frozensets(st.sampled_from([*VOCABULARY, "unseen"])),
    st.sampled_from([0.3, 0.5, 0.75, 0.92, 1.0]),
)
def test_every_row_that_overlaps_is_a_candidate(
    rows: list[frozenset[str]], gone: set[int], asked: frozenset[str], least: float
) -> None:
    index = built(rows)
    for row in gone & set(range(len(rows))):
        index.remove(row, rows[row])
    kept = {row: held for row, held in enumerate(rows) if row not in gone}
    found = index.candidates(asked, least)
    assert found == sorted(set(found) & set(kept))
    assert {row for row, held in kept.items() if held and asked and jaccard(held, asked) >= least} <= set(
        found
    )


def test_among_many_rows_of_common_words_few_are_candidates() -> None:
    rows = [frozenset(f"count the lines of file number {number}".split()) for number in range(500)]
    index = built([*rows, frozenset("count the lines of file number".split())])
    assert index.candidates(rows[77], 0.92) == [77]
    assert index.candidates(frozenset("the lines of file number count".split()), 0.85) == list(range(501))


def test_a_row_may_be_taken_out_and_used_again() -> None:
    index = built([frozenset({"zip", "files"})])
    index.remove(0, {"zip", "files"})
    assert index.candidates(frozenset({"zip", "files"}), 0.9) == []
    index.add(0, {"sort"})
    assert index.candidates(frozenset({"sort"}), 0.9) == [0]
    with pytest.raises(LookupError):
        index.remove(0, {"zip"})
