"""Whether two tasks say the same words with their ends exchanged: "A to B" and "B to A"."""

from collections import Counter

from engramia.core.similarity.features import Features
from engramia.core.similarity.lexicon import COORDINATORS
from engramia.core.similarity.tokens import Kind

_EXACT = frozenset((Kind.NUMBER, Kind.LITERAL, Kind.CODE))
_LONGEST_END = 4
"""Ends of up to this many words are tried; longer ones are phrases that moved, not ends."""


def exchanged(left: Features, right: Features) -> tuple[str, str] | None:
    """Return the two ends as `left` and as `right` order them if they are exchanged, else None."""
    if len(left.everything & right.everything) <= 1:
        return None
    return _exchanged_ends(left, right) or _exchanged_blocks(left, right)


def _exchanged_ends(left: Features, right: Features) -> tuple[str, str] | None:
    ours, theirs = left.ends, right.ends
    for connector in sorted(ours.keys() & theirs.keys()):
        before, after = ours[connector]
        their_before, their_after = theirs[connector]
        moved = (before - after) & (their_after - their_before)
        back = (after - before) & (their_before - their_after)
        if moved and back:
            first, second = min(moved), min(back)
            return f"{first} {connector} {second}", f"{second} {connector} {first}"
    return None


def _exchanged_blocks(left: Features, right: Features) -> tuple[str, str] | None:
    ours, theirs = left.unbroken, right.unbroken
    if len(ours) != len(theirs) or ours == theirs or Counter(ours) != Counter(theirs):
        return None
    same = [a == b for a, b in zip(ours, theirs, strict=True)]
    start, stop = same.index(False), len(same) - same[::-1].index(False)
    ours, theirs = ours[start:stop], theirs[start:stop]
    between = _between(ours, theirs)
    if between is None or (between and all(word in COORDINATORS for word in between)):
        return None
    if not between and not _side_by_side(left, right, frozenset(ours)):
        return None
    return " ".join(ours), " ".join(theirs)


def _between(ours: list[str], theirs: list[str]) -> list[str] | None:
    """Return what stands between two blocks of which `theirs` is the exchange, None if it is not one."""
    size = len(ours)
    for first in range(1, min(_LONGEST_END, size - 1) + 1):
        for second in range(1, min(_LONGEST_END, size - first) + 1):
            between = ours[first : size - second]
            if ours[size - second :] + between + ours[:first] == theirs:
                return between
    return None


def _side_by_side(left: Features, right: Features, words: frozenset[str]) -> bool:
    """Whether neighbours changed places that have one meaning each way: not so words, nor items of a list."""
    if any(kind is Kind.BREAK for word, kind in (*left.tokens[:-1], *right.tokens[:-1])):
        return False
    exact = {word for word, kind in left.tokens if kind in _EXACT} | (left.names & right.names)
    return words <= exact
