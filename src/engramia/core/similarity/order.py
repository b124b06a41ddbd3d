"""Whether two tasks say the same words with their ends exchanged: "A to B" and "B to A"."""

from collections import Counter
from itertools import pairwise

from engramia.core.similarity.features import Features, Kind
from engramia.core.similarity.lexicon import COORDINATORS

_SOURCES = frozenset(("from",))
_TARGETS = frozenset(("to", "into", "onto"))
_SPEAKING = frozenset((Kind.WORD, Kind.NUMBER, Kind.LITERAL, Kind.CODE))
_EXACT = frozenset((Kind.NUMBER, Kind.LITERAL, Kind.CODE))
_LONGEST_END = 4
"""Ends of up to this many words are tried; longer ones are phrases that moved, not ends."""

type Ends = dict[str, tuple[set[str], set[str]]]
"""Connector -> the words before it and after it; of "to" the source and the target."""


def exchanged(left: Features, right: Features) -> tuple[str, str] | None:
    """Return the two ends as `left` and as `right` order them if they are exchanged, else None."""
    if len(left.everything & right.everything) <= 1:
        return None
    return _exchanged_ends(left, right) or _exchanged_blocks(left, right)


def _exchanged_ends(left: Features, right: Features) -> tuple[str, str] | None:
    ours, theirs = ends(left), ends(right)
    for connector in sorted(ours.keys() & theirs.keys()):
        before, after = ours[connector]
        their_before, their_after = theirs[connector]
        moved = (before - after) & (their_after - their_before)
        back = (after - before) & (their_before - their_after)
        if moved and back:
            first, second = min(moved), min(back)
            return f"{first} {connector} {second}", f"{second} {connector} {first}"
    return None


def ends(features: Features) -> Ends:
    """Return what stands at the two ends of each connector of a task."""
    found: Ends = {}
    segments, connectors = _segments(features)
    for at, connector in enumerate(connectors):
        before, after = segments[at], segments[at + 1]
        if connector in _SOURCES:
            _add(found, "to", after, [])
        elif connector in _TARGETS:
            before, after = _across_of(segments, connectors, at)
            if before:  # else it begins an infinitive: "a function to sort"
                _add(found, "to", [] if at and connectors[at - 1] == "," else before, after)
        elif connector != ",":
            if not before and connectors[at + 1 : at + 2] == [","]:  # "Before B, A"
                before = segments[at + 2]
            if connector == "after":
                _add(found, "before", after, before)
            else:
                _add(found, connector, before, after)
    return found


def _add(found: Ends, connector: str, before: list[str], after: list[str]) -> None:
    have = found.setdefault(connector, (set(), set()))
    have[0].update(before)
    have[1].update(after)


def _across_of(segments: list[list[str]], connectors: list[str], at: int) -> tuple[list[str], list[str]]:
    before, after = segments[at], segments[at + 1]
    if at and connectors[at - 1] == "of":
        before = segments[at - 1] + before
    if connectors[at + 1 : at + 2] == ["of"]:
        after = after + segments[at + 2]
    return before, after


def _segments(features: Features) -> tuple[list[list[str]], list[str]]:
    segments: list[list[str]] = [[]]
    connectors: list[str] = []
    for word, kind in features.tokens:
        if kind in _SPEAKING:
            segments[-1].append(word)
        elif kind is Kind.CONNECTOR or kind is Kind.BREAK:
            segments.append([])
            connectors.append(word)
    return segments, connectors


def _exchanged_blocks(left: Features, right: Features) -> tuple[str, str] | None:
    ours = [word for word, kind in left.tokens if kind is not Kind.BREAK]
    theirs = [word for word, kind in right.tokens if kind is not Kind.BREAK]
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


def conjunctions(features: Features) -> dict[frozenset[str], str]:
    """Return which of "and" and "or" stands right between two words."""
    words = [word for word, kind in features.tokens if kind is not Kind.BREAK]
    if "and" not in words and "or" not in words:
        return {}
    joined = zip(words, pairwise(words[1:]), strict=False)
    return {frozenset((first, last)): word for first, (word, last) in joined if word in ("and", "or")}
