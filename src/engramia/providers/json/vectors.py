"""The vectors of a scope as one matrix in blocks, so that it grows without being copied."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

_BLOCK = 4096
_ONE_THREAD = 1 << 18
"""Products of up to so many multiplications OpenBLAS makes on the thread that asks (its `interface/gemm.c`).
Larger ones it shares between cores, where its threads wait for one another by spinning: a recall then takes
the time of two cores, and many times as long once something else is running.
"""
_SLICE = 64
_TRANSPOSED = 12  # from so many queries on, the other order of a matrix is faster

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

    def dot(self, queries: Floats, size: int) -> Floats:
        """Return the dot products of `queries`, shape (k, dimension), and the first `size` rows: (k, size).

        All of it on the calling thread, in one pass over the matrix.
        """
        products = np.zeros((len(queries), size), dtype=np.float32)
        for number, block in enumerate(self._blocks):
            start, end = number * _BLOCK, min(size, (number + 1) * _BLOCK)
            if start < end:
                _multiply(queries, block, products[:, start:end])
        return products

    def take(self, rows: Rows) -> Floats:
        """Return a copy of `rows` (ascending), shape (len(rows), dimension)."""
        taken = np.zeros((len(rows), self.dimension or 0), dtype=np.float32)
        edges = rows.searchsorted(np.arange(len(self._blocks) + 1) * _BLOCK).tolist()
        for number, (start, end) in enumerate(pairwise(edges)):
            if start < end:
                taken[start:end] = self._blocks[number][rows[start:end] - number * _BLOCK]
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


def _multiply(queries: Floats, block: Floats, products: Floats) -> None:
    """Write the dot products of `queries` and the first rows of `block` into `products`, (k, rows)."""
    count, rows = products.shape
    if count == 1:
        np.vecdot(block[:rows], queries[0], out=products[0])  # the one product that never takes threads
        return
    size = _slice_size(queries)
    slices = -(-rows // size)
    cut = block[: slices * size].reshape(slices, size, -1)
    ordered = np.asfortranarray(queries) if count >= _TRANSPOSED else queries
    found = np.matmul(ordered, cut.transpose(0, 2, 1)).transpose(1, 0, 2)
    products[:] = found.reshape(count, -1)[:, :rows]


def _slice_size(queries: Floats) -> int:
    """Return how many rows at once, a power of two, keep a product on one thread."""
    most = _ONE_THREAD // queries.size
    return int(min(_SLICE, 1 << max(most.bit_length() - 1, 0)))
