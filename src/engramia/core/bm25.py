"""The word index: which patterns share a query's words, and how much of both those words weigh.

The score is the cosine of two sets of word roots weighted by inverse document frequency. The idf is BM25's;
cosine stands in place of BM25's saturation because it also counts what the pattern says and the query does
not, and because its range, 0 to 1, does not depend on what else was found (docs/decisions/0005-ranking.md).
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import chain
from math import ceil, log2

import numpy as np
from numpy.typing import NDArray

from engramia.core.words import words

ROOT_LETTERS = 5
CODE_CHARS = 4096
"""How much of a pattern's code is indexed."""

_STEPS_PER_OCTAVE = 4
_UNSEEN_STEP = -_STEPS_PER_OCTAVE
_NUMBER_WEIGHT, _WORD_WEIGHT, _GRAMMAR_WEIGHT = 8, 4, 1
_GRAMMAR = frozenset(
    """
    a an and are as at be by for from has have i if in is it its me my of on or our so such that the their
    then there these this those to was were what when where which who will with you your
    """.split()
)
"""Words that say nothing of a task. A large store sees how common they are; one of two patterns can not."""
_FEW = 32
# _LEAST_COUNT[k] is the least document frequency of step k = floor(4 log2 df).
_LEAST_COUNT = [ceil(2 ** (k / _STEPS_PER_OCTAVE)) for k in range(32 * _STEPS_PER_OCTAVE)]
_ROUNDING = 1e-9


def root(word: str) -> str:
    """Return what of a word counts for search: its first five letters, or all of it if it has a digit."""
    return word[:ROOT_LETTERS] if word.isalpha() else word


def code_words(code: str) -> list[str]:
    """Return the distinct words of the head of `code`, in order: what the word index holds of code."""
    return list(dict.fromkeys(words(code[:CODE_CHARS])))


def rarity_step(document_frequency: int) -> int:
    """Return floor(4 log2 df), the document frequency as the index sees it; -4 (half a document) for none."""
    return bisect_right(_LEAST_COUNT, document_frequency) - 1 if document_frequency else _UNSEEN_STEP


class _Vocabulary(dict[str, int]):
    """Word -> id, given on first sight."""

    def __missing__(self, word: str) -> int:
        self[word] = number = len(self)
        return number


