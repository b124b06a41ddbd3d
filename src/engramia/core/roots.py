"""Word roots: what of a word counts for search, what it weighs, and the numbers that stand for roots.

Long texts are cut many at a time, in numpy: opening a store cuts every code that it holds.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engramia.core.words import words

ROOT_LETTERS = 5

_NUMBER_WEIGHT, _WORD_WEIGHT, _GRAMMAR_WEIGHT = 8, 4, 1
GRAMMAR = frozenset(
    """
    a an and are as at be by for from has have i if in is it its me my of on or our so such that the their
    then there these this those to was were what when where which who will with you your
    """.split()
)
"""Words that say nothing of a task. A large store sees how common they are; one of two patterns can not."""

# The bytes of ASCII words, folded; all others are gaps, which are larger than any byte of a word.
_GAP = 255
_FOLD = bytes(ord(chr(code).lower()) if chr(code).isalnum() else _GAP for code in range(128)).ljust(
    256, bytes([_GAP])
)
_PACKED = 8
"""Roots of up to so many bytes are packed into an integer: all words of letters and most numbers."""
_MASKS = np.array([(1 << (8 * size)) - 1 for size in range(_PACKED + 1)], np.uint64)
_SLOT_BITS = 17
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # multiplicative hashing (Knuth, TAOCP 3, 6.4)
_CHUNK = 1 << 16  # characters cut at once: what is made of them stays in the processor's cache

type Numbers = NDArray[np.uint32]
type Pairs = NDArray[np.uint64]


def root(word: str) -> str:
    """Return what of a word counts for search: its first five letters, or all of it if it has a digit."""
    return word[:ROOT_LETTERS] if word.isalpha() else word


def kind_weight(name: str) -> int:
    """Return what a root weighs for what it is, whatever its frequency."""
    if not name.isalpha():
        # Numbers, dates, identifiers with a digit are a task's parameters: to differ in them is to differ.
        return _NUMBER_WEIGHT
    return _GRAMMAR_WEIGHT if name in GRAMMAR else _WORD_WEIGHT


def distinct[T: (np.uint32, np.uint64)](values: NDArray[T]) -> NDArray[T]:
    """Return the distinct values, ascending."""
    # Sorting beats numpy's `unique`, which hashes, several times over.
    values = np.sort(values)
    return values[np.concatenate(([True], values[1:] != values[:-1]))] if values.size else values


def paired(high: NDArray[np.uint32], low: NDArray[np.uint32]) -> Pairs:
    """Return two numbers as one that sorts by the first, then the second."""
    return (high.astype(np.uint64) << np.uint64(32)) | low


class KnownRoots(NamedTuple):
    """The roots of a query: numbers of those ever seen, their kind weights, and the others' together."""

    numbers: Numbers
    weights: NDArray[np.int32]
    unseen: int


class Roots:
    """Numbers for roots, given on first sight and never taken back."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._weights = bytearray()
        # Packed root -> number for most roots, one to a slot: the dictionary, as numpy can ask it.
        self._packed: Pairs = np.zeros(0, np.uint64)
        self._number_in: Numbers = np.zeros(0, np.uint32)

    def __len__(self) -> int:
        return len(self._numbers)

    def number(self, name: str) -> int:
        """Return the number of a root, a new one on first sight."""
        number = self._numbers.get(name)
        if number is None:
            self._numbers[name] = number = len(self._numbers)
            self._weights.append(kind_weight(name))
        return number

    def names(self) -> list[str]:
        """Return all roots, by number."""
        return list(self._numbers)

    def known(self, words: Iterable[str]) -> "KnownRoots":
        """Return what is known of the distinct roots of some words."""
        names = dict.fromkeys(map(root, words))
        found = [number for number in map(self._numbers.get, names) if number is not None]
        numbers = np.array(found, np.uint32)
        unseen = sum(kind_weight(name) for name in names if name not in self._numbers)
        return KnownRoots(numbers, self.weights(numbers), unseen)

    def numbers_of(self, words: Iterable[str]) -> Numbers:
        """Return the numbers of the distinct roots of some words, in no order, new ones on first sight."""
        return np.array([self.number(name) for name in set(map(root, words))], np.uint32)

    def weights(self, numbers: Numbers) -> NDArray[np.int32]:
        """Return the kind weight of each root."""
        return np.frombuffer(self._weights, np.uint8)[numbers].astype(np.int32)

    def of_texts(self, texts: Iterable[str]) -> Iterator[tuple[int, Pairs]]:
        """Yield (place of a first text, distinct pairs of (text counted from there, root) ascending)."""
        start, size, chunk = 0, 0, list[str]()
        for text in texts:
            chunk.append(text)
            size += len(text)
            if size >= _CHUNK:
                yield start, self._cut(chunk)
                start, size, chunk = start + len(chunk), 0, []
        yield start, self._cut(chunk)

    def _cut(self, texts: Sequence[str]) -> Pairs:
        plain = [text if text.isascii() else "" for text in texts]
        found = [self._cut_ascii(plain)]
        for place, text in enumerate(texts):
            if not text.isascii():
                numbers = np.array([self.number(root(word)) for word in words(text)], np.uint32)
                found.append(paired(np.full(len(numbers), place, np.uint32), numbers))
        return distinct(np.concatenate(found))

    def _cut_ascii(self, texts: Sequence[str]) -> Pairs:
        data = f" {' '.join(texts)}{' ' * _PACKED}".encode().translate(_FOLD)
        folded = np.frombuffer(data, np.uint8)
        inside = folded != _GAP
        edges = np.flatnonzero(inside[1:] != inside[:-1]) + 1
        starts, lengths = edges[::2], edges[1::2] - edges[::2]
        if not starts.size:
            return np.zeros(0, np.uint64)
        has_digit = np.minimum.reduceat(folded, starts) <= ord("9")
        lengths = np.where(has_digit, lengths, np.minimum(lengths, ROOT_LETTERS))
        # Eight bytes from each word's first: a window at every byte, of which those are taken.
        windows = np.ndarray((len(data) - _PACKED + 1,), "<u8", data, strides=(1,))
        numbers = self._numbers_of(windows[starts] & _MASKS[np.minimum(lengths, _PACKED)])
        for place in np.flatnonzero(lengths > _PACKED).tolist():
            start = int(starts[place])
            numbers[place] = self.number(data[start : start + int(lengths[place])].decode())
        ends = np.cumsum([1 + len(text) for text in texts])
        return paired(np.searchsorted(ends, starts, side="right").astype(np.uint32), numbers)

    def _numbers_of(self, packed: Pairs) -> Numbers:
        if not self._packed.size:
            self._packed = np.zeros(1 << _SLOT_BITS, np.uint64)
            self._number_in = np.zeros(1 << _SLOT_BITS, np.uint32)
        slots = (packed * _GOLDEN) >> np.uint64(64 - _SLOT_BITS)
        numbers: Numbers = self._number_in[slots]
        missed = np.flatnonzero(self._packed[slots] != packed)
        if missed.size:
            names = distinct(packed[missed])
            unpacked = names.astype("<u8").view(f"S{_PACKED}").astype(f"U{_PACKED}").tolist()
            of_names = np.array([self.number(name) for name in unpacked], np.uint32)
            numbers[missed] = of_names[np.searchsorted(names, packed[missed])]
            slots = (names * _GOLDEN) >> np.uint64(64 - _SLOT_BITS)
            self._packed[slots], self._number_in[slots] = names, of_names
        return numbers
