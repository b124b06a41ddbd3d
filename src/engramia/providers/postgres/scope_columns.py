"""The patterns of a scope as columns in memory: what searches ask, one value per row."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engramia.core.model import Classification, Source
from engramia.core.query import Filter
from engramia.core.vectors import Floats, Rows, Vectors

type Mask = NDArray[np.bool_]

_CLASSIFICATIONS = {kind.value: place for place, kind in enumerate(Classification)}
_SOURCES = {kind.value: place for place, kind in enumerate(Source)}
_FIRST_ROWS = 64


class ScopeColumns:
    """One value per row in each column; rows from `size` on, and rows not `alive`, mean nothing."""

    def __init__(self) -> None:
        self.size = 0
        self.number = np.zeros(_FIRST_ROWS, np.int64)
        self.alive = np.zeros(_FIRST_ROWS, np.bool_)
        self.dense = np.zeros(_FIRST_ROWS, np.bool_)
        """Whether the row has a vector of the scope's model."""
        self.quality = np.zeros(_FIRST_ROWS, np.float64)
        self.score = np.zeros(_FIRST_ROWS, np.float64)
        self.micros = np.zeros(_FIRST_ROWS, np.int64)
        """When it was created, in microseconds since 1970."""
        self.classification = np.zeros(_FIRST_ROWS, np.int8)
        self.source = np.zeros(_FIRST_ROWS, np.int8)
        self.vectors = Vectors()
        """Zero where a row is not dense."""

    def extend(self, size: int) -> None:
        """Make room for `size` rows."""
        self.size = max(self.size, size)
        if size <= len(self.alive):
            return
        room = max(size, len(self.alive) * 5 // 4)
        for name, column in vars(self).items():
            if isinstance(column, np.ndarray):
                grown = np.zeros(room, column.dtype)
                grown[: len(column)] = column
                setattr(self, name, grown)

    def put(self, rows: Rows, facts: Sequence[Any]) -> None:
        """Set what `facts`, rows of the database, say of alive `rows`."""
        self.number[rows] = [fact.number for fact in facts]
        self.alive[rows] = True
        self.dense[rows] = [fact.dense for fact in facts]
        self.quality[rows] = [fact.quality for fact in facts]
        self.score[rows] = [fact.success_score for fact in facts]
        self.micros[rows] = [fact.micros for fact in facts]
        self.classification[rows] = [_CLASSIFICATIONS[fact.classification] for fact in facts]
        self.source[rows] = [_SOURCES[fact.source] for fact in facts]

    def put_vectors(self, rows: Rows, vectors: Floats) -> None:
        """Set vectors, shape (len(rows), dimension); those of another dimension are all gone."""
        if vectors.shape[1] != self.vectors.dimension:
            self.vectors.drop()
        self.vectors.put(rows, vectors)

    def products(self, queries: Floats) -> Floats:
        """Return the dot products of queries and all rows, shape (len(queries), size); NaN without vector."""
        found = self.vectors.dot(queries, self.size)
        dense = self.dense[: self.size]
        if not dense.all():
            found[:, ~dense] = np.nan
        return found

    def passing(self, filter: Filter) -> Mask:
        """Return which rows are alive and pass the filter, shape (size,)."""
        size = self.size
        passing = self.alive[:size].copy()
        if filter.classification is not None:
            passing &= self.classification[:size] == _CLASSIFICATIONS[filter.classification.value]
        if filter.source is not None:
            passing &= self.source[:size] == _SOURCES[filter.source.value]
        if filter.min_score is not None:
            passing &= self.score[:size] >= filter.min_score
        return passing
