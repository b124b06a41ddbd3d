"""The vocabulary made ready for look-up: words in lower case in, canonical words out."""

from collections.abc import Iterator
from types import MappingProxyType

from engramia.core.similarity import vocabulary

_SHORTEST = 3
"""Words up to this many letters have no inflection to cut."""


def stem(word: str) -> str:
    """Return `word` without its regular English inflection; short words and other scripts stay whole."""
    if len(word) <= _SHORTEST or not word.isascii():
        return word
    if word.endswith("ies") and len(word) > _SHORTEST + 1:
        return word[:-3] + "y"
    if word.endswith("s") and word[-2] not in "sui":
        word = word[:-2] if word.endswith(("sses", "xes", "ches", "shes", "zzes")) else word[:-1]
    for ending in ("ing", "ed"):
        if word.endswith(ending) and len(word) - len(ending) >= _SHORTEST:
            return _undoubled(word[: -len(ending)])
    return word[:-1] if word.endswith("e") and len(word) > _SHORTEST + 1 else word


def _undoubled(root: str) -> str:
    doubled = len(root) > _SHORTEST and root[-1] == root[-2] and root[-1] not in "lsz"
    return root[:-1] if doubled else root


def _lines(table: str) -> Iterator[str]:
    return (line for line in table.strip().replace("|\n", "| ").splitlines() if line)


def _canonical_words() -> dict[str, str]:
    known: dict[str, str] = {}
    for line in _lines(vocabulary.SAME):
        first, *others = line.split()
        for word in (first, *others):
            known.setdefault(word, first)
            known.setdefault(stem(word), first)
    for word in vocabulary.CONNECTORS.split():  # they are never inflected
        known.setdefault(word, word)
    return known


_CANONICAL = MappingProxyType(_canonical_words())


def canonical(word: str) -> str:
    """Return the word that stands for `word` (lower case): that of its meaning if known, else its stem."""
    known = _CANONICAL.get(word)
    if known is not None:
        return known
    root = stem(word)
    return _CANONICAL.get(root, root)


def _set(table: str) -> frozenset[str]:
    return frozenset(canonical(word) for word in table.split())


def _poles() -> dict[str, tuple[tuple[str, int], ...]]:
    poles: dict[str, tuple[tuple[str, int], ...]] = {}
    for line in _lines(vocabulary.OPPOSED):
        axis, _, sides = line.partition(":")
        for number, side in enumerate(sides.split("|")):
            for word in _set(side):
                poles[word] = (*poles.get(word, ()), (axis, number))
    return poles


def _phrases() -> dict[tuple[str, str], tuple[str, ...]]:
    phrases: dict[tuple[str, str], tuple[str, ...]] = {}
    for line in _lines(vocabulary.PHRASES):
        words, _, meaning = line.partition("=")
        left, right = words.split()
        phrases[canonical(left), canonical(right)] = tuple(canonical(word) for word in meaning.split())
    return phrases


def _denied(word: str) -> str:
    return canonical(word.removeprefix("non") if word.startswith("non") else word[2:])


MARKED_AXES = frozenset(
    axis for axis, _, _ in (line.partition(":") for line in _lines(vocabulary.OPPOSED)) if axis.endswith("!")
)
"""Axes on which a text on a pole differs from a text on none."""

POLES = MappingProxyType(_poles())
"""Canonical word -> the (axis, pole) pairs that it stands on."""

PHRASES = MappingProxyType(_phrases())
"""Two canonical words in a row -> the canonical words that stand for them."""

UNWORDS = MappingProxyType({word: _denied(word) for word in vocabulary.UNWORDS.split()})
"""Word that says "not" by its first syllable -> the canonical word that it denies."""

SYMBOLS = MappingProxyType(dict(line.split() for line in _lines(vocabulary.SYMBOLS)))
"""Operator -> the canonical word that says it."""

NUMBER_WORDS = MappingProxyType(
    {word: str(number) for number, word in enumerate(vocabulary.NUMBER_WORDS.split())}
    | vocabulary.ROUND_WORDS
)
"""English number word -> its digits."""

UNITS = MappingProxyType({canonical(a): b for a, b in (line.split() for line in _lines(vocabulary.UNITS))})
"""What a unit after a number is taken for otherwise -> its canonical word."""

FUNCTION_WORDS = frozenset(vocabulary.FUNCTION.split()) | _set(vocabulary.FUNCTION)
NEGATIONS = frozenset(vocabulary.NEGATIONS.split())
CONNECTORS = frozenset(vocabulary.CONNECTORS.split())
COORDINATORS = frozenset(vocabulary.COORDINATORS.split())
WEAK_WORDS = _set(vocabulary.WEAK)
TYPE_WORDS = _set(vocabulary.TYPES)
ACTIONS = _set(vocabulary.ACTIONS)
QUANTITIES = _set(vocabulary.QUANTITIES)
FOREIGN = frozenset(vocabulary.FOREIGN.split())
PLACES = _set(vocabulary.PLACES)
WHERE = _set(vocabulary.WHERE)
RECENCY = _set(vocabulary.RECENCY)
GROUPING = frozenset(vocabulary.GROUPING.split())
SUMMARIES = frozenset(vocabulary.SUMMARIES.split())
