"""The vectors of a scope as one matrix in blocks, so that it grows without being copied.

A block holds its rows in slices of some columns: within a slice the rows' first numbers stand together, then
their second, and so on. OpenBLAS multiplies a few queries with such slices without copying them first, which
makes a pass over the matrix by eight queries three times as fast as over rows (measured with AVX-512; with
AVX2 as fast).
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

type Rows = NDArray[np.intp]
type Floats = NDArray[np.float32]


def has_avx512(simd: Mapping[str, Sequence[str]]) -> bool:
    """Return whether the processor has AVX-512, by what numpy says of it (no key where a list is empty)."""
    known = (*simd.get("baseline", ()), *simd.get("found", ()))
    return any(name == "X86_V4" or name.startswith("AVX512") for name in known)


def _small_products() -> bool:
    config: Any = np.show_config("dicts")
    return has_avx512(config.get("SIMD Extensions", {}))


_BLOCK = 4096
_SMALL_PRODUCTS = _small_products()
"""Whether OpenBLAS has kernels for small products, which take no threads (its `interface/gemm.c`)."""
_ONE_THREAD = {True: 10**6, False: 1 << 18}
"""Products of up to so many multiplications OpenBLAS makes on the thread that asks, with these kernels and
without. Larger ones it shares between cores, where its threads wait for one another by spinning: a recall
then takes the time of two cores, and many times as long once something else is running.
"""
_WIDEST = 64
_ONE_QUERY = 1 << 15
"""Numbers in a slice up to which a product with a single query stays on one thread."""


class Vectors:
    """Float32 rows of one dimension; a row that was never put, or was cleared, is zero."""

    def __init__(self, *, small_products: bool = _SMALL_PRODUCTS) -> None:
        """Multiply as is fastest with OpenBLAS's kernels for small products, or where it has none."""
        self._small_products = small_products
        self._blocks: list[Floats] = []
        """Of shape (slices, dimension, width); all but the first hold `_BLOCK` rows, that up to as many."""
        self._width = _WIDEST
        self._room = 0
        """How many rows there is room for."""
        self.dimension: int | None = None
        """None while there is no vector."""

    def put(self, rows: Rows, vectors: Floats) -> None:
        """Put `vectors`, shape (len(rows), dimension), into `rows`."""
        self._be_ready(int(rows.max()) + 1, vectors.shape[1])
        for part, places, within in self._split(rows):
            part[:, within] = vectors[places].T

    def clear(self, row: int) -> None:
        """Zero one row."""
        if row < self._room:
            self._column(row)[:] = 0.0

    def drop(self) -> None:
        """Forget all vectors and their dimension."""
        self._blocks, self._room = [], 0
        self.dimension = None

    def dot(self, queries: Floats, size: int) -> Floats:
        """Return the dot products of `queries`, shape (k, dimension), and the first `size` rows: (k, size).

        All of it on the calling thread.
        """
        if len(queries) == 1 and self._small_products:  # which are made for two and more
            return self.dot(np.concatenate((queries, queries)), size)[:1]
        slices = -(-size // self._width)
        products = np.zeros((len(queries), slices * self._width), dtype=np.float32)
        together = max(1, _ONE_THREAD[self._small_products] // (queries.shape[1] * self._width))
        for start in range(0, len(queries), together):
            self._multiply(queries[start : start + together], products[start : start + together])
        return products[:, :size]

    def take(self, rows: Rows) -> Floats:
        """Return a copy of `rows`, in any order, shape (len(rows), dimension)."""
        taken = np.zeros((len(rows), self.dimension or 0), dtype=np.float32)
        parts, within = np.divmod(rows, self._width)
        blocks, parts = np.divmod(parts, _BLOCK // self._width)
        for number, block in enumerate(self._blocks):
            (here,) = ((blocks == number) & (parts < len(block))).nonzero()
            if here.size:
                taken[here] = block[parts[here], :, within[here]]
        return taken

    def take_one(self, row: int) -> Floats:
        """Return a copy of one row."""
        return self._column(row).copy()

    def _be_ready(self, rows: int, dimension: int) -> None:
        """Make room for `rows` rows; the first vectors decide on the dimension."""
        if self.dimension is None:
            self.dimension = dimension
            self._width = self._width_for(dimension)
        if rows > self._room:
            self._make_room(rows)

    def _make_room(self, rows: int) -> None:
        """Make room for `rows` rows: the first block doubles until it is whole, then others join it."""
        whole, wanted = _BLOCK // self._width, -(-rows // self._width)
        if len(self._blocks) < 2:  # noqa: PLR2004 - the first alone
            first = self._empty(min(whole, 1 << (wanted - 1).bit_length()))
            for block in self._blocks:
                first[: len(block)] = block
            self._blocks = [first]
        while len(self._blocks) * whole < wanted:
            self._blocks.append(self._empty(whole))
        self._room = sum(map(len, self._blocks)) * self._width

    def _empty(self, slices: int) -> Floats:
        return np.zeros((slices, self.dimension or 0, self._width), dtype=np.float32)

    def _column(self, row: int) -> Floats:
        """Return the place of one row, shape (dimension,)."""
        block, inside = divmod(row, _BLOCK)
        part, within = divmod(inside, self._width)
        place: Floats = self._blocks[block][part, :, within]
        return place

    def _split(self, rows: Rows) -> Iterator[tuple[Floats, Rows, Rows]]:
        """Yield (slice, places of those of `rows` that are in it, where in it)."""
        parts, within = np.divmod(rows, self._width)
        order = np.argsort(parts, kind="stable")
        firsts = np.flatnonzero(np.diff(parts[order], prepend=-1))
        in_block = _BLOCK // self._width
        for start, end in pairwise([*firsts.tolist(), len(rows)]):
            places = order[start:end]
            block, part = divmod(int(parts[places[0]]), in_block)
            yield self._blocks[block][part], places, within[places]

    def _multiply(self, queries: Floats, products: Floats) -> None:
        """Write the products of some queries into `products`, shape (len(queries), slices x width)."""
        slices = products.shape[1] // self._width
        found = products.reshape(len(queries), slices, self._width).transpose(1, 0, 2)
        in_block = _BLOCK // self._width
        for number, block in enumerate(self._blocks):
            first = number * in_block
            of = found[first : first + len(block)]
            np.matmul(queries, block[: len(of)], out=of)

    def _width_for(self, dimension: int) -> int:
        """Return how many rows stand in a slice, a power of two."""
        numbers = _ONE_THREAD[True] // 2 if self._small_products else _ONE_QUERY
        most = max(1, numbers // dimension)
        return int(min(_WIDEST, 1 << (most.bit_length() - 1)))
