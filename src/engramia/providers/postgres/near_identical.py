"""Finding tasks that share most words with another, by the postings of their roots."""

from collections.abc import Sequence
from math import ceil

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import BigInteger, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY

from engramia.core.model import Pattern
from engramia.core.roots import root
from engramia.core.words import jaccard, words
from engramia.providers.postgres import rows
from engramia.providers.postgres.tables import pattern_texts, word_postings
from engramia.providers.postgres.transaction import ScopeTransaction, ours
from engramia.providers.postgres.words import TASK, code_of, unpack_members

type Numbers = NDArray[np.int64]

_ROUNDING = 1e-9

_POSTINGS = select(word_postings.c.root, word_postings.c.block, word_postings.c.members).where(
    ours(word_postings),
    word_postings.c.field == TASK,
    word_postings.c.root == func.any(bindparam("of_roots", type_=ARRAY(BigInteger))),
)
_TASKS = select(pattern_texts.c.number, pattern_texts.c.task).where(
    ours(pattern_texts),
    pattern_texts.c.number == func.any(bindparam("of_numbers", type_=ARRAY(BigInteger))),
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
            transaction.execute(
                _TASKS,
                of_numbers=candidates.tolist(),
                least=ceil(min_jaccard * size - _ROUNDING),
                most=int(size / min_jaccard + _ROUNDING),
            ).all()
            if candidates.size
            else []
        )
    else:
        found = transaction.execute(_WORDLESS).all()
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
    """Return the patterns whose tasks have the roots of at least `needed` of the words."""
    times: dict[int, int] = {}
    for word in asked:
        code = code_of(root(word))
        times[code] = times.get(code, 0) + 1
    shared = np.zeros(transaction.row.next_number, np.int32)
    for row in transaction.execute(_POSTINGS, of_roots=list(times)):
        shared[unpack_members(row.block, row.members)] += times[row.root]
    return np.flatnonzero(shared >= max(needed, 1))
