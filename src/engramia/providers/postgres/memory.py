"""What a process remembers of the scopes that it searched; each transaction checks it first."""

import contextlib
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

from engramia.core.model import Scope
from engramia.providers.postgres.frequencies import ScopeFrequencies
from engramia.providers.postgres.scope_table import ScopeTable, bytes_of
from engramia.providers.postgres.sketches import Sketches, SketchMaker
from engramia.providers.postgres.transaction import ScopeTransaction

_MISSED_AGAIN = 10.0  # seconds


@dataclass(slots=True)
class _Held:
    """What is known of one scope."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    table: ScopeTable | None = None
    idle: list[ScopeFrequencies] = field(default_factory=list)
    """As often as transactions ever asked at once: each follows its own snapshot."""
    sketches: Sketches | None = None
    missed: float = -_MISSED_AGAIN
    """When they were last asked for in vain."""

    @property
    def size(self) -> int:
        counts = sum(known.nbytes for known in self.idle)
        bits = 0 if self.sketches is None else self.sketches.nbytes
        return counts + bits + (self.table.size if self.table is not None else 0)


class ScopeMemory:
    """What is known of the scopes asked last, in up to about `limit` bytes.

    It is kept by server as well: what one of them committed another need not have.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._held: OrderedDict[tuple[object, ...], _Held] = OrderedDict()
        self._lock = threading.Lock()
        self._unsketched: tuple[Scope, _Held] | None = None

    def __len__(self) -> int:
        """Return about how many bytes are held."""
        with self._lock:
            return sum(held.size for held in self._held.values())

    def fits(self, transaction: ScopeTransaction, exact_limit: int) -> bool:
        """Return whether a scope is small enough to be held as a table: not more than half of all memory."""
        row = transaction.row
        if transaction.writable or row.patterns > exact_limit:
            return False
        return bytes_of(row.patterns, row.dimension or 0) <= self.limit // 2

    @contextlib.contextmanager
    def table(self, transaction: ScopeTransaction) -> Iterator[ScopeTable | None]:
        """Lend the scope's table as the transaction sees it; None if it has gone on since."""
        held = self._of(transaction)
        with held.lock:
            table, held.table = held.table or ScopeTable(), None
            followed = table.follow(transaction)  # if it fails, what is half done is forgotten
            held.table = table
            yield table if followed else None
        self._shrink()

    @contextlib.contextmanager
    def frequencies(self, transaction: ScopeTransaction) -> Iterator[ScopeFrequencies]:
        """Lend what is known of the scope's words; what a transaction learns that writes is forgotten."""
        if transaction.writable:
            yield ScopeFrequencies()
            return
        held = self._of(transaction)
        with self._lock:
            sketches = held.sketches
            known = held.idle.pop() if held.idle else _beginning(sketches)
        yield known
        with self._lock:
            if held.sketches is sketches:  # others know more from the beginning
                held.idle.append(known)
        self._shrink()

    def sketches(self, transaction: ScopeTransaction) -> Sketches | None:
        """Return the scope's sketches if there are any; `make_missing` makes those that are not there."""
        held, row = self._of(transaction), transaction.row
        found = held.sketches if held.sketches is not None and held.sketches.fit(row) else None
        if found is None or not found.current(row):
            self._miss(transaction.scope, held)
        return found

    def make_missing(self, maker: SketchMaker) -> None:
        """Let the sketches that were missed since the last call be made."""
        with self._lock:
            missed, self._unsketched = self._unsketched, None
        if missed is not None:
            scope, held = missed
            maker.make(scope, held.sketches, partial(self._keep, held))

    def _miss(self, scope: Scope, held: _Held) -> None:
        now = time.monotonic()
        with self._lock:
            if now - held.missed >= _MISSED_AGAIN:
                held.missed = now
                self._unsketched = scope, held

    def _keep(self, held: _Held, made: Sketches) -> None:
        if made.nbytes <= self.limit // 2:
            with self._lock:
                held.sketches, held.idle = made, []
        self._shrink()

    def _of(self, transaction: ScopeTransaction) -> _Held:
        scope = transaction.scope
        key = (transaction.server, scope)
        with self._lock:
            held = self._held.setdefault(key, _Held())
            self._held.move_to_end(key)
            return held

    def _shrink(self) -> None:
        """Forget the scopes asked longest ago, until the rest fits."""
        with self._lock:
            total = sum(held.size for held in self._held.values())
            while total > self.limit and len(self._held) > 1:
                total -= self._held.popitem(last=False)[1].size


def _beginning(sketches: Sketches | None) -> ScopeFrequencies:
    """Return what is known of a scope's words at the first."""
    return ScopeFrequencies() if sketches is None else sketches.counts.copy()
