"""Storage in readable files: `JSONStorage` implements the port `Storage`."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from engramia.core.model import Scope
from engramia.core.ports import JobStore, Stores, Subscription
from engramia.errors import StorageError
from engramia.providers.json import disk
from engramia.providers.json.activity_store import JSONActivityLog
from engramia.providers.json.audit_trail import LogAlone
from engramia.providers.json.erasing import is_erased, remove_erased
from engramia.providers.json.feedback_store import JSONFeedbackStore
from engramia.providers.json.idempotency_store import JSONIdempotencyStore
from engramia.providers.json.job_marker import FILE as JOB_MARKER
from engramia.providers.json.job_marker import JobMarker
from engramia.providers.json.job_store import JSONJobStore
from engramia.providers.json.journal import JOURNAL, Journal
from engramia.providers.json.manifest import FILE as MANIFEST
from engramia.providers.json.names import folder_name, scope_of
from engramia.providers.json.pattern_store import JSONPatternStore
from engramia.providers.json.snapshot import FORMAT
from engramia.providers.json.state import ScopeState
from engramia.providers.json.transaction import Transaction
from engramia.providers.json.word_keeper import WordKeeper

_LOCK_TIMEOUT = 30.0


class Turn:
    """Lets one thread in at a time; raises `StorageError` instead of waiting for oneself, or once ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holder: int | None = None
        self._ended = False

    def __enter__(self) -> None:
        me = threading.get_ident()
        if self._holder == me:
            raise StorageError("This thread is in a reading() or writing() block of the scope already.")
        self._lock.acquire()
        self._holder = me
        if self._ended:
            self.__exit__()
            raise StorageError("The storage is closed.")

    def __exit__(self, *_: object) -> None:
        self._holder = None
        self._lock.release()

    def end(self) -> None:
        """Let nobody in any more."""
        self._ended = True


class JSONScopedStorage:
    """One scope: its state in memory and the journal that keeps it. Implements `ScopedStorage`."""

    def __init__(self, folder: Path, *, sync: bool, lock_timeout: float) -> None:
        self._state = ScopeState()
        self._journal = Journal(folder, self._state, sync=sync, lock_timeout=lock_timeout)
        self._job_marker = JobMarker(folder)
        self._words = WordKeeper(folder)
        self._turn = Turn()

    @contextlib.contextmanager
    def reading(self) -> Iterator[Stores]:
        """Open the stores for reading; writes in it raise. Sees all that any process committed before."""
        with self._turn:
            self._journal.follow()
            self._words.offer(self._state.patterns, self._journal.state)
            with Transaction(self._state, writable=False) as transaction:
                yield self._stores(transaction)

    @contextlib.contextmanager
    def writing(self, *, durable: bool = True) -> Iterator[Stores]:
        """Open a transaction; leaving it returns once it is on the disk, or if not `durable` with the system.

        A durable transaction that wrote nothing waits as well: what it read is then on the disk.
        """
        with self._turn:
            with self._journal.lock:
                self._journal.begin_writing()
                transaction = Transaction(self._state, writable=True)
                try:
                    with transaction:
                        yield self._stores(transaction)
                    self._journal.append(transaction.finished(), transaction.apply, hurry=durable)
                except BaseException:  # nothing of the block stays in memory either
                    if transaction.touched:
                        self._journal.forget()
                    raise
                self._journal.compact_if_worth()
                if transaction.found_no_job:
                    self._unmark_jobs()
                self._words.keep(self._state.patterns, self._journal.state)
            ticket = self._journal.ticket()
        if durable:
            self._journal.wait_durable(ticket)

    def _unmark_jobs(self) -> None:
        """Take the scope's marker away, once the disk knows of every job that it has finished."""
        if not self._state.jobs.unfinished:
            self._journal.wait_durable(self._journal.ticket())
            self._job_marker.take_away()

    def _stores(self, transaction: Transaction) -> Stores:
        return Stores(
            patterns=JSONPatternStore(transaction),
            feedback=JSONFeedbackStore(transaction),
            activity=JSONActivityLog(transaction),
            jobs=JSONJobStore(transaction, self._job_marker),
            idempotency=JSONIdempotencyStore(transaction),
            audit=LogAlone(),
        )

    def erase(self) -> None:
        """Delete everything of the scope, so that no byte of it is left."""
        with self._turn:
            self._journal.erase()

    def compact(self) -> None:
        """Rewrite the journal without its history, durably; it happens by itself when that is worth it."""
        with self._turn, self._journal.lock:
            self._journal.begin_writing()
            self._journal.compact()
            self._words.keep(self._state.patterns, self._journal.state)

    def describe(self) -> dict[str, Any]:
        """Return the scope's sizes, its embedding model, and what is wrong with its journal."""
        with self._turn:
            self._journal.follow()
            table = self._state.patterns
            waiting = len(table.rows) - table.dense_count
            facts = {"patterns": len(table.rows), "waiting": waiting, "embedding_model": table.model}
            return facts | self._journal.describe()

    def close(self) -> None:
        """Sync and release everything; using the storage afterwards raises `StorageError`."""
        with self._turn:
            self._turn.end()
            self._journal.close()


