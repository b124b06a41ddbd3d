"""What differs between tasks: minimal pairs, laws, and hostile input."""

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engramia.core.similarity import DifferenceKind, differences, near_identical
from engramia.core.similarity.features import features
from engramia.core.similarity.vocabulary import OPPOSED

_PAIRS = [
    tuple(line.split("\t"))
    for line in (Path(__file__).parent / "minimal_pairs.tsv").read_text(encoding="utf-8").splitlines()
]
_DIFFER = [(kind, left, right) for verdict, kind, left, right in _PAIRS if verdict == "differ"]
_SAME = [(left, right) for verdict, _, left, right in _PAIRS if verdict == "same"]

_VOCABULARY = """
sort the list of names by age and not first last 3 4 -1 5% CSV JSON to from before after 'x' "y" `z` C C++ a-b
DD/MM x>3 < >= $HOME *.txt ./run.sh /tmp/ user_id getUser or Berlin a one two seven² unset ohne 数 , . ; ( )
"""
_WORDS = st.sampled_from(_VOCABULARY.split())
_TASKS = st.lists(_WORDS, max_size=14).map(" ".join) | st.text(max_size=60)


def test_there_are_pairs_of_both_kinds() -> None:
    assert len(_DIFFER) >= 100
    assert len(_SAME) >= 50


@pytest.mark.parametrize(("kind", "left", "right"), _DIFFER)
def test_what_matters_is_seen(kind: str, left: str, right: str) -> None:
    assert DifferenceKind(kind) in {found.kind for found in differences(left, right)}
    assert DifferenceKind(kind) in {found.kind for found in differences(right, left)}
    assert not near_identical(left, right)


@pytest.mark.parametrize(("left", "right"), _SAME)
def test_rewording_is_no_difference(left: str, right: str) -> None:
    assert differences(left, right) == ()
    assert differences(right, left) == ()


_POLES = [
    (axis, word)
    for axis, _, sides in (line.partition(":") for line in OPPOSED.strip().replace("|\n", "| ").splitlines())
    for word in sides.replace("|", " ").split()
]


@pytest.mark.parametrize(("axis", "word"), _POLES)
def test_every_word_of_an_opposition_is_known_in_a_task(axis: str, word: str) -> None:
    assert axis in features(f"number the {word} things").poles


@given(_TASKS, _TASKS)
def test_it_is_symmetric_whether_tasks_differ(left: str, right: str) -> None:
    assert bool(differences(left, right)) == bool(differences(right, left))


@given(_TASKS)
def test_a_task_does_not_differ_from_itself(task: str) -> None:
    assert differences(task, task) == ()
    assert differences(task, task + " ") == ()


@given(_TASKS, _TASKS)
def test_near_identical_is_symmetric_and_reflexive(left: str, right: str) -> None:
    assert near_identical(left, right) == near_identical(right, left)
    assert near_identical(left, left)


def test_a_difference_says_what_stands_where() -> None:
    (found,) = differences("Print the first 10 lines", "Print the first 20 lines")

    assert (found.kind, found.left, found.right) == (DifferenceKind.NUMBER, "10", "20")
    assert str(found) == "number: 10 / 20"


def test_a_difference_on_one_side_only_names_nothing_for_the_other() -> None:
    (found,) = differences("Delete *.tmp files", "Delete files")

    assert str(found) == "identifier: *.tmp / nothing"


_LONG = (
    "Read the customer table, drop all columns that hold no value, group what is left by region and quarter, "
    "and write the mean revenue of each group as one line of a report that {} can open"
)


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        pytest.param("Sort names.", "sort NAMES!", True, id="punctuation and case"),
        pytest.param(_LONG.format("people"), _LONG.format("people") + " online", True, id="a word more"),
        pytest.param(_LONG.format("engineers"), _LONG.format("accountants"), False, id="another word"),
        pytest.param(_LONG.format("people"), _LONG.format("people") + " 7", False, id="a number more"),
        pytest.param("Sort in C", "Sort in C#", False, id="equal but for punctuation"),
        pytest.param("Return 1.5", "Return 15", False, id="a decimal point"),
        pytest.param("Sort names", "Sort cities", False, id="few words"),
    ],
)
def test_near_identical(left: str, right: str, *, expected: bool) -> None:
    assert near_identical(left, right) is expected


_UNITS = (
    *("word ", "'", '"', "`", "“", "'a ", "3 ", "x_y ", "*.t "),
    *("not ", "A to B, ", "é", "数", "/a", "-", "((", "\n"),
)


@pytest.mark.parametrize("unit", _UNITS)
def test_long_hostile_texts_take_linear_time(unit: str) -> None:
    text = unit * (20_000 // len(unit))
    started = time.perf_counter()
    differences(text, text[:-1] + "z")
    assert time.perf_counter() - started < 3.0
