import random
import time
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engramia.core.failures import FailureCluster, FailureText, cluster, group, joins, signature

FRAGMENTS = (
    "ValueError: bad literal 'x'",
    "ValueError: no such item 7",
    "cat: /tmp/a.txt: No such file or directory",
    "Error: seat 12A is taken",
    "Error: seat 3C is taken",
    "Error: seat map is missing",
    "Add error handling for missing files",
    "No error handling when the file is missing",
    "Add unit tests",
    "!!!",
    "",
)
scores = st.none() | st.floats(min_value=0, max_value=10)
failure_texts = st.lists(
    st.builds(FailureText, st.sampled_from(FRAGMENTS) | st.text(max_size=30), st.integers(1, 50), scores),
    max_size=14,
)


def labels(*texts: str) -> list[int]:
    return group([signature(text) for text in texts])


def together(*texts: str) -> bool:
    return len(set(labels(*texts))) == 1


def apart(*texts: str) -> bool:
    return len(set(labels(*texts))) == len(texts)


@given(failure_texts)
def test_every_text_lands_in_exactly_one_cluster_and_no_count_is_lost(texts: list[FailureText]) -> None:
    found = cluster(texts)
    members = [member for each in found for member in each.members]
    assert sorted(members) == sorted({each.text for each in texts})
    assert sum(each.total_count for each in found) == sum(each.count for each in texts)


@given(failure_texts, st.randoms(use_true_random=False))
def test_the_order_of_the_texts_changes_nothing(texts: list[FailureText], rng: random.Random) -> None:
    shuffled = texts.copy()
    rng.shuffle(shuffled)
    assert cluster(shuffled) == cluster(texts)


@given(failure_texts, st.integers(0, 60))
def test_min_count_leaves_out_exactly_the_rarer_clusters(texts: list[FailureText], least: int) -> None:
    assert cluster(texts, min_count=least) == [each for each in cluster(texts) if each.total_count >= least]


@given(failure_texts)
def test_clusters_come_by_count_then_by_representative(texts: list[FailureText]) -> None:
    found = cluster(texts)
    assert found == sorted(found, key=lambda each: (-each.total_count, each.representative))


@given(failure_texts)
def test_the_score_lies_between_those_of_the_members(texts: list[FailureText]) -> None:
    for each in cluster(texts):
        known = [text.score for text in texts if text.text in each.members and text.score is not None]
        if not known:
            assert each.avg_score is None
        else:
            assert each.avg_score is not None
            assert min(known) - 1e-9 <= each.avg_score <= max(known) + 1e-9


@given(st.text(max_size=40), st.text(max_size=40))
def test_joining_is_symmetric_and_reflexive(left: str, right: str) -> None:
    assert joins(left, right) == joins(right, left)
    assert joins(left, left)


def test_a_cluster_tells_its_members_total_and_weighted_score() -> None:
    found = cluster(
        [
            FailureText("FileNotFoundError: in.csv", 1, 5.0),
            FailureText("FileNotFoundError: data.csv", 3, 1.0),
            FailureText("FileNotFoundError: b.csv", 1, None),
        ]
    )
    members = ("FileNotFoundError: data.csv", "FileNotFoundError: b.csv", "FileNotFoundError: in.csv")
    assert found == [FailureCluster(members[0], members, 5, 2.0)]


def test_the_same_text_twice_is_one_member() -> None:
    found = cluster([FailureText("Add tests", 2, 4.0), FailureText("Add tests", 2, 8.0)])
    assert found == [FailureCluster("Add tests", ("Add tests",), 4, 6.0)]


def test_equal_counts_are_represented_by_the_shortest_then_the_first_in_the_alphabet() -> None:
    texts = [FailureText(f"KeyError: '{key}'", 1, None) for key in ("total", "b", "a")]
    assert cluster(texts)[0].representative == "KeyError: 'a'"


def test_nothing_gives_no_clusters() -> None:
    assert cluster([]) == []


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("ZeroDivisionError: division by zero", "ZeroDivisionError"),
        ("json.decoder.JSONDecodeError: Expecting value", "JSONDecodeError"),
        ("Uncaught TypeError: x is not a function", "TypeError"),
        ("AssertionError", "AssertionError"),
        ("KeyError when the column is renamed", "KeyError"),
        ('Traceback (most recent call last):\n  File "a.py", line 3\nKeyError: 1\n', "KeyError"),
        (
            'Exception in thread "main" app.StateException\n\tat a.B\nCaused by: io.EOFException\n\tat c.D',
            "EOFException",
        ),
        ("FileNotFoundError: rates.csv", "no such file or directory"),
        ("OSError: [Errno 28] No space left on device", "no space left on device"),
        ("head: cannot open 'rates.csv' for reading: No such file or directory", "no such file or directory"),
        ("tool: notes is a directory -- skipped", "is a directory"),
        ("/bin/sh: 1: jqq: not found", "command not found"),
        ("'jqq' is not recognized as an internal or external command", "command not found"),
        ("ERROR 1146 (42S02): Table 'shop.item' doesn't exist", "1146"),
        ('(1146, "Table shop.item does not exist")', "1146"),
        ("SQLSTATE[42P01]: Undefined table", "42P01"),
        ("error[E0425]: cannot find value `x`", "E0425"),
        ("src/a.ts(3,1): error TS2304: Cannot find name 'x'", "TS2304"),
        ("ORA-00942: table or view does not exist", "ORA-00942"),
        ("Request failed with status code 429", "429"),
    ],
)
def test_a_text_that_names_its_failure_is_of_that_kind(text: str, kind: str) -> None:
    assert signature(text).kind == kind


