"""What authentication has found, kept in this process and believed only while the database is heard."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from engramia.core.model import Scope
from engramia.server.keys.model import Holder
from engramia.server.tenancy.model import Project

HOLDERS_MAX = 10_000
UNKNOWN_MAX = 1_000
"""Secrets known to be of no key: apart, so that a flood of them drives out no key."""
PROJECTS_MAX = 10_000

type Finding = Holder | Project | None


class NotKept:
    """Stands for what is not in the cache; None in it means that there is no such key."""


NOT_KEPT: Final = NotKept()


class KeyCache:
    """Keys by digest and projects by scope, all of them believed until a moment that `trust` moves on.

    Used from any thread. What is found while something changes is not kept: `keep_holder` and `keep_project`
    take the `generation` of before the database was asked.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._trusted_until = 0.0
        self._holders = OrderedDict[bytes, Holder]()
        self._unknown = OrderedDict[bytes, None]()
        self._projects = OrderedDict[Scope, Project]()
        self.generation = 0
        """Goes up with everything that is dropped."""

    @property
    def is_trusted(self) -> bool:
        """Whether what is kept is true, but for what has changed within less than a second."""
        return self._monotonic() < self._trusted_until

    def trust(self, until: float) -> None:
        """Believe what is kept until this moment of the monotonic clock."""
        self._trusted_until = until

    def holder(self, digest: bytes) -> Holder | NotKept | None:
        """Return what a secret opens, None if it is known to be of no key."""
        with self._lock:
            if not self.is_trusted:
                return NOT_KEPT
            if digest in self._unknown:
                return None
            return _touched(self._holders, digest)

    def project(self, scope: Scope) -> Project | NotKept:
        """Return a project."""
        with self._lock:
            if not self.is_trusted:
                return NOT_KEPT
            return _touched(self._projects, scope)

    def keep_holder(self, digest: bytes, holder: Holder | None, generation: int) -> None:
        """Keep what a secret was found to open."""
        with self._lock:
            if generation != self.generation:
                return
            if holder is None:
                _keep(self._unknown, digest, None, UNKNOWN_MAX)
            else:
                _keep(self._holders, digest, holder, HOLDERS_MAX)

    def keep_project(self, scope: Scope, project: Project, generation: int) -> None:
        """Keep a project that was found."""
        with self._lock:
            if generation == self.generation:
                _keep(self._projects, scope, project, PROJECTS_MAX)

    def drop(self, tenant_id: str) -> None:
        """Forget all of a tenant."""
        with self._lock:
            self.generation += 1
            for digest in [d for d, held in self._holders.items() if held.key.scope.tenant_id == tenant_id]:
                del self._holders[digest]
            for scope in [scope for scope in self._projects if scope.tenant_id == tenant_id]:
                del self._projects[scope]

    def clear(self) -> None:
        """Forget everything, and believe nothing until `trust` is called again."""
        with self._lock:
            self.generation += 1
            self._trusted_until = 0.0
            self._holders.clear()
            self._unknown.clear()
            self._projects.clear()


def _touched[K, V](kept: OrderedDict[K, V], key: K) -> V | NotKept:
    if key not in kept:
        return NOT_KEPT
    kept.move_to_end(key)
    return kept[key]


def _keep[K, V](kept: OrderedDict[K, V], key: K, value: V, most: int) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > most:
        kept.popitem(last=False)
