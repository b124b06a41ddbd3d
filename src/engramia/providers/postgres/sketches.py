"""What is kept of a large scope's patterns to choose by which are read: signs of vectors, numbers of words.

A sketch decides about no score, so that it may be somewhat out of date: what it knows wrongly is only found
later. What was changed since is known by its revision, and compared without.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import batched
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import BigInteger, Integer, Select, Table, bindparam, cast, func, select

from engramia.core.model import Scope
from engramia.db.bigints import Bigints
from engramia.db.session import Database
from engramia.errors import StorageError
from engramia.providers.postgres import arrays
from engramia.providers.postgres.beginning import begin_reading
from engramia.providers.postgres.frequencies import ScopeFrequencies, parts
from engramia.providers.postgres.pools import Floats, Numbers
from engramia.providers.postgres.rows import NUMBERS
from engramia.providers.postgres.tables import pattern_texts, pattern_vectors, patterns
from engramia.providers.postgres.transaction import ScopeRow, ScopeTransaction, ours
from engramia.providers.postgres.words import CODE, ROOT_BYTES, TASK

_log = logging.getLogger("engramia.storage")

_AT_ONCE = 8192
_ANEW = 50_000
"""Patterns changed beyond which all are read anew."""
_HEADER = 4  # bytes, before those of each sketch
_WORD = 64
_BEHIND = 10.0
"""Seconds for which changes may go unread: they are compared without sketches."""
_GONE = 0.9
"""How many of the patterns known must be there still."""
_LAST = 5.0  # seconds
_SIGNS = select(
    arrays.column(pattern_vectors.c.number).label("numbers"),
    arrays.joined(func.bit_send(func.binary_quantize(pattern_vectors.c.embedding))).label("sent"),
).where(ours(pattern_vectors))
_SIZES = select(
    arrays.column(pattern_texts.c.number).label("numbers"),
    *(
        arrays.column(cast(func.octet_length(packed) / ROOT_BYTES, BigInteger)).label(name)
        for name, packed in (("task", pattern_texts.c.task_roots), ("code", pattern_texts.c.code_roots))
    ),
).where(ours(pattern_texts))


def _between(statement: Select[Any], table: Table) -> Select[Any]:
    return statement.where(table.c.number >= bindparam("first"), table.c.number < bindparam("end"))


_IN_RANGE = _between(_SIGNS, pattern_vectors), _between(_SIZES, pattern_texts)
_OF_NUMBERS = (
    _SIGNS.where(pattern_vectors.c.number == func.any(NUMBERS)),
    _SIZES.where(pattern_texts.c.number == func.any(NUMBERS)),
)
CHANGED = (
    select(patterns.c.number)
    .where(ours(patterns), patterns.c.revision > bindparam("since", type_=BigInteger))
    .limit(bindparam("most_changed", type_=Integer))
)
"""The numbers of patterns that were changed since a revision."""
_MOST = 2**16 - 1
_COMPARED = 256
"""Dimensions of which every pattern's sign is compared; those that seem near are compared in all."""


