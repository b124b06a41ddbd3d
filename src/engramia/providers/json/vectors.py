"""The vectors of a scope as one matrix in blocks, so that it grows without being copied."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_BLOCK = 4096

type Rows = NDArray[np.intp]
type Floats = NDArray[np.float32]


class Vectors:
    """Float32 rows of one dimension; a row that was never put, or was cleared, is zero."""

    def __init__(self) -> None:
        self._blocks: list[Floats] = []
        self.dimension: int | None = None
        """None while there is no vector."""

    def put(self, rows: Rows, vectors: Floats) -> None:
        """Put `vectors`, shape (len(rows), dimension), into `rows`."""
        self.dimension = vectors.shape[1]
        while len(self._blocks) * _BLOCK <= int(rows.max()):
            self._blocks.append(np.zeros((_BLOCK, self.dimension), dtype=np.float32))
        if len(rows) == 1:  # learning: no need to sort out which rows lie in which block
            self._blocks[rows[0] // _BLOCK][rows[0] % _BLOCK] = vectors[0]
            return
        for block, places, within in self._split(rows):
            block[within] = vectors[places]

    def clear(self, row: int) -> None:
        """Zero one row."""
        block, within = divmod(row, _BLOCK)
        if block < len(self._blocks):
            self._blocks[block][within] = 0.0

    def drop(self) -> None:
        """Forget all vectors and their dimension."""
        self._blocks = []
        self.dimension = None

    def dot(self, query: Floats, size: int) -> Floats:
        """Return the dot product of `query` and each of the first `size` rows: one pass over the matrix."""
        products = np.zeros(size, dtype=np.float32)
        for number, block in enumerate(self._blocks):
            start, end = number * _BLOCK, min(size, (number + 1) * _BLOCK)
            if start < end:
                np.dot(block[: end - start], query, out=products[start:end])
        return products

    def take(self, rows: Rows) -> Floats:
        """Return a copy of `rows`, shape (len(rows), dimension)."""
        taken = np.zeros((len(rows), self.dimension or 0), dtype=np.float32)
        for block, places, within in self._split(rows):
            taken[places] = block[within]
        return taken

    def take_one(self, row: int) -> Floats:
        """Return a copy of one row."""
        taken: Floats = self._blocks[row // _BLOCK][row % _BLOCK].copy()
        return taken

    def _split(self, rows: Rows) -> Iterator[tuple[Floats, NDArray[np.bool_], Rows]]:
        """Yield (block, which of `rows` are in it, where in it)."""
        of = rows // _BLOCK
        for number in np.unique(of):
            if number < len(self._blocks):
                places = of == number
                yield self._blocks[number], places, rows[places] % _BLOCK
