"""Comparing vectors one by one, or by an HNSW index."""

import time
from dataclasses import dataclass, field

from sqlalchemy import text

from engramia.providers.postgres.transaction import ScopeTransaction

_INDEXABLE = 4000  # dimensions that an HNSW index over half precision takes
_KNOWN_FOR = 60.0  # seconds
_IN_PASSING = 20_000
"""Vectors up to which an index is made in passing, in some seconds during which nobody writes."""

_INDEX_FACTS = text(
    "SELECT to_regclass(:index) IS NOT NULL AS indexed, reltuples FROM pg_class "
    "WHERE oid = 'pattern_vectors'::regclass"
)


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
    _missing: int | None = field(default=None, init=False)

    def use_index(self, transaction: ScopeTransaction, dimension: int) -> bool:
        """Return whether the index is there and finds a scope's nearest faster than comparing all.

        Comparing costs 0.6 microseconds a vector. The index is shared by all scopes: it goes through table /
        scope times as many rows as are wanted, 12 microseconds each (measured: docs/decisions/0019).
        """
        dense = transaction.row.dense
        if dense <= self.exact_limit or dimension > _INDEXABLE:
            return False
        indexed, table = self._look(transaction, dimension)
        worth = indexed and dense * dense > self.index_worth * max(table, dense)
        self.uses += worth
        return worth

    def take_missing(self) -> int | None:
        """Return a dimension whose index was missed since the last call and is quickly made, or None."""
        dimension, self._missing = self._missing, None
        if dimension is not None:
            self._facts.pop(dimension, None)
        return dimension

    def _look(self, transaction: ScopeTransaction, dimension: int) -> tuple[bool, float]:
        at, indexed, table = self._facts.get(dimension, (-_KNOWN_FOR, False, 0.0))
        if time.monotonic() - at > _KNOWN_FOR:
            name = f"pattern_vectors_{dimension}"
            row = transaction.execute(_INDEX_FACTS, index=name).one()
            indexed, table = bool(row.indexed), float(row.reltuples)
            self._facts[dimension] = (time.monotonic(), indexed, table)
            if not indexed and max(table, transaction.row.dense) <= _IN_PASSING:
                self._missing = dimension
        return indexed, table