class Compared:
    """How near every pattern seems to one vector."""

    def __init__(self, sketches: "Sketches", vector: Floats) -> None:
        """Count in how many of the first dimensions the vector's sign and each pattern's differ."""
        self._sketches, self._vector = sketches, vector
        self.signs = min(sketches.dimension, _COMPARED)
        self._differing = np.zeros(len(sketches.known), np.uint16)
        words = _COMPARED // _WORD
        for stored, asked in zip(sketches.bits[:words], _sketch(vector)[:words], strict=True):
            self._differing += np.bitwise_count(stored ^ asked)

    def nearest(self, count: int) -> Numbers:
        """Return the numbers of at least the `count` that seem nearest, or all that are known, ascending."""
        least, most = 0, self.signs
        while least < most:  # counting some times is faster than ordering
            middle = (least + most) // 2
            if np.count_nonzero(self._within(middle)) < count:
                least = middle + 1
            else:
                most = middle
        return np.flatnonzero(self._within(most))

    def _within(self, most: int) -> NDArray[np.bool_]:
        """Return which differ in so many dimensions at most."""
        return (self._differing <= most) & self._sketches.known

    def cosines(self, numbers: Numbers) -> Floats:
        """Return about the cosine of each of these patterns with the vector, NaN where nothing is known.

        Two vectors lie on different sides of a random plane with the chance angle / pi (Charikar 2002).
        """
        cosines = np.cos(np.pi / self.signs * np.arange(self.signs + 1)).astype(np.float32)
        found, held = self._unknown(numbers)
        found[held] = cosines[self._differing[numbers[held]]]
        return found

    def closer(self, numbers: Numbers) -> Floats:
        """Return what `cosines` does, more exactly, in a multiple of the time.

        The vector is multiplied with all signs of each pattern: of its length they keep sqrt(2 / pi).
        """
        sketches = self._sketches
        found, held = self._unknown(numbers)
        packed = np.ascontiguousarray(sketches.bits[:, numbers[held]].T).view(np.uint8)
        positive = np.unpackbits(packed, axis=1, count=sketches.dimension).astype(np.float32)
        products = 2.0 * (positive @ self._vector) - self._vector.sum()
        found[held] = np.clip(products * sqrt(np.pi / 2 / sketches.dimension), -1.0, 1.0)
        return found

    @property
    def error(self) -> float:
        """How far `closer` may be wrong, but for one in hundreds: thrice the deviation."""
        return 3.0 * sqrt((np.pi / 2 - 1.0) / self._sketches.dimension)

    def _unknown(self, numbers: Numbers) -> tuple[Floats, NDArray[np.bool_]]:
        """Return NaN for each of these patterns, and of which something is known."""
        held = numbers < len(self._sketches.known)
        held[held] = self._sketches.known[numbers[held]]
        return np.full(len(numbers), np.nan, np.float32), held


@dataclass(frozen=True, slots=True)
class Sketches:
    """By the number of a pattern, one bit for each dimension of its vector, and how many roots it has."""

    model: str | None
    dimension: int
    revision: int
    """Of the scope, when they were read: patterns with a higher one may have other vectors now."""
    bits: NDArray[np.uint64]
    """Shape (words, numbers)."""
    known: NDArray[np.bool_]
    """Shape (numbers,): which have a sketch."""
    sizes: NDArray[np.uint16]
    """Shape (2, numbers): distinct roots by field; zero where nothing is known."""
    counts: ScopeFrequencies = field(default_factory=ScopeFrequencies)
    """How many patterns have each root that is not rare: for those who follow, never changed itself."""
    made: float = field(default_factory=time.monotonic)

    def fit(self, row: ScopeRow) -> bool:
        """Return whether they are of the vectors that the scope has now, or had not long ago."""
        same = self.model == row.embedding_model and self.dimension == row.dimension
        here = self.revision <= row.revision and len(self.known) <= row.next_number
        return same and here and row.dense >= _GONE * int(np.count_nonzero(self.known))

    @property
    def nbytes(self) -> int:
        return self.bits.nbytes + self.known.nbytes + self.sizes.nbytes + self.counts.nbytes

    def current(self, row: ScopeRow) -> bool:
        """Return whether they need not be brought up to date yet."""
        return row.revision == self.revision or time.monotonic() - self.made < _BEHIND

    def relative_sizes(
        self, numbers: Numbers, asked: int, otherwise: Mapping[int, np.float32]
    ) -> dict[int, Floats]:
        """Return by field how many times `asked` roots each pattern has, `otherwise` where unknown."""
        held = np.minimum(numbers, len(self.known) - 1)
        found = {}
        for place in (TASK, CODE):
            sizes = self.sizes[place][held]
            known = (sizes > 0) & (held == numbers)
            found[place] = np.where(known, sizes / np.float32(max(asked, 1)), otherwise[place])
        return found


def read_sketches(
    database: Database,
    scope: Scope,
    stopped: threading.Event | None = None,
    before: Sketches | None = None,
) -> Sketches | None:
    """Read the sketches of a scope, some thousand patterns by transaction; None if `stopped` meanwhile.

    If they were read `before`, only of what was changed since.
    """
    stopped = stopped or threading.Event()
    counts = _read_counts(database, scope, stopped, before)
    made, asked = _begin(database, scope, before)
    for statements, values in asked:
        if stopped.is_set():
            return None
        with _reading(database, scope) as transaction:
            ((signs,), (sizes,)) = transaction.fetch_each(*statements, **values)
            _put_signs(made, arrays.integers(signs.numbers), signs.sent or b"")
            _put_sizes(made, arrays.integers(sizes.numbers), sizes)
    return replace(made, counts=counts)


