"""The patterns of one scope in memory, as of a revision: a search asks the database for its page alone.

A table is never the truth. Each transaction reads the scope's revision first, and the table catches up with
it: patterns bear the revision by which what a search sees of them was last changed, and since all that is new
is then known, there are as many as the scope counts unless some were deleted.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sqlalchemy import bindparam, func, select

from engramia.core.postings import split
from engramia.core.roots import Numbers, paired
from engramia.core.word_index import WordIndex
from engramia.db.bigints import Bigints
from engramia.providers.postgres import arrays
from engramia.providers.postgres.code_roots import CodeRoots
from engramia.providers.postgres.rows import MICROS, NUMBERS
from engramia.providers.postgres.scope_columns import ScopeColumns
from engramia.providers.postgres.tables import pattern_texts, pattern_vectors, patterns
from engramia.providers.postgres.transaction import ScopeTransaction, ours
from engramia.providers.postgres.words import unpack

_BYTES = 1800
"""What a pattern takes beside its vector: its task and key, and the postings of some hundred roots."""
_ROOM = 5 / 4
_NEVER = -1
_SPARSE, _SPARSE_ROWS = 2, 1000
"""How many rows there may be beside those in use before all is read anew."""

_FACTS = select(
    patterns.c.number,
    patterns.c.key,
    patterns.c.quality,
    patterns.c.success_score,
    patterns.c.classification,
    patterns.c.source,
    patterns.c.dense,
    MICROS.label("micros"),
).where(ours(patterns))
_CHANGED = _FACTS.where(patterns.c.revision > bindparam("since"))
_TEXTS = select(
    pattern_texts.c.number, pattern_texts.c.task, pattern_texts.c.task_roots, pattern_texts.c.code_roots
).where(ours(pattern_texts))
_VECTORS = select(
    func.array_send(func.array_agg(pattern_vectors.c.number)).label("numbers"),
    func.string_agg(func.vector_send(pattern_vectors.c.embedding), func.decode("", "hex")).label("sent"),
).where(ours(pattern_vectors))
_TEXTS_OF = _TEXTS.where(pattern_texts.c.number == func.any(NUMBERS))
_VECTORS_OF = _VECTORS.where(pattern_vectors.c.number == func.any(NUMBERS))
_NUMBERS_LEFT = select(func.array_send(func.array_agg(patterns.c.number)).label("numbers")).where(
    ours(patterns)
)


def bytes_of(rows: int, dimension: int) -> int:
    """Return about how much memory a table of so many patterns takes."""
    return int(rows * (_BYTES + 4 * dimension) * _ROOM)


class ScopeTable:
    """One scope's patterns. One thread at a time; `follow` first, in each transaction."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self.columns = ScopeColumns()
        self.keys: list[str] = []
        self.tasks: list[str] = []
        self.roots = CodeRoots()
        self.task_words, self.code_words = WordIndex(self.roots), WordIndex(self.roots)
        self._digests: list[int] = []
        self._row_of: dict[int, int] = {}
        self._revision = _NEVER

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        return bytes_of(self.columns.size, self.columns.vectors.dimension or 0)

    def follow(self, transaction: ScopeTransaction) -> bool:
        """Become what the transaction sees; False if that is older than what the table has become."""
        row = transaction.row
        if row.revision < self._revision:
            return False
        if row.revision > self._revision:
            self._catch_up(transaction)
            self._revision = row.revision
        return True

    def _catch_up(self, transaction: ScopeTransaction) -> None:
        if self.columns.size > _SPARSE * len(self._row_of) + _SPARSE_ROWS:
            self._forget()
        if self._revision == _NEVER:
            self._take(transaction, transaction.fetch(_FACTS), whole=True)
        else:
            self._take(transaction, transaction.fetch(_CHANGED, since=self._revision), whole=False)
        if len(self._row_of) != transaction.row.patterns:
            (left,) = transaction.fetch(_NUMBERS_LEFT)
            gone = self._row_of.keys() - set(arrays.integers(left.numbers).tolist())
            self._drop([self._row_of.pop(number) for number in gone])

    def _take(self, transaction: ScopeTransaction, facts: Sequence[Any], *, whole: bool) -> None:
        """Take up patterns that are new or were changed."""
        if not facts:
            return
        numbers = Bigints(np.array([fact.number for fact in facts], np.int64))
        if whole:  # each may take as long as is waited for one message
            said, (vectors,) = transaction.fetch(_TEXTS), transaction.fetch(_VECTORS)
        else:
            said, (vectors,) = transaction.fetch_each(_TEXTS_OF, _VECTORS_OF, of_numbers=numbers)
        texts = {text.number: text for text in said}
        stale = [fact.number for fact in facts if self._is_stale(fact, texts[fact.number])]
        self._drop([self._row_of.pop(number) for number in stale])
        new = [fact for fact in facts if fact.number not in self._row_of]
        self._append(new, texts)
        rows = np.array([self._row_of[fact.number] for fact in facts], np.intp)
        self.columns.put(rows, facts)
        self._take_vectors(vectors)

    def _is_stale(self, fact: Any, text: Any) -> bool:
        """Return whether what is held under a pattern's number has other words, or was another pattern."""
        row = self._row_of.get(fact.number)
        return row is not None and self._digests[row] != _digest(fact, text)

    def _append(self, facts: Sequence[Any], texts: dict[int, Any]) -> None:
        if not facts:
            return
        first = self.columns.size
        self.columns.extend(first + len(facts))
        self._row_of.update((fact.number, row) for row, fact in enumerate(facts, first))
        self.keys += [fact.key for fact in facts]
        said = [texts[fact.number] for fact in facts]
        self.tasks += [text.task for text in said]
        self._digests += [_digest(fact, text) for fact, text in zip(facts, said, strict=True)]
        rows = np.arange(first, first + len(facts), dtype=np.uint32)
        for index, packed in (
            (self.task_words, [text.task_roots for text in said]),
            (self.code_words, [text.code_roots for text in said]),
        ):
            numbers = self.roots.numbers(unpack(b"".join(packed)))
            index.add_pairs(rows, paired(numbers, np.repeat(rows, [len(one) // 8 for one in packed])))

    def _take_vectors(self, found: Any) -> None:
        if found.numbers is None:
            return
        numbers = arrays.integers(found.numbers)
        vectors = arrays.vectors(found.sent, len(numbers))
        rows = np.array([self._row_of[number] for number in numbers.tolist()], np.intp)
        self.columns.put_vectors(rows, vectors)

    def _drop(self, rows: Sequence[int]) -> None:
        """Forget rows that are held no more."""
        if not rows:
            return
        gone = np.array(rows, np.uint32)
        columns = self.columns
        columns.alive[gone] = columns.dense[gone] = False
        for row in rows:
            columns.vectors.clear(row)
        alive: Numbers = np.flatnonzero(columns.alive[: columns.size]).astype(np.uint32)
        self.task_words = _without(self.task_words, self.roots, gone, alive)
        self.code_words = _without(self.code_words, self.roots, gone, alive)


def _without(index: WordIndex, roots: CodeRoots, gone: Numbers, left: Numbers) -> WordIndex:
    """Return the index of the rows `left`, without those that are `gone`."""
    pairs = index.pairs()
    kept = WordIndex(roots)
    kept.add_pairs(left, pairs[~np.isin(split(pairs)[1], gone)])
    return kept


def _digest(fact: Any, text: Any) -> int:
    return hash((fact.key, text.task, text.task_roots, text.code_roots))