def _cosines(found: "list[tuple[array[int], float]]", norms: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return sum of weights / sqrt(norm) by row, from each posting and its weight."""
    if not found:
        return np.zeros(len(norms), np.float32)
    rows = np.concatenate([np.frombuffer(posting, np.uint32) for posting, _ in found])
    weights = np.repeat([weight for _, weight in found], [len(posting) for posting, _ in found])
    shared = np.bincount(rows, weights, minlength=len(norms))
    return np.minimum(shared / np.sqrt(norms), 1.0).astype(np.float32)


class WordIndex:
    """Rows of words, searched by their roots. Rows are dense integers that the caller assigns.

    Readers may share it, a writer needs it alone: whoever owns it sees to that. Words once seen stay known.

    The weight of a root is b (1 + 4 log2(n + 1) - s)^2, where s = floor(4 log2 df) and b = 8 if it has a
    digit, 1 for a word of grammar, 4 for any other. With the frequency in steps, the norm of a row (the sum
    of its weights) is a polynomial in log2(n + 1) of integer coefficients, which change only in the rare
    moment that a frequency crosses a step. So learning costs the same in a large store, and scores depend on
    the rows held, not on their history.
    """

    def __init__(self) -> None:
        self._words = _Vocabulary()
        self._roots = _Vocabulary()
        self._root_of = array("I")
        self._weight_of = bytearray()
        self._postings: list[array[int]] = []
        self._rows: dict[int, array[int]] = {}
        # By row: sums over its roots of b, b s and b s^2 (b the kind weight), and how many words it has.
        self._sums = np.zeros((4, 64), np.int32)

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, row: int) -> bool:
        return row in self._rows

    def add(self, row: int, words: Iterable[str]) -> None:
        """Hold `words` (in order, as `words()` cuts them) under `row`, in place of what it held."""
        self.remove(row)
        sequence = self._numbers(words)
        self._rows[row] = sequence
        self._reserve(row + 1)
        distinct = set(sequence)
        self._sums[3, row] = len(distinct)
        for number in {self._root_of[word] for word in distinct}:
            self._enter(number, row)

    def add_many(self, rows: Iterable[tuple[int, Iterable[str]]]) -> None:
        """Hold many rows at once, each given once; from empty it is several times faster than one by one."""
        if self._rows:
            for row, row_words in rows:
                self.add(row, row_words)
            return
        for row, row_words in rows:
            self._rows[row] = array("I", map(self._words.__getitem__, row_words))
        self._reserve(max(self._rows, default=0) + 1)
        self._meet_words()
        if self._postings:
            self._build()

    def remove(self, row: int) -> None:
        """Forget a row; a row that is not held is passed over."""
        sequence = self._rows.pop(row, None)
        if sequence is None:
            return
        for number in {self._root_of[word] for word in sequence}:
            self._leave(number, row)
        self._sums[:, row] = 0

    def scores(self, words: Iterable[str], size: int) -> NDArray[np.float32]:
        """Return the score of each row in 0..1, shape (size,); 0 where no root is shared or no row is held.

        `size` must be greater than every row held.
        """
        scale = self._scale()
        total = 0.0
        found: list[tuple[array[int], float]] = []
        for name in dict.fromkeys(map(root, words)):
            posting = self._posting(name)
            weight = _kind_weight(name) * (scale - rarity_step(len(posting))) ** 2
            total += weight
            if posting:
                found.append((posting, weight))
        return _cosines(found, total * self._norms(size, scale))

    def overlapping(self, words: frozenset[str], min_jaccard: float) -> list[int]:
        """Return the rows whose words overlap `words` by Jaccard >= `min_jaccard` (over 0), ascending.

        Such a row has at least ceil(min_jaccard x |words|) of the words, so that it has one of the rarest few
        (prefix filtering: Chaudhuri et al. 2006).
        """
        known = {self._words[word] for word in words if word in self._words}
        needed = ceil(min_jaccard * len(words) - _ROUNDING)
        if not words or len(known) < needed:
            return []
        postings = sorted((self._postings[self._root_of[word]] for word in known), key=len)
        found = self._candidates(postings, needed, len(words), min_jaccard)
        return [
            row for row in found.tolist() if self._overlap(row, known, len(words)) >= min_jaccard - _ROUNDING
        ]

    def sequence(self, row: int) -> Sequence[int]:
        """Return the words of a row in order, as this index numbers them; `KeyError` if it is not held."""
        return self._rows[row]

    def encode(self, words: Iterable[str]) -> list[int]:
        """Return words as this index numbers them, those it has never seen as distinct negative numbers."""
        unseen: dict[str, int] = {}
        return [
            number
            if (number := self._words.get(word)) is not None
            else unseen.setdefault(word, -1 - len(unseen))
            for word in words
        ]

    def _numbers(self, words: Iterable[str]) -> "array[int]":
        sequence = array("I", map(self._words.__getitem__, words))
        self._meet_words()
        return sequence

    def _meet_words(self) -> None:
        """Give every word seen for the first time its root."""
        known = len(self._root_of)
        if known == len(self._words):
            return
        # Dictionaries keep insertion order, so the newest words are the last ones.
        newest = [
            word for word, _ in zip(reversed(self._words), range(len(self._words) - known), strict=False)
        ]
        for word in reversed(newest):
            name = root(word)
            number = self._roots[name]
            self._root_of.append(number)
            if number == len(self._postings):
                self._postings.append(array("I"))
                self._weight_of.append(_kind_weight(name))

    def _reserve(self, size: int) -> None:
        room = self._sums.shape[1]
        if size > room:
            grown = np.zeros((4, max(size, room * 3 // 2)), np.int32)
            grown[:, :room] = self._sums
            self._sums = grown

    def _enter(self, number: int, row: int) -> None:
        posting = self._postings[number]
        before = len(posting)
        self._move(number, rarity_step(before), rarity_step(before + 1))
        posting.append(row)
        self._count(number, row, rarity_step(before + 1))

    def _leave(self, number: int, row: int) -> None:
        posting = self._postings[number]
        at = int(np.flatnonzero(np.frombuffer(posting, np.uint32) == row)[0])
        posting.pop(at)
        self._move(number, rarity_step(len(posting) + 1), rarity_step(len(posting)))

    def _move(self, number: int, before: int, after: int) -> None:
        """Tell the rows of a root that its frequency went from one step to another."""
        if before != after and self._postings[number]:
            rows = np.frombuffer(self._postings[number], np.uint32)
            weight = self._weight_of[number]
            self._sums[1, rows] += weight * (after - before)
            self._sums[2, rows] += weight * (after * after - before * before)

    def _count(self, number: int, row: int, step: int) -> None:
        weight = self._weight_of[number]
        self._sums[:3, row] += (weight, weight * step, weight * step * step)

    def _build(self) -> None:
        """Fill postings and sums from the rows alone."""
        rows = np.fromiter(self._rows, np.uint32, len(self._rows))
        lengths = np.fromiter(map(len, self._rows.values()), np.int64, len(rows))
        held = np.fromiter(chain.from_iterable(self._rows.values()), np.uint32, int(lengths.sum()))
        by_row = np.repeat(rows, lengths)
        numbers = np.frombuffer(self._root_of, np.uint32)[held]
        pairs = _distinct((numbers.astype(np.uint64) << np.uint64(32)) | by_row)
        numbers, members = (pairs >> np.uint64(32)).astype(np.uint32), pairs.astype(np.uint32)
        counts = np.bincount(numbers, minlength=len(self._postings))
        self._fill(members, counts)
        steps = np.searchsorted(_LEAST_COUNT, counts, side="right") - 1
        step = steps[numbers].astype(np.int64)
        weight = np.frombuffer(self._weight_of, np.uint8)[numbers].astype(np.int64)
        room = self._sums.shape[1]
        for power in range(3):
            self._sums[power] = np.bincount(members, weight * step**power, minlength=room)
        self._sums[3, rows] = [len(set(sequence)) for sequence in self._rows.values()]

    def _fill(self, members: NDArray[np.uint32], counts: NDArray[np.intp]) -> None:
        """Hand each posting its rows, which stand one posting after another."""
        content = members.tobytes()
        ends = (np.cumsum(counts) * members.itemsize).tolist()
        for posting, start, end in zip(self._postings, [0, *ends[:-1]], ends, strict=True):
            posting.frombytes(content[start:end])

    def _scale(self) -> float:
        return 1.0 + _STEPS_PER_OCTAVE * log2(len(self._rows) + 1)

    def _posting(self, name: str) -> "array[int]":
        number = self._roots.get(name)
        return self._postings[number] if number is not None else array("I")

    def _norms(self, size: int, scale: float) -> NDArray[np.float64]:
        """Return by row the sum of b (scale - s)^2, from those of b, b s and b s^2; 1 for rows not held."""
        norms = np.ones(size)
        ones, steps, squares = self._sums[:3, :size]
        # Every root weighs at least 1, so that 1 is no bound for the rows held.
        np.maximum(scale * (scale * ones - 2.0 * steps) + squares, 1.0, out=norms[: len(ones)])
        return norms

    def _candidates(
        self, postings: "list[array[int]]", needed: int, size: int, min_jaccard: float
    ) -> NDArray[np.uint32]:
        """Return the rows that may overlap a set of `size` words enough, given its words' postings."""
        prefix = postings[: len(postings) - needed + 1]
        rows = np.concatenate([np.frombuffer(part, np.uint32) for part in prefix])
        sizes = self._sums[3, rows]
        rows = rows[(sizes >= min_jaccard * size - _ROUNDING) & (sizes * min_jaccard <= size + _ROUNDING)]
        if rows.size > _FEW:
            shared = np.zeros(self._sums.shape[1], np.uint16)
            for posting in postings:
                shared[np.frombuffer(posting, np.uint32)] += 1
            rows = rows[shared[rows] >= needed]
        return _distinct(rows)

    def _overlap(self, row: int, words: set[int], size: int) -> float:
        held = set(self._rows[row])
        shared = len(held & words)
        return shared / (len(held) + size - shared)


def _kind_weight(name: str) -> int:
    """Return what a root weighs for what it is, whatever its frequency."""
    if not name.isalpha():
        # Numbers, dates, identifiers with a digit are a task's parameters: to differ in them is to differ.
        return _NUMBER_WEIGHT
    return _GRAMMAR_WEIGHT if name in _GRAMMAR else _WORD_WEIGHT


def _distinct[T: (np.uint32, np.uint64)](values: NDArray[T]) -> NDArray[T]:
    """Return the distinct values, ascending."""
    # Sorting beats numpy's `unique`, which hashes, several times over.
    values = np.sort(values)
    return values[np.concatenate(([True], values[1:] != values[:-1]))] if values.size else values
