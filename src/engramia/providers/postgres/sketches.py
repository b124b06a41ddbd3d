"""What is kept of a large scope's patterns to choose by which are read: signs of vectors, numbers of words.

A sketch decides about no score, so that it may be somewhat out of date: what it does not know yet, or knows
wrongly, is only found later or by the index over vectors.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import BigInteger, bindparam, cast, func, select

from engramia.core.model import Scope
from engramia.db.session import Database
from engramia.errors import StorageError
from engramia.providers.postgres import arrays
from engramia.providers.postgres.pools import Floats, Numbers
from engramia.providers.postgres.tables import pattern_texts, pattern_vectors
from engramia.providers.postgres.transaction import ScopeRow, ScopeTransaction, begin_reading, ours
from engramia.providers.postgres.words import CODE, ROOT_BYTES, TASK

_log = logging.getLogger("engramia.storage")

_AT_ONCE = 8192
_HEADER = 4  # bytes, before those of each sketch
_WORD = 64
_GROWN = 1.05
_KEPT = 3600.0  # seconds
_LAST = 5.0  # seconds
_SIGNS = select(
    arrays.column(pattern_vectors.c.number).label("numbers"),
    arrays.joined(func.bit_send(func.binary_quantize(pattern_vectors.c.embedding))).label("sent"),
).where(
    ours(pattern_vectors),
    pattern_vectors.c.number >= bindparam("first"),
    pattern_vectors.c.number < bindparam("end"),
)
_SIZES = select(
    arrays.column(pattern_texts.c.number).label("numbers"),
    *(
        arrays.column(cast(func.octet_length(packed) / ROOT_BYTES, BigInteger)).label(name)
        for name, packed in (("task", pattern_texts.c.task_roots), ("code", pattern_texts.c.code_roots))
    ),
).where(
    ours(pattern_texts),
    pattern_texts.c.number >= bindparam("first"),
    pattern_texts.c.number < bindparam("end"),
)
_MOST = 2**16 - 1


@dataclass(frozen=True, slots=True)
class Sketches:
    """By the number of a pattern, one bit for each dimension of its vector, and how many roots it has."""

    model: str | None
    dimension: int
    dense: int
    bits: NDArray[np.uint64]
    """Shape (numbers, words); all zero where nothing is known."""
    sizes: NDArray[np.uint16]
    """Shape (2, numbers): distinct roots by field; zero where nothing is known."""
    made: float = field(default_factory=time.monotonic)

    def fit(self, row: ScopeRow) -> bool:
        """Return whether they are of the vectors that the scope has now."""
        same = self.model == row.embedding_model and self.dimension == row.dimension
        return same and len(self.bits) <= row.next_number

    @property
    def nbytes(self) -> int:
        return self.bits.nbytes + self.sizes.nbytes

    def current(self, row: ScopeRow) -> bool:
        """Return whether they need not be made anew yet."""
        return row.dense <= self.dense * _GROWN and time.monotonic() - self.made < _KEPT

    def cosines(self, vector: Floats, numbers: Numbers) -> Floats:
        """Return about the cosine of each of these patterns with a vector, NaN where nothing is known.

        Two vectors lie on different sides of a random plane with the chance angle / pi (Charikar 2002).
        """
        found = np.full(len(numbers), np.nan, np.float32)
        held = numbers < len(self.bits)
        bits = self.bits[numbers[held]]
        differ = np.bitwise_count(bits ^ _sketch(vector)).sum(axis=1)
        guess = np.cos(np.pi / self.dimension * differ).astype(np.float32)
        guess[~bits.any(axis=1)] = np.nan
        found[held] = guess
        return found

    def relative_sizes(
        self, numbers: Numbers, asked: int, otherwise: Mapping[int, np.float32]
    ) -> dict[int, Floats]:
        """Return by field how many times `asked` roots each pattern has, `otherwise` where unknown."""
        held = np.minimum(numbers, len(self.bits) - 1)
        found = {}
        for place in (TASK, CODE):
            sizes = self.sizes[place][held]
            known = (sizes > 0) & (held == numbers)
            found[place] = np.where(known, sizes / np.float32(max(asked, 1)), otherwise[place])
        return found


def read_sketches(
    database: Database, scope: Scope, stopped: threading.Event | None = None
) -> Sketches | None:
    """Read the sketches of a scope, some thousand patterns by transaction; None if `stopped` meanwhile."""
    made = Sketches(None, 0, 0, np.zeros((0, 0), np.uint64), np.zeros((2, 0), np.uint16))
    for first in range(0, 2**62, _AT_ONCE):
        if stopped is not None and stopped.is_set():
            return None
        with database.transaction(begin_reading(scope)) as (connection, given):
            transaction = ScopeTransaction(connection, scope, given, writable=False)
            if not first:
                made = _empty(transaction.row)
            last = len(made.bits)
            if first >= last:
                break
            asked = {"first": first, "end": min(first + _AT_ONCE, last)}
            ((signs,), (sizes,)) = transaction.fetch_each(_SIGNS, _SIZES, **asked)
            _put_signs(made, arrays.integers(signs.numbers), signs.sent or b"")
            _put_sizes(made, arrays.integers(sizes.numbers), sizes)
    return made


def _empty(row: ScopeRow) -> Sketches:
    dimension, numbers = row.dimension or 0, row.next_number
    bits = np.zeros((numbers, -(-dimension // _WORD)), np.uint64)
    return Sketches(row.embedding_model, dimension, row.dense, bits, np.zeros((2, numbers), np.uint16))


def _put_signs(made: Sketches, numbers: Numbers, sent: bytes) -> None:
    width = -(-made.dimension // 8)
    if len(sent) != len(numbers) * (_HEADER + width):
        return  # the scope has another model since
    packed = np.zeros((len(numbers), made.bits.shape[1] * 8), np.uint8)
    packed[:, :width] = np.frombuffer(sent, np.uint8).reshape(-1, _HEADER + width)[:, _HEADER:]
    made.bits[numbers] = packed.view(np.uint64)


def _put_sizes(made: Sketches, numbers: Numbers, sizes: Any) -> None:
    for place, column in ((TASK, sizes.task), (CODE, sizes.code)):
        made.sizes[place, numbers] = np.minimum(arrays.integers(column), _MOST)


def _sketch(vector: Floats) -> NDArray[np.uint64]:
    packed = np.zeros(-(-len(vector) // _WORD) * 8, np.uint8)
    signs = np.packbits(vector > 0)
    packed[: len(signs)] = signs
    return packed.view(np.uint64)


class SketchMaker:
    """Reads the sketches that searches missed, of one scope at a time, on a thread of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()

    def make(self, scope: Scope | None, done: Callable[[Sketches], None]) -> None:
        """Begin to read a scope's sketches, unless some are being read; `done` gets them."""
        if scope is None:
            return
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._make, args=(scope, done), name="engramia-sketches", daemon=True
                )
                self._thread.start()

    def wait(self, timeout: float) -> None:
        """Wait until the sketches that are being read are there."""
        if self._thread is not None:
            self._thread.join(timeout)

    def close(self) -> None:
        """Stop reading, after the transaction that is under way."""
        self._stopped.set()
        self.wait(_LAST)

    def _make(self, scope: Scope, done: Callable[[Sketches], None]) -> None:
        try:
            made = read_sketches(self._database, scope, self._stopped)
            if made is not None:
                done(made)
        except StorageError as error:
            _log.warning("A large scope could not be read into memory: %s", error)
