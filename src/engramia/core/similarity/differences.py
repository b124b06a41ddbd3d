"""What differs between two tasks that would make the solution of one wrong for the other."""

from collections import Counter
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from engramia.core.similarity.alignment import akin
from engramia.core.similarity.features import Features, features
from engramia.core.similarity.lexicon import (
    ACTIONS,
    GROUPING,
    MARKED_AXES,
    POLES,
    QUANTITIES,
    RECENCY,
    SUMMARIES,
    TYPE_WORDS,
)
from engramia.core.similarity.order import exchanged

_WILD = "*.~ /"
_MOST_MENTIONS = 100
"""Of more unknown literals than this some differ, however many the other task mentions in passing."""
_EXTREMES = frozenset(("maximum", "minimum"))
_ASKING = 6
"""What is asked for stands among the first words."""


class DifferenceKind(StrEnum):
    """In what two tasks differ."""

    NUMBER = "number"
    LITERAL = "literal"
    IDENTIFIER = "identifier"
    NAME = "name"
    DIRECTION = "direction"
    NEGATION = "negation"
    OPPOSITE = "opposite"
    ORDER = "order"
    ACTION = "action"
    GROUPING = "grouping"


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that matters: what stands on the left and on the right, "" where nothing does."""

    kind: DifferenceKind
    left: str
    right: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.left or 'nothing'} / {self.right or 'nothing'}"


def differences(left: str, right: str) -> tuple[Difference, ...]:
    """Return what matters and differs between two tasks; empty if the solution of one should fit the other.

    Whether it is empty is symmetric; equal texts have no differences. Linear in the length of the texts.
    """
    return () if left == right else find_differences(features(left), features(right))


def differ(left: str, right: str) -> bool:
    """Whether two tasks have any of `differences`, without looking for them all."""
    return left != right and any_difference(features(left), features(right))


def find_differences(left: Features, right: Features) -> tuple[Difference, ...]:
    """Return `differences` of two parsed tasks."""
    return tuple(found for find in _FINDERS for found in find(left, right))


def any_difference(left: Features, right: Features) -> bool:
    """Whether two parsed tasks have any of `differences`."""
    return any(True for find in _FINDERS for _ in find(left, right))


def _difference(
    kind: DifferenceKind, left: AbstractSet[str], right: AbstractSet[str]
) -> Iterator[Difference]:
    if left or right:
        yield Difference(kind, ", ".join(sorted(left)), ", ".join(sorted(right)))


def _literals(left: Features, right: Features) -> Iterator[Difference]:
    if left.literals != right.literals:
        ours, theirs = _missing(left.literals, right), _missing(right.literals, left)
        yield from _difference(DifferenceKind.LITERAL, ours, theirs)


def _codes(left: Features, right: Features) -> Iterator[Difference]:
    if left.codes != right.codes:
        ours, theirs = _missing(left.codes, right), _missing(right.codes, left)
        yield from _difference(DifferenceKind.IDENTIFIER, ours, theirs)


def _missing(own: frozenset[str], other: Features) -> set[str]:
    known = other.literals | other.codes
    alone = {text for text in own - known if text.strip(_WILD)}
    if len(alone) > _MOST_MENTIONS:
        return alone
    folded = {text.casefold() for text in known}
    return {text for text in alone if text.casefold() in folded or not _mentioned(text, other)}


def _mentioned(text: str, other: Features) -> bool:
    """Whether `text` stands in the other task without its quotes or wildcards, as words of its own."""
    bare = text.strip(_WILD).casefold()
    at = other.text.find(bare)
    while at >= 0:
        around = other.text[max(0, at - 1) : at] + other.text[at + len(bare) : at + len(bare) + 1]
        if not any(map(str.isalnum, around)):
            return True
        at = other.text.find(bare, at + len(bare))
    return False


def _numbers(left: Features, right: Features) -> Iterator[Difference]:
    ours, theirs = left.numbers - right.everything, right.numbers - left.everything
    if left.numbers and right.numbers and not ours and not theirs:
        unit = frozenset(("percent",))
        ours, theirs = (left.content - right.content) & unit, (right.content - left.content) & unit
    yield from _difference(DifferenceKind.NUMBER, ours, theirs)


def _names(left: Features, right: Features) -> Iterator[Difference]:
    ours, theirs = _unnamed(left, right), _unnamed(right, left)
    if ours and theirs:
        yield from _difference(DifferenceKind.NAME, ours, theirs)


def _unnamed(own: Features, other: Features) -> set[str]:
    return {
        name
        for name in own.names - other.everything
        if name not in other.text and not any(akin(name, word) for word in other.content)
    }


def _opposites(left: Features, right: Features) -> Iterator[Difference]:
    told: set[str] = set()
    for axis in sorted(left.poles.keys() | right.poles.keys(), key=lambda axis: (axis in MARKED_AXES, axis)):
        ours, theirs = left.poles.get(axis), right.poles.get(axis)
        if ours and theirs:  # by mentions: "files in a folder", "folders in a folder"
            opposed = ours != theirs and _each_more_often(Counter(ours), Counter(theirs))
        else:
            opposed = axis in MARKED_AXES and _stands_alone(axis, left, right)
        if not opposed:
            continue
        one, other = _pole_words(left, axis), _pole_words(right, axis)
        if not {one, other} - {""} <= told:
            told |= {one, other}
            yield Difference(DifferenceKind.OPPOSITE, one, other)


def _each_more_often(ours: Counter[int], theirs: Counter[int]) -> bool:
    return bool(ours - theirs and theirs - ours)


def _stands_alone(axis: str, left: Features, right: Features) -> bool:
    """Whether what one task says on an axis is said by nothing in the other."""
    if axis == "compare!" and left.numbers & right.numbers and _recent(left, right):
        return False  # "less than 60 minutes ago", "the last 60 minutes"
    word, other = _pole_words(left, axis), right
    if not word:
        word, other = _pole_words(right, axis), left
    return not any(akin(word, twin) for twin in other.content)


def _recent(left: Features, right: Features) -> bool:
    """Whether either task means a span of time that ends now."""
    return not (left.everything | right.everything).isdisjoint(RECENCY)


def _pole_words(task: Features, axis: str) -> str:
    found = (word for word in task.everything if any(axis == known for known, _ in POLES.get(word, ())))
    return ", ".join(sorted(found))


def _conjunctions(left: Features, right: Features) -> Iterator[Difference]:
    ours, theirs = left.conjunctions, right.conjunctions
    for joined in ours.keys() & theirs.keys():
        if ours[joined] != theirs[joined]:
            yield Difference(DifferenceKind.OPPOSITE, ours[joined], theirs[joined])


def _negations(left: Features, right: Features) -> Iterator[Difference]:
    if left.negated != right.negated:
        yield Difference(DifferenceKind.NEGATION, "not" * left.negated, "not" * right.negated)


def _actions(left: Features, right: Features) -> Iterator[Difference]:
    ours, theirs = left.content & ACTIONS, right.content & ACTIONS
    if not ours & theirs:
        yield from _difference(DifferenceKind.ACTION, ours, theirs)


def _counts(left: Features, right: Features) -> Iterator[Difference]:
    ours = _asks_count(left) and not right.everything & QUANTITIES
    theirs = _asks_count(right) and not left.everything & QUANTITIES
    if ours or theirs:
        yield Difference(DifferenceKind.ACTION, "count" * ours, "count" * theirs)


def _asks_count(task: Features) -> bool:
    """Whether "count" or "number of" is asked for, other than as the measure in "the greatest number of"."""
    if "count" not in task.everything:
        return False
    words = ["", *(word for word, _ in task.tokens[:_ASKING])]
    return any(word == "count" and before not in _EXTREMES for before, word in pairwise(words))


def _groupings(left: Features, right: Features) -> Iterator[Difference]:
    ours, theirs = left.everything & GROUPING, right.everything & GROUPING
    if ours and theirs:
        one, other = _grouped(left), _grouped(right)
        if one and other and one.isdisjoint(other) and (one & right.content or other & left.content):
            yield from _difference(DifferenceKind.GROUPING, one, other)
    elif (ours or theirs) and left.everything & SUMMARIES and right.everything & SUMMARIES:
        yield from _difference(DifferenceKind.GROUPING, ours, theirs)


def _grouped(task: Features) -> set[str]:
    """Return the words right after "each" or "per" that say something."""
    return {word for (before, _), (word, _) in pairwise(task.tokens) if before in GROUPING} & task.content


def _order(left: Features, right: Features) -> Iterator[Difference]:
    found = exchanged(left, right)
    if found:
        yield Difference(DifferenceKind.ORDER, *found)


def _directions(left: Features, right: Features) -> Iterator[Difference]:
    ours, theirs = left.ends.get("to"), right.ends.get("to")
    if ours and theirs:
        for own, other in zip(ours, theirs, strict=True):
            types, others = own & TYPE_WORDS, other & TYPE_WORDS
            if types and others and types != others:
                yield from _difference(DifferenceKind.DIRECTION, types, others)


_FINDERS = (
    _literals,
    _codes,
    _numbers,
    _names,
    _opposites,
    _conjunctions,
    _negations,
    _actions,
    _counts,
    _groupings,
    _order,
    _directions,
)
