"""Storage in Postgres: `PostgresStorage` implements the port `Storage`."""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Row, delete, select, text

from engramia.core.model import PatternRecord, Scope
from engramia.core.ports import Stores
from engramia.core.query import Filter
from engramia.db.schema import check_connection, newest
from engramia.db.scoped import directory_settings
from engramia.db.session import Database, Limits, patience
from engramia.errors import StorageError
from engramia.providers.postgres import tables
from engramia.providers.postgres.activity_log import PostgresActivityLog
from engramia.providers.postgres.feedback_store import PostgresFeedbackStore
from engramia.providers.postgres.job_store import PostgresJobStore
from engramia.providers.postgres.memory import Known, ScopeMemory
from engramia.providers.postgres.pattern_store import PostgresPatternStore
from engramia.providers.postgres.records import RecordsApart
from engramia.providers.postgres.transaction import (
    ScopeTransaction,
    begin_reading,
    begin_writing,
    ours,
)
from engramia.providers.postgres.vector_plan import VectorPlan

_log = logging.getLogger("engramia.storage")

EXACT_LIMIT = 2000
"""Patterns of a scope up to which every vector is compared."""
_KNOWN_ROOTS = 8_000_000
_ERASED = (
    tables.jobs,
    tables.events,
    tables.feedback_items,
    tables.word_postings,
    tables.pattern_vectors,
    tables.pattern_texts,
    tables.pattern_skills,
    tables.pattern_observations,
    tables.pattern_versions,
    tables.patterns,
    tables.scopes,
)
_INDEX_SECONDS = 120.0
_MAKE_INDEX = text("SELECT engramia_index_vectors(:dimension)")
_SERVER_FACTS = text(
    "SELECT current_setting('server_version') AS server, pg_database_size(current_database()) AS bytes, "
    "(SELECT extversion FROM pg_extension WHERE extname = 'vector') AS pgvector"
)
_DIRECTORY = f"BEGIN READ ONLY; {directory_settings()}"
_SCOPES = select(tables.scopes).order_by(tables.scopes.c.tenant_id, tables.scopes.c.project_id)


class PostgresScopedStorage:
    """One scope in the database. Implements `ScopedStorage`."""

    def __init__(self, storage: "PostgresStorage", scope: Scope) -> None:
        self._storage, self._scope = storage, scope

    @contextlib.contextmanager
    def reading(self) -> Iterator[Stores]:
        """Open the stores for reading one snapshot; writes in it raise."""
        storage, scope = self._storage, self._scope
        known = storage.memory.take(scope)
        with self._transaction(begin_reading(scope), writable=False) as transaction:
            yield self._stores(transaction, known, partial(RecordsApart, storage.database))
        storage.memory.give_back(scope, known)
        storage.make_missing_index()

    @contextlib.contextmanager
    def writing(self, *, durable: bool = True) -> Iterator[Stores]:
        """Open a transaction as the scope's only writer; all or nothing is kept."""
        with self._transaction(begin_writing(self._scope, durable=durable), writable=True) as transaction:
            yield self._stores(transaction, Known(), None)
            transaction.finish()

    def erase(self) -> None:
        """Delete every row of the scope."""
        with self._transaction(begin_writing(self._scope, durable=True), writable=True) as transaction:
            for table in _ERASED:
                transaction.execute_long(delete(table).where(ours(table)))

    @contextlib.contextmanager
    def _transaction(self, begin: str, *, writable: bool) -> Iterator[ScopeTransaction]:
        with (
            self._storage.entered(self._scope),
            self._storage.database.transaction(begin) as (connection, row),
        ):
            transaction = ScopeTransaction(connection, self._scope, row, writable=writable)
            try:
                yield transaction
            finally:
                transaction.close()

    def _stores(
        self,
        transaction: ScopeTransaction,
        known: Known,
        apart: Callable[[ScopeTransaction, Filter], Iterator[PatternRecord]] | None,
    ) -> Stores:
        return Stores(
            patterns=PostgresPatternStore(transaction, known, self._storage.plan, apart),
            feedback=PostgresFeedbackStore(transaction),
            activity=PostgresActivityLog(transaction),
            jobs=PostgresJobStore(transaction),
        )


