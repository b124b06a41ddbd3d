"""The word index in rows: roots as numbers, postings in blocks, and the weights of `core.word_index`.

A root is a 64-bit hash whose last bits say what kind it is, so that no table of roots is needed. A pattern
keeps its roots beside its texts; `word_postings` says which patterns have a root: for every `BLOCK` patterns
one row per root with their numbers in it, so that learning appends a few bytes. Learning writes each row that
it appends to anew, so that a root which many patterns have takes a row for every `NARROW` patterns.
"""

import hashlib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from math import ceil, log2

import numpy as np
from numpy.typing import NDArray

from engramia.core.roots import kind_weight, root
from engramia.core.words import words

TASK, CODE = 0, 1
BLOCK = 4096
"""Patterns by block of postings."""
NARROW = 256
"""Patterns by block where a root is common; narrow blocks are counted down from -1."""
BLOCKS_IN_ONE = BLOCK // NARROW
MEMBER_BYTES = 2
"""What a pattern takes in one."""
ROOT_BYTES = 8
"""What a root takes among those of a pattern."""

type Codes = NDArray[np.int64]
type Floats = NDArray[np.float64]

_KINDS = (1, 4, 8)
_KIND_BITS = 3
_KIND_WEIGHTS = np.array([*_KINDS, 0], np.int64)
_STEPS_PER_OCTAVE = 4
_UNSEEN_STEP = -_STEPS_PER_OCTAVE
# The least document frequency of each step floor(4 log2 df), as `core.word_index` has them.
_LEAST_COUNTS = np.array([ceil(2 ** (step / _STEPS_PER_OCTAVE)) for step in range(32 * _STEPS_PER_OCTAVE)])


@lru_cache(maxsize=1 << 16)
def code_of(name: str) -> int:
    """Return the number of a root, a signed 64-bit integer."""
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True) & ~_KIND_BITS | _KINDS.index(kind_weight(name))


def codes_of(text: str) -> Codes:
    """Return the distinct roots of a text, ascending."""
    return np.array(sorted({code_of(root(word)) for word in words(text)}), np.int64)


def query_codes(said: Iterable[str]) -> list[int]:
    """Return the distinct roots of a query's words, in the order that they come in."""
    return list(dict.fromkeys(code_of(root(word)) for word in said))


def pack(codes: Codes) -> bytes:
    """Return roots as the bytes that a row keeps."""
    return codes.astype("<i8").tobytes()


def unpack(packed: bytes) -> Codes:
    """Return the roots that `pack` gave these bytes for."""
    return np.frombuffer(packed, "<i8")


def pack_members(numbers: NDArray[np.int64]) -> bytes:
    """Return pattern numbers of one block, wide or narrow, as the bytes that its row keeps."""
    return (numbers % BLOCK).astype("<u2").tobytes()


def unpack_members(block: int, members: bytes) -> NDArray[np.int64]:
    """Return the pattern numbers in a row of postings."""
    return np.frombuffer(members, "<u2").astype(np.int64) + int(first_numbers(np.int64(block)))


def first_numbers(blocks: NDArray[np.int64] | np.int64) -> NDArray[np.int64]:
    """Return the pattern numbers that members of these blocks are counted from."""
    return np.asarray(np.where(blocks < 0, (-1 - blocks) // BLOCKS_IN_ONE, blocks) * BLOCK, np.int64)


def scale(patterns: int) -> float:
    """Return what a root's weight is measured against in a scope of so many patterns."""
    return 1.0 + _STEPS_PER_OCTAVE * log2(patterns + 1)


def kind_weights(codes: Codes) -> Codes:
    """Return what each root weighs for what it is, whatever its frequency."""
    kinds: Codes = _KIND_WEIGHTS[codes & _KIND_BITS]
    return kinds


def weights(codes: Codes, counts: NDArray[np.int64], patterns: int) -> Floats:
    """Return what each root weighs, in a scope of `patterns` of which `counts` have it."""
    steps = np.searchsorted(_LEAST_COUNTS, counts, side="right") - 1
    steps = np.where(counts > 0, steps, _UNSEEN_STEP)
    return np.asarray(kind_weights(codes) * (scale(patterns) - steps) ** 2, np.float64)


type Changes = list[tuple[int, int, Codes]]
"""Field, number of a pattern, and distinct roots of its words there, one or more."""


def note(changes: Changes, number: int, by_field: Mapping[int, Codes]) -> None:
    """Add to `changes` that a pattern has these roots."""
    changes += [(field, number, codes) for field, codes in by_field.items() if codes.size]
