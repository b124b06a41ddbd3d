"""Finding tasks that share most words with another, by the postings of their roots."""

from collections import Counter
from collections.abc import Iterable, Sequence
from math import ceil

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import bindparam, func, select

from engramia.core.model import Pattern
from engramia.core.roots import root
from engramia.core.words import jaccard, words
from engramia.db.bigints import Bigints
from engramia.providers.postgres import rows
from engramia.providers.postgres.tables import BigintArray, pattern_texts, word_counts, word_postings
from engramia.providers.postgres.transaction import ScopeTransaction, ours
from engramia.providers.postgres.words import TASK, code_of, unpack_members

type Numbers = NDArray[np.int64]

_ROUNDING = 1e-9
_FEW = 200
"""Patterns whose tasks are as soon read as further postings."""
_NOBODY = np.zeros(0, np.int64)

_roots = bindparam("of_roots", type_=BigintArray)
_POSTINGS = select(word_postings.c.root, word_postings.c.block, word_postings.c.members).where(
    ours(word_postings),
    word_postings.c.field == TASK,
    word_postings.c.root == func.any(_roots),
)
_COUNTS = select(word_counts.c.root, word_counts.c.patterns).where(
    ours(word_counts), word_counts.c.field == TASK, word_counts.c.root == func.any(_roots)
)
_TASKS = select(pattern_texts.c.number, pattern_texts.c.task).where(
    ours(pattern_texts),
    pattern_texts.c.number == func.any(rows.NUMBERS),
    pattern_texts.c.task_size.between(bindparam("least"), bindparam("most")),
)
_WORDLESS = select(pattern_texts.c.number, pattern_texts.c.task).where(
    ours(pattern_texts), pattern_texts.c.task_size == 0
)


def find_near_identical(transaction: ScopeTransaction, task: str, min_jaccard: float) -> Sequence[Pattern]:
    """Return patterns whose words are `task`'s or overlap by at least `min_jaccard` (over 0), best first."""
    order = words(task)
    asked = frozenset(order)
    if asked:
        size = len(asked)
        candidates = _sharing(transaction, asked, ceil(min_jaccard * size - _ROUNDING))
        found = (
            transaction.fetch(
                _TASKS,
                of_numbers=Bigints(candidates),
                least=ceil(min_jaccard * size - _ROUNDING),
                most=int(size / min_jaccard + _ROUNDING),
            )
            if candidates.size
            else []
        )
    else:
        found = transaction.fetch(_WORDLESS)
    overlaps = {}
    for row in found:
        said = words(row.task)
        overlap = jaccard(asked, frozenset(said))
        if overlap >= min_jaccard:
            overlaps[row.number] = (said == order, overlap)
    patterns = rows.by_number(transaction, list(overlaps))
    ranked = [
        ((*overlap, patterns[number].success_score, patterns[number].key), patterns[number])
        for number, overlap in overlaps.items()
    ]
    return [pattern for _, pattern in sorted(ranked, key=lambda pair: pair[0], reverse=True)]


def _sharing(transaction: ScopeTransaction, asked: frozenset[str], needed: int) -> Numbers:
    """Return patterns among which are all whose tasks have the roots of at least `needed` of the words.

    The rarest roots tell: whoever lacks those that stand for more words than may be missing has too few. Only
    where they leave many are the others read.
    """
    times = Counter(code_of(root(word)) for word in asked)
    held = {row.root: row.patterns for row in transaction.fetch(_COUNTS, of_roots=_array(times))}
    rarest, spare = list[int](), len(asked) - max(needed, 1)
    for code in sorted(times, key=lambda code: held.get(code, 0)):
        if spare < 0:
            break
        rarest.append(code)
        spare -= times[code]
    shared = _shared(transaction, Counter({code: times[code] for code in rarest}))
    if len(shared) <= _FEW:
        return np.array(sorted(shared), np.int64)
    shared += _shared(transaction, times - Counter({code: times[code] for code in rarest}))
    return np.array([number for number, words_of in shared.items() if words_of >= needed], np.int64)


def _shared(transaction: ScopeTransaction, times: Counter[int]) -> Counter[int]:
    """Return how many of the words, given by root, the patterns have that have any."""
    found = transaction.fetch(_POSTINGS, of_roots=_array(times)) if times else []
    members = [unpack_members(row.block, row.members) for row in found]
    weight = np.repeat([times[row.root] for row in found], [len(some) for some in members])
    numbers, places = np.unique(np.concatenate([_NOBODY, *members]), return_inverse=True)
    counts = np.bincount(places, weight, len(numbers)).astype(np.int64)
    return Counter(dict(zip(numbers.tolist(), counts.tolist(), strict=True)))


def _array(codes: Iterable[int]) -> Bigints:
    return Bigints(np.array(list(codes), np.int64))