@contextlib.contextmanager
def _reading(database: Database, scope: Scope) -> Iterator[ScopeTransaction]:
    with database.transaction(begin_reading(scope)) as (connection, row):
        yield ScopeTransaction(connection, scope, row, writable=False)


def _read_counts(
    database: Database, scope: Scope, stopped: threading.Event, before: Sketches | None
) -> ScopeFrequencies:
    """Return how many patterns have each root that is not rare; what was known `before` follows if it can."""
    counts = ScopeFrequencies() if before is None else before.counts.copy()
    with _reading(database, scope) as transaction:
        counts.follow(transaction)
        patterns = transaction.row.patterns
    if not len(counts):
        for least, greatest in parts(patterns):
            if stopped.is_set():
                break
            with _reading(database, scope) as transaction:
                counts.read_common(transaction, least, greatest)
    return counts


type _Asked = tuple[Sequence[Select[Any]], dict[str, Any]]


def _begin(database: Database, scope: Scope, before: Sketches | None) -> tuple[Sketches, Iterator[_Asked]]:
    """Return sketches as far as they are known, and how to ask for the others."""
    with _reading(database, scope) as transaction:
        row = transaction.row
        if before is not None and before.fit(row):
            found = transaction.fetch(CHANGED, since=before.revision, most_changed=_ANEW + 1)
            changed = np.array(sorted(one.number for one in found), np.int64)
            if len(changed) <= _ANEW:
                return _without(before, row, changed), _asked_of(changed)
    return _empty(row), _asked_in_order(row.next_number)


def _asked_of(numbers: Numbers) -> Iterator[_Asked]:
    return (
        (_OF_NUMBERS, {"of_numbers": Bigints(np.array(some, np.int64))})
        for some in batched(numbers.tolist(), _AT_ONCE)
    )


def _asked_in_order(end: int) -> Iterator[_Asked]:
    return (
        (_IN_RANGE, {"first": first, "end": min(first + _AT_ONCE, end)}) for first in range(0, end, _AT_ONCE)
    )


def _empty(row: ScopeRow) -> Sketches:
    dimension, numbers = row.dimension or 0, row.next_number
    return Sketches(
        row.embedding_model,
        dimension,
        row.revision,
        np.zeros((-(-dimension // _WORD), numbers), np.uint64),
        np.zeros(numbers, np.bool_),
        np.zeros((2, numbers), np.uint16),
    )


def _without(before: Sketches, row: ScopeRow, changed: Numbers) -> Sketches:
    """Return a copy with room for all patterns of a scope, and nothing of those that were changed."""
    made, held = _empty(row), len(before.known)
    made.bits[:, :held], made.known[:held], made.sizes[:, :held] = before.bits, before.known, before.sizes
    made.known[changed] = False
    return made


def _put_signs(made: Sketches, numbers: Numbers, sent: bytes) -> None:
    width = -(-made.dimension // 8)
    if len(sent) != len(numbers) * (_HEADER + width):
        return  # the scope has another model since
    packed = np.zeros((len(numbers), len(made.bits) * 8), np.uint8)
    packed[:, :width] = np.frombuffer(sent, np.uint8).reshape(-1, _HEADER + width)[:, _HEADER:]
    made.bits[:, numbers] = packed.view(np.uint64).T
    made.known[numbers] = True


def counted_error(signs: int) -> float:
    """Return how far a cosine may be wrong that is told by how many signs differ: thrice the deviation."""
    return 3.0 * np.pi / 2 / sqrt(signs)


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

    def make(self, scope: Scope, before: Sketches | None, done: Callable[[Sketches], None]) -> None:
        """Begin to read a scope's sketches, unless some are being read; `done` gets them."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._make, args=(scope, before, done), name="engramia-sketches", daemon=True
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

    def _make(self, scope: Scope, before: Sketches | None, done: Callable[[Sketches], None]) -> None:
        try:
            made = read_sketches(self._database, scope, self._stopped, before)
            if made is not None:
                done(made)
        except StorageError as error:
            _log.warning("A large scope could not be read into memory: %s", error)