class JSONStorage:
    """All scopes under one folder, a folder each. Implements `Storage`.

    Any number of threads and processes may use one folder at the same time. `sync=False` leaves it to the
    operating system when writes reach the disk: faster, and a power cut may then lose the last ones.
    `lock_timeout` is how long, in seconds, to wait for another process that is writing.
    """

    def __init__(self, path: str | Path, *, sync: bool = True, lock_timeout: float = _LOCK_TIMEOUT) -> None:
        self.path = Path(path).expanduser().absolute()
        self._sync = sync
        self._lock_timeout = lock_timeout
        self._lock = threading.Lock()
        self._scopes: dict[Scope, JSONScopedStorage] = {}
        self._closed = False
        with disk.translated(f"Cannot open {self.path}"):
            if self.path.exists() and not self.path.is_dir():
                raise StorageError(f"{self.path} is a file; the data path must be a folder.")
            self._finish_erasing()

    def scoped(self, scope: Scope) -> JSONScopedStorage:
        """Return the scope's storage, made on first write."""
        with self._lock:
            self._check_open()
            if scope not in self._scopes:
                self._scopes[scope] = self._open(scope)
            return self._scopes[scope]

    def scopes(self) -> Sequence[Scope]:
        """Return the scopes that were ever written to and not erased, in order."""
        self._check_open()
        return _in_order(scope_of(folder.name) for folder in self._folders() if _holds_anything(folder))

    def scopes_with_jobs(self) -> Mapping[Scope, None]:
        """Return the scopes whose folder has the marker of unfinished jobs, in order; no journal is read."""
        self._check_open()
        with disk.translated(f"Cannot read {self.path}"):
            names = os.listdir(self.path) if self.path.is_dir() else []  # noqa: PTH208 -- see below
        root = str(self.path)
        marked = (
            name
            for name in names
            if os.path.exists(f"{root}/{name}/{JOB_MARKER}")  # noqa: PTH110 -- asked of thousands a second
        )
        return dict.fromkeys(_in_order(map(scope_of, marked)))

    @contextlib.contextmanager
    def jobs(self, scope: Scope) -> Iterator[JobStore]:
        """Open a transaction over the jobs of a scope, which is one over the scope."""
        with self.scoped(scope).writing() as stores:
            yield stores.jobs

    def announce_jobs(self, tell: Callable[[], None]) -> Subscription:  # noqa: ARG002 - the protocol's form
        """Tell nothing: no process learns of another's jobs without looking."""
        return contextlib.ExitStack()

    def describe(self) -> dict[str, Any]:
        """Return facts for people: kind, path, format, each scope's sizes, and what is wrong."""
        scopes = [self._describe_scope(scope) for scope in self.scopes()]
        return {
            "kind": "json",
            "path": str(self.path),
            "format": FORMAT,
            "sync": self._sync,
            "scopes": scopes,
            "patterns": sum(facts.get("patterns", 0) for facts in scopes),
            "bytes": sum(facts.get("bytes", 0) for facts in scopes),
            "wrong": [sentence for facts in scopes for sentence in facts["wrong"]],
        }

    def close(self) -> None:
        """Sync and release everything; using the storage afterwards raises `StorageError`."""
        with self._lock:
            self._closed = True
            scopes, self._scopes = list(self._scopes.values()), {}
        for scope in scopes:
            scope.close()

    def _open(self, scope: Scope) -> JSONScopedStorage:
        folder = self.path / folder_name(scope)
        return JSONScopedStorage(folder, sync=self._sync, lock_timeout=self._lock_timeout)

    def _describe_scope(self, scope: Scope) -> dict[str, Any]:
        """Return a scope's facts; one that was not open is closed again, for it may be large."""
        name = {"tenant": scope.tenant_id, "project": scope.project_id}
        with self._lock:
            opened = self._scopes.get(scope)
        try:
            if opened is not None:
                return name | opened.describe()
            with contextlib.closing(self._open(scope)) as passing:
                return name | passing.describe()
        except StorageError as error:
            return name | {"wrong": [str(error)]}

    def _folders(self) -> list[Path]:
        with disk.translated(f"Cannot read {self.path}"):
            return [entry for entry in self.path.iterdir() if entry.is_dir()] if self.path.is_dir() else []

    def _finish_erasing(self) -> None:
        for folder in self._folders():
            if is_erased(folder):
                remove_erased(folder)

    def _check_open(self) -> None:
        if self._closed:
            raise StorageError("The storage is closed.")


def _holds_anything(folder: Path) -> bool:
    return (folder / JOURNAL).exists() or (folder / MANIFEST).exists()


def _in_order(found: Iterable[Scope | None]) -> Sequence[Scope]:
    scopes = (scope for scope in found if scope is not None)
    return sorted(scopes, key=lambda scope: (scope.tenant_id, scope.project_id))
