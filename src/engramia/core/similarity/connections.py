"""What the connectors of a task connect: the two ends of "to", the words joined by "and"."""

from collections.abc import Sequence
from itertools import pairwise

from engramia.core.similarity.tokens import Kind, Token

_SOURCES = frozenset(("from",))
_TARGETS = frozenset(("to", "into", "onto"))
_SPEAKING = frozenset((Kind.WORD, Kind.NUMBER, Kind.LITERAL, Kind.CODE))

type Ends = dict[str, tuple[set[str], set[str]]]
"""Connector -> the words before it and after it; of "to" the source and the target."""
type Conjunctions = dict[frozenset[str], str]
"""Two words -> which of "and" and "or" stands right between them."""


def ends_of(tokens: Sequence[Token]) -> Ends:
    """Return what stands at the two ends of each connector of a task."""
    found: Ends = {}
    segments, connectors = _segments(tokens)
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


def _segments(tokens: Sequence[Token]) -> tuple[list[list[str]], list[str]]:
    segments: list[list[str]] = [[]]
    connectors: list[str] = []
    for word, kind in tokens:
        if kind in _SPEAKING:
            segments[-1].append(word)
        elif kind is Kind.CONNECTOR or kind is Kind.BREAK:
            segments.append([])
            connectors.append(word)
    return segments, connectors


def conjunctions_of(words: Sequence[str]) -> Conjunctions:
    """Return what "and" and "or" join among the words of a task."""
    joined = zip(words, pairwise(words[1:]), strict=False)
    return {frozenset((first, last)): word for first, (word, last) in joined if word in ("and", "or")}
