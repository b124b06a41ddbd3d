"""What a process remembers of the scopes that it searched; each transaction checks it first."""

import threading
from collections import OrderedDict
from dataclasses import dataclass, field

from engramia.core.model import Scope
from engramia.providers.postgres.frequencies import ScopeFrequencies
from engramia.providers.postgres.scope_words import ScopeWords


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one scope's words. One thread at a time, in one transaction."""

    frequencies: ScopeFrequencies = field(default_factory=ScopeFrequencies)
    words: ScopeWords = field(default_factory=ScopeWords)

    def __len__(self) -> int:
        return len(self.frequencies) + len(self.words)


class ScopeMemory:
    """What is known of all scopes of a storage; of those asked last, up to `limit` roots.

    A scope is remembered as often as transactions ever asked at once: each follows its own snapshot.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._idle: OrderedDict[Scope, list[Known]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, scope: Scope) -> Known:
        """Return what is known of a scope, for one transaction alone, until it is given back."""
        with self._lock:
            idle = self._idle.get(scope)
            return idle.pop() if idle else Known()

    def give_back(self, scope: Scope, known: Known) -> None:
        """Remember what is known, but not after a transaction that writes: it may come to nothing."""
        with self._lock:
            self._idle.setdefault(scope, []).append(known)
            self._idle.move_to_end(scope)
            while self._idle and self._total() > self._limit:
                self._idle.popitem(last=False)

    def _total(self) -> int:
        return sum(len(known) for idle in self._idle.values() for known in idle)
