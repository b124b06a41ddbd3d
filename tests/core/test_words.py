import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engramia.core.words import jaccard, normalise, words


@given(st.text(st.characters(max_codepoint=127)))
def test_ascii_is_cut_as_any_other_text(text: str) -> None:
    # A letter outside ASCII takes the text off the fast path without touching the other words.
    assert words(text) == words(text + " é")[:-1]


@given(st.text())
def test_words_are_folded_and_hold_no_punctuation(text: str) -> None:
    for word in words(text):
        assert word
        assert word == word.casefold()
        assert not re.search(r"[\s_]", word)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Rename *.TXT files to .bak!", ["rename", "txt", "files", "to", "bak"]),
        ("max_retries=3, HTTPServer", ["max", "retries", "3", "httpserver"]),
        ("Straße zählen", ["strasse", "zählen"]),
        ("\uff46\uff55\uff4c\uff4c width", ["full", "width"]),
        ("посчитать строки", ["посчитать", "строки"]),
        ("a\x1cb\x00c", ["a", "b", "c"]),
        ("--- ?!", []),
        ("", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_normalise_makes_equal_tasks_equal() -> None:
    assert normalise("  Count the LINES, of `a_b.txt`. ") == normalise("count the lines of a-b txt")
    assert normalise("count lines") != normalise("lines count")


def test_jaccard() -> None:
    assert jaccard(frozenset("abc"), frozenset("bcd")) == 0.5
    assert jaccard(frozenset("a"), frozenset("b")) == 0.0
    assert jaccard(frozenset("a"), frozenset()) == 0.0
    assert jaccard(frozenset(), frozenset()) == 1.0
