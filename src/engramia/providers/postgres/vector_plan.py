"""Comparing vectors one by one, or by an HNSW index."""

import time
from dataclasses import dataclass, field

from sqlalchemy import bindparam, text

from engramia.db.vector_index import INDEXABLE, index_name
from engramia.providers.postgres.transaction import ScopeTransaction

_KNOWN_FOR = 60.0  # seconds
_MISSED_AGAIN = 600.0

_INDEX_FACTS = text(
    "SELECT (SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:index)) AS indexed, reltuples "
    "FROM pg_class WHERE oid = 'pattern_vectors'::regclass"
).bindparams(bindparam("index"))


@dataclass(slots=True)
class VectorPlan:
    """Whether to compare a scope's vectors one by one or by the HNSW index of their dimension."""

    exact_limit: int
    """Patterns in a scope up to which all are compared."""
    index_worth: float = 2000.0
    """See `use_index`."""
    uses: int = field(default=0, init=False)
    """How often the index was taken."""
    _facts: dict[int, tuple[float, bool, float]] = field(default_factory=dict, init=False)
    _missed: dict[int, float] = field(default_factory=dict, init=False)
    _missing: int | None = field(default=None, init=False)

    def use_index(self, transaction: ScopeTransaction, dimension: int, *, fits: bool) -> bool:
        """Return whether the index is there and finds a scope's nearest faster than comparing all.

        Comparing costs 0.6 microseconds a vector. The index is shared by all scopes: it goes through table /
        scope times as many rows as are wanted, 12 microseconds each (docs/decisions/0019). The sketches
        of such scopes soon do most of its work. A scope that `fits` into memory needs none.
        """
        dense = transaction.row.dense
        if fits or dense <= min(self.exact_limit, _NEVER_INDEXED) or dimension > INDEXABLE:
            return False
        indexed, table = self._look(transaction, dimension)
        worth = dense * dense > self.index_worth * max(table, dense)
        if worth and not indexed:
            self._miss(dimension)
        self.uses += worth and indexed
        return worth and indexed

    def take_missing(self) -> int | None:
        """Return a dimension whose index was missed since the last call, or None."""
        dimension, self._missing = self._missing, None
        return dimension

    def forget(self, dimension: int) -> None:
        """Look again whether there is an index over vectors of this dimension."""
        self._facts.pop(dimension, None)

    def _miss(self, dimension: int) -> None:
        now = time.monotonic()
        if now - self._missed.get(dimension, -_MISSED_AGAIN) >= _MISSED_AGAIN:
            self._missed[dimension] = now
            self._missing = dimension

    def _look(self, transaction: ScopeTransaction, dimension: int) -> tuple[bool, float]:
        at, indexed, table = self._facts.get(dimension, (-_KNOWN_FOR, False, 0.0))
        if time.monotonic() - at > _KNOWN_FOR:
            (row,) = transaction.fetch(_INDEX_FACTS, index=index_name(dimension))
            indexed, table = bool(row.indexed), float(row.reltuples)
            self._facts[dimension] = (time.monotonic(), indexed, table)
        return indexed, table


_NEVER_INDEXED = 2000
"""Vectors of a scope that are always compared one by one."""
