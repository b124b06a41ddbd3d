"""`differ` tells just whether there are `differences`."""

from itertools import pairwise
from pathlib import Path

from engramia.core.similarity import differ, differences

_TEXTS = [
    text
    for line in (Path(__file__).parent / "minimal_pairs.tsv").read_text("utf-8").splitlines()
    for text in line.split("\t")
    if " " in text
]


def test_it_agrees_with_the_differences_of_every_pair() -> None:
    pairs = [*pairwise(_TEXTS), *zip(_TEXTS, _TEXTS[3:], strict=False), *((text, text) for text in _TEXTS)]
    found = [differ(left, right) for left, right in pairs]
    assert found == [bool(differences(left, right)) for left, right in pairs]
    assert set(found) == {True, False}