class PostgresStorage:
    """All scopes in one Postgres database with pgvector. Implements `Storage`.

    `database_url` reads `postgresql://user:password@host:port/database`; the user must be a member of the
    role `engramia_app`, as which all is done. Nothing is opened before the first use, and that refuses a
    schema other than this release's with `StorageError`. `limits` are the sizes of the pool and the timeouts;
    `exact_limit` is up to how many patterns of a scope every vector is compared.
    """

    def __init__(
        self, database_url: str, *, limits: Limits | None = None, exact_limit: int = EXACT_LIMIT
    ) -> None:
        self.database = Database(database_url, limits or Limits())
        self.plan = VectorPlan(exact_limit)
        self.memory = ScopeMemory(_KNOWN_ROOTS)
        self._inside = threading.local()
        self._check_lock = threading.Lock()
        self._checked = False
        self._closed = False

    def check(self) -> None:
        """Raise `StorageError` unless the database can be reached and has the schema of this release."""
        with self.database.transaction("BEGIN READ ONLY") as (connection, _):
            check_connection(connection)
        self._checked = True

    def scoped(self, scope: Scope) -> PostgresScopedStorage:
        """Return the scope's storage; its row is made on first write."""
        self._check_open()
        return PostgresScopedStorage(self, scope)

    def scopes(self) -> Sequence[Scope]:
        """Return the scopes that were ever written to and not erased, in order."""
        return [Scope(row.tenant_id, row.project_id) for row in self._directory()]

    def scopes_with_jobs(self) -> Sequence[Scope]:
        """Return every scope with an unfinished job, in order."""
        return [Scope(row.tenant_id, row.project_id) for row in self._directory() if row.unfinished_jobs]

    def describe(self) -> dict[str, Any]:
        """Return facts for people: kind, place, versions, each scope's sizes."""
        found = self._directory()
        return {
            "kind": "postgres",
            "place": self.database.engine.url.render_as_string(hide_password=True),
            "schema": newest(),
            **self._server_facts(),
            "scopes": [
                {
                    "tenant": row.tenant_id,
                    "project": row.project_id,
                    "patterns": row.patterns,
                    "waiting": row.patterns - row.dense,
                    "embedding_model": row.embedding_model,
                }
                for row in found
            ],
            "patterns": sum(row.patterns for row in found),
            "wrong": [],
        }

    def close(self) -> None:
        """Release the connections; using the storage afterwards raises `StorageError`."""
        self._closed = True
        self.database.dispose()

    def make_missing_index(self) -> None:
        """Make an index that a search has missed; writers wait meanwhile. Searches can do without."""
        dimension = self.plan.take_missing()
        if dimension is None:
            return
        try:
            with (
                self.database.transaction("BEGIN") as (connection, _),
                patience(connection, _INDEX_SECONDS),
            ):
                connection.execute(_MAKE_INDEX, {"dimension": dimension})
        except StorageError as error:
            _log.warning("No index for vectors of dimension %d was made: %s", dimension, error)

    @contextlib.contextmanager
    def entered(self, scope: Scope) -> Iterator[None]:
        """Mark that this thread is in a block of the scope; raise `StorageError` if it already is."""
        self._check_open()
        if not self._checked:
            self._check_once()
        inside: set[Scope] = self._inside.__dict__.setdefault("scopes", set())
        if scope in inside:
            raise StorageError("This thread is in a reading() or writing() block of the scope already.")
        inside.add(scope)
        try:
            yield
        finally:
            inside.discard(scope)

    def _check_once(self) -> None:
        with self._check_lock:
            if not self._checked:
                self.check()

    def _directory(self) -> Sequence[Row[Any]]:
        self._check_open()
        if not self._checked:
            self._check_once()
        with self.database.transaction(_DIRECTORY) as (connection, _):
            return connection.execute(_SCOPES).all()

    def _server_facts(self) -> dict[str, Any]:
        with self.database.transaction("BEGIN READ ONLY") as (connection, _):
            found = connection.execute(_SERVER_FACTS).one()
        return {"server": found.server, "pgvector": found.pgvector, "bytes": found.bytes}

    def _check_open(self) -> None:
        if self._closed:
            raise StorageError("The storage is closed.")
