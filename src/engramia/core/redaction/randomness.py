"""How random a value looks: what a generator made is told from what a person named."""

import math
import re
from collections import Counter
from itertools import pairwise

_SEGMENT = re.compile(r"[A-Za-z0-9]+")
_WORDS = re.compile(r"[A-Z]?[a-z]{2,}|[A-Z]{3,}")
_CONSONANTS = re.compile(r"[^aeiouyAEIOUY]{5,}")
_VOWELS = frozenset("aeiouyAEIOUY")
_HASH = re.compile(r"(?:0x)?[0-9a-fA-F]+")
_HASH_LENGTHS = frozenset({32, 40, 48, 56, 64, 96, 128})
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

_MIN_BITS = 38.0  # Shannon bits of the whole value: 12 distinct characters have 43
_MIN_CHANGES = 0.13  # base36 changes class at .4 of its steps, base62 at .6, a name with a number at < .1
_MAX_WORDY = 0.6
_MAX_SEQUENCE = 0.8
_LONG_LETTERS = 20
_MIN_WORD = 3
_FEW_VOWELS, _MANY_VOWELS = 0.15, 0.8


def entropy(value: str) -> float:
    """Return the Shannon entropy of the characters in bits a character (0 for the empty text)."""
    total = len(value)
    return -sum(n / total * math.log2(n / total) for n in Counter(value).values())


def is_digest(value: str) -> bool:
    """Tell whether the value has the shape of a UUID or of a hash in hexadecimal."""
    if _UUID.fullmatch(value):
        return True
    return bool(_HASH.fullmatch(value)) and len(value.removeprefix("0x")) in _HASH_LENGTHS


def sequence_share(value: str) -> float:
    """Return the share (0-1) of steps to the next or the same character, as in `abcd`, `1234`, `0000`."""
    if not value[1:]:
        return 1.0
    steps = sum(ord(b) - ord(a) in (0, 1) for a, b in pairwise(value))
    return steps / (len(value) - 1)


def wordy_share(value: str) -> float:
    """Return the share (0-1) of characters that stand in runs which read like words."""
    read = sum(len(word) for word in _WORDS.findall(value) if _reads_like_word(word))
    return read / max(1, len(value))


def _reads_like_word(word: str) -> bool:
    vowels = sum(c in _VOWELS for c in word) / len(word)
    return len(word) >= _MIN_WORD and _FEW_VOWELS <= vowels <= _MANY_VOWELS and not _CONSONANTS.search(word)


def class_changes(value: str) -> float:
    """Return how often (0-1) the kind of character changes inside the value's alphanumeric runs.

    A capital that opens a word (`TokenName`) is no change.
    """
    changes = steps = 0
    for segment in _SEGMENT.findall(value):
        classes = re.sub(r"Ul+", lambda m: "l" * len(m[0]), "".join(map(_class, segment)))
        steps += len(classes) - 1
        changes += sum(a != b for a, b in pairwise(classes))
    return changes / max(1, steps)


def _class(char: str) -> str:
    return "d" if char.isdigit() else "U" if char.isupper() else "l"


def is_random(value: str) -> bool:
    """Tell whether the value looks generated: enough bits, changing kinds of characters, hardly a word."""
    if len(value) * entropy(value) < _MIN_BITS or sequence_share(value) > _MAX_SEQUENCE:
        return False
    if not any(c.isdigit() for c in value) and class_changes(value) < 2 * _MIN_CHANGES:
        return len(value) >= _LONG_LETTERS and wordy_share(value) < _MAX_WORDY / 2
    return class_changes(value) >= _MIN_CHANGES and wordy_share(value) < _MAX_WORDY


def is_varied(value: str) -> bool:
    """Tell whether the value, known by its prefix, is more than a filled-in pattern such as `xxxx0000`."""
    return len(set(value)) >= min(8, max(4, len(value) // 3))
