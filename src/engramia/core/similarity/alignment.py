"""Which words of two tasks stand for one another, which stand alone, and how far the wordings agree."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum
from math import log1p

from engramia.core.similarity.features import Features
from engramia.core.similarity.lexicon import WEAK_WORDS

_STEM = 4
_START = _STEM - 1
_MOST_PAIRS = 144
"""Beyond this many pairs of unmatched words forms are not looked for: the tasks differ anyway."""
_MOST_EXTRA = 2
_SUFFIXES = frozenset(
    (
        *("s", "n", "an", "ean", "ian", "ish", "ese", "er", "or", "al", "ial", "ic", "ical"),
        *("ly", "ally", "ion", "ation", "ment", "ness", "able"),
    )
)


class Wording(StrEnum):
    """How the words that say something relate between two tasks; vague words are not counted."""

    SAME = "same"
    """Each has its twin."""
    EXTENDED = "extended"
    """One task has one or two more."""
    CHANGED = "changed"
    """Both have words of their own."""
    EXCHANGED = "exchanged"
    """Both have words of their own, and two of them stand between the same neighbours: a slot filled anew."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """How two parsed tasks are worded: what kind of change, and what is common to them."""

    left: Features
    right: Features
    ours: AbstractSet[str]
    """Words of the left task that say something and have no twin."""
    theirs: AbstractSet[str]

    @property
    def wording(self) -> Wording:
        ours, theirs = self.ours - WEAK_WORDS, self.theirs - WEAK_WORDS
        if ours and theirs:
            return Wording.EXCHANGED if self._slots(ours, theirs) else Wording.CHANGED
        if len(ours | theirs) > _MOST_EXTRA:
            return Wording.CHANGED
        if self._slots(self.ours, self.theirs):  # also a vague word says something where another could stand
            return Wording.EXCHANGED
        return Wording.EXTENDED if ours or theirs else Wording.SAME

    def _slots(self, ours: AbstractSet[str], theirs: AbstractSet[str]) -> bool:
        """Whether one of `ours` and one of `theirs` stand between the same neighbours."""
        return not _neighbours(self.left, ours).isdisjoint(_neighbours(self.right, theirs))

    @property
    def shared(self) -> int:
        """Number of words that say something and have a twin."""
        return min(
            len(self.left.content) - len(self.ours),
            len(self.right.content) - len(self.theirs),
        )

    @property
    def overlap(self) -> float:
        """Jaccard similarity of all words, those of grammar included, 0 to 1: high for fillings of a form."""
        return _overlap(self.left.everything, self.right.everything)

    @property
    def common(self) -> float:
        """The logarithm of one more than the shared words: the tenth adds less evidence than the first."""
        return log1p(self.shared)


def align(left: Features, right: Features) -> Alignment:
    """Return how the wordings of two parsed tasks relate; symmetric."""
    return Alignment(left, right, *unmatched(left.content, right.content))


def _neighbours(task: Features, words: AbstractSet[str]) -> set[tuple[str, str]]:
    texts = ["", *(text for text, _ in task.tokens), ""]
    return {(texts[at - 1], texts[at + 1]) for at, text in enumerate(texts) if text in words}


def _overlap(left: frozenset[str], right: frozenset[str]) -> float:
    shared = len(left & right)
    return shared / (len(left) + len(right) - shared) if shared else 0.0


def unmatched(left: frozenset[str], right: frozenset[str]) -> tuple[set[str], set[str]]:
    """Return the words of each side without a twin on the other: the same word, a form or a misspelling."""
    ours, theirs = set(left - right), set(right - left)
    if len(ours) * len(theirs) > _MOST_PAIRS:
        return ours, theirs
    by_start: dict[str, list[str]] = {}
    for other in theirs:
        by_start.setdefault(other[:_START], []).append(other)
    for word in sorted(ours):
        near = by_start.get(word[:_START])
        if near is None:
            continue
        twin = min((other for other in near if other in theirs and akin(word, other)), default=None)
        if twin is not None:
            ours.remove(word)
            theirs.remove(twin)
    return ours, theirs


def akin(left: str, right: str) -> bool:
    """Whether two words look like forms or misspellings of one: most of their letters begin or end alike."""
    shorter, longer = (left, right) if len(left) <= len(right) else (right, left)
    if len(shorter) < _STEM or shorter[:_START] != longer[:_START]:
        return False
    if longer.startswith(shorter) and longer[len(shorter) :] in _SUFFIXES:
        return True
    start = _common_start(shorter, longer)
    end = _common_start(shorter[start:][::-1], longer[start:][::-1])
    return (start + end) * 10 >= 7 * len(longer)


def _common_start(left: str, right: str) -> int:
    for at, (a, b) in enumerate(zip(left, right, strict=False)):
        if a != b:
            return at
    return min(len(left), len(right))