@pytest.mark.parametrize(
    "text",
    [
        "Error handling is missing",
        "Check that the path is a directory before listing it",
        "RuntimeError: queue is closed",
        "Error: payment refused",
    ],
)
def test_prose_and_bare_labels_name_no_kind(text: str) -> None:
    assert signature(text).kind is None


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("no such table: orders_2024 in the store", "no such table: `clients_2023` in the store"),
        ("Unknown city 'Oslo' in 'where clause'", "Unknown city 'p.town' in 'order clause'"),
        ("Error: not enough seats on flight AB123", "Error: not enough seats on flight ZX9"),
        ("RuntimeError: lost 3 workers of 12", "RuntimeError: lost 1 workers of 8"),
        ("pack: line 3: stray bracket at end", "/usr/bin/pack: line 40: stray bracket at end"),
        ("sort: unrecognized option '--foo'", "head: invalid option -- 'q'"),
        ("join: missing operand", "tr: missing argument"),
        ("sh: line 1: fooo: command not found", "zsh: command not found: barr"),
        ("FileNotFoundError: rates.csv", "wc: rates.csv: No such file or directory"),
        ("can't load", "cannot load"),
        ("tr: missing operands", "tr: missing argument"),
        ("Add error handling for missing files", "No error handling when the file is missing"),
        ("User input is not validated", "Add validation of user input"),
    ],
)
def test_the_same_failure_in_other_words_is_one_cluster(left: str, right: str) -> None:
    assert together(left, right)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("ValueError: bad input 'a'", "TypeError: bad input 'a'"),
        ("cat: /srv/a.txt: Permission denied", "cat: /srv/a.txt: No such file or directory"),
        ("Unknown city 'Oslo'", "Unknown country 'Norway'"),
        ("Error: user not found", "Error: reservation not found"),
        ("sort: invalid option -- 'q'", "sort: missing operand"),
        ("Avoid `eval`", "Avoid `global`"),
        ("Add unit tests", "Add type hints"),
    ],
)
def test_different_failures_in_like_words_are_two_clusters(left: str, right: str) -> None:
    assert apart(left, right)


def test_members_overlap_their_leader_so_that_clusters_do_not_chain() -> None:
    chain = ["red green blue grey", "green blue grey pink", "blue grey pink teal", "grey pink teal lime"]
    assert len(set(labels(*chain))) == 2


def test_machines_need_a_closer_overlap_than_people() -> None:
    assert together("open the big red door", "open the big blue door")
    assert apart("door: line 1: open the big red door", "door: line 1: open the big blue door")


def test_the_leader_that_overlaps_most_takes_the_text() -> None:
    first, second = "alpha beta gamma delta", "kappa sigma gamma omega"
    found = labels(first, second, "kappa sigma gamma delta alpha omega")
    assert found[2] == found[1] != found[0]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_weightiest_text_leads_whatever_the_order(order: tuple[int, ...]) -> None:
    texts = [
        FailureText("oak elm ash fir", 9, None),
        FailureText("elm ash fir yew", 5, None),
        FailureText("ash fir yew box", 7, None),
    ]
    found = cluster(texts[index] for index in order)
    assert [each.members for each in found] == [
        ("oak elm ash fir", "elm ash fir yew"),
        ("ash fir yew box",),
    ]


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("Handle missing files!", "handle  MISSING files", True),
        ("one two three four five six seven", "one two three", True),  # 3 of 7 words
        ("one two three four five", "one two", False),  # exactly 0.4
        ("one two three", "four five six", False),
        ("", "!?", True),
        ("", "word", False),
        ("cp: /srv/a/b.txt: Permission denied", "cp: /srv/a/b.txt: No such file or directory", False),
        ("KeyError: the key of the row", "IndexError: the key of the row", False),
        ("KeyError: the key of the row", "the key of the row", True),
    ],
)
def test_feedback_joins_above_the_overlap_unless_two_errors_are_named(
    left: str, right: str, same: bool
) -> None:
    assert joins(left, right) is same


@pytest.mark.parametrize("unit", ["'", "a: ", "x.y", "\n", "Aa_", "( ", "`a ", "“", "error ", "a" * 50])
def test_a_huge_text_is_read_in_a_moment(unit: str) -> None:
    start = time.perf_counter()
    signature(unit * (500_000 // len(unit)))
    assert time.perf_counter() - start < 1


def test_both_ends_of_a_long_text_are_read() -> None:
    noise = "step done\n" * 50_000
    assert signature(f"{noise}KeyError: 'x'").kind == "KeyError"
    assert signature(f"cat: a: Permission denied\n{noise}").kind == "permission denied"


@pytest.mark.slow
def test_ten_thousand_different_texts_take_seconds() -> None:
    rng = random.Random(7)  # noqa: S311 - sample texts, no secrets
    vocabulary = [first + second + "a" for first in "bcdfgh" for second in "klmnprst"]
    texts = [FailureText(" ".join(rng.choices(vocabulary, k=10)), 1, None) for _ in range(10_000)]
    start = time.perf_counter()
    assert len(cluster(texts)) > 100
    assert time.perf_counter() - start < 20
