"""Storage in Postgres: `PostgresStorage` implements the port `Storage`."""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Executable, Row, delete, select, text

from engramia.core.audit_chain import Seal
from engramia.core.model import PatternRecord, Scope
from engramia.core.ports import JobStore, Stores, Subscription
from engramia.core.query import Filter
from engramia.db.audit import AuditLedger
from engramia.db.listening import Listener
from engramia.db.replica import Replica
from engramia.db.schema import check_connection, newest
from engramia.db.scoped import directory_settings
from engramia.db.session import Database, Limits
from engramia.db.vector_index import COMPARED, INDEXABLE, IndexMaker, index_name
from engramia.errors import StorageError
from engramia.providers.postgres import rows, tables
from engramia.providers.postgres.activity_log import PostgresActivityLog
from engramia.providers.postgres.audit_trail import PostgresAuditTrail
from engramia.providers.postgres.beginning import (
    begin_queueing,
    begin_reading,
    begin_unread,
    begin_writing,
)
from engramia.providers.postgres.feedback_store import PostgresFeedbackStore
from engramia.providers.postgres.idempotency_store import PostgresIdempotencyStore
from engramia.providers.postgres.job_store import JOBS_CHANNEL, PostgresJobStore
from engramia.providers.postgres.memory import ScopeMemory
from engramia.providers.postgres.pattern_store import PostgresPatternStore
from engramia.providers.postgres.reading import ReadingPlace
from engramia.providers.postgres.records import RecordsApart
from engramia.providers.postgres.sketches import SketchMaker
from engramia.providers.postgres.transaction import Late, ScopeTransaction, ours
from engramia.providers.postgres.vector_plan import VectorPlan

_log = logging.getLogger("engramia.storage")

MEMORY = 256 * 2**20
"""Bytes in which a process keeps the patterns of the scopes that it searched last."""
_ERASED = (
    tables.idempotency_keys,
    tables.jobs,
    tables.events,
    tables.feedback_items,
    tables.word_postings,
    tables.word_counts,
    tables.pattern_vectors,
    tables.pattern_texts,
    tables.pattern_skills,
    tables.pattern_observations,
    tables.pattern_versions,
    tables.patterns,
    tables.scopes,
)
_SERVER_FACTS = text(
    "SELECT current_setting('server_version') AS server, pg_database_size(current_database()) AS bytes, "
    "(SELECT extversion FROM pg_extension WHERE extname = 'vector') AS pgvector"
)
_INDEXES = text(
    "SELECT relname FROM pg_class JOIN pg_index ON indexrelid = pg_class.oid "
    "WHERE indrelid = 'pattern_vectors'::regclass AND indisvalid"
)
_DIRECTORY = f"BEGIN READ ONLY; {directory_settings()}"
_SCOPES = select(tables.scopes).order_by(tables.scopes.c.tenant_id, tables.scopes.c.project_id)
_SCOPES_WITH_JOBS = (
    select(tables.scopes.c.tenant_id, tables.scopes.c.project_id, tables.scopes.c.jobs_due)
    .where(tables.scopes.c.jobs_due.is_not(None))
    .order_by(tables.scopes.c.jobs_due, tables.scopes.c.tenant_id, tables.scopes.c.project_id)
)


class PostgresScopedStorage:
    """One scope in the database. Implements `ScopedStorage`."""

    def __init__(self, storage: "PostgresStorage", scope: Scope) -> None:
        self._storage, self._scope = storage, scope

    @contextlib.contextmanager
    def reading(self) -> Iterator[Stores]:
        """Open the stores for reading one snapshot, of the replica if it is up to date; writes raise."""
        storage, scope = self._storage, self._scope
        with storage.entered(scope), contextlib.ExitStack() as stack:
            place = ReadingPlace(stack, begin_reading(scope), storage.database, storage.replica)
            connection, row = place.open()
            transaction = ScopeTransaction(
                connection, scope, row, writable=False, elsewhere=place.leave_replica
            )
            stack.callback(transaction.close)
            yield self._stores(transaction, partial(RecordsApart, storage.database))
        storage.indexes.make(storage.plan.take_missing(), storage.plan.forget)
        storage.memory.make_missing(storage.sketches)

    @contextlib.contextmanager
    def writing(self, *, durable: bool = True) -> Iterator[Stores]:
        """Open a transaction as the scope's only writer; all or nothing is kept."""
        with self._writing(durable=durable) as transaction:
            yield self._stores(transaction, None)
            transaction.finish()

    @contextlib.contextmanager
    def jobs(self) -> Iterator[PostgresJobStore]:
        """Open a transaction over the jobs alone, which others may write at the same time."""
        begin = begin_queueing(self._scope, idle=self._storage.database.limits.idle_timeout)
        with self._transaction(begin) as transaction:
            yield PostgresJobStore(transaction)
            transaction.finish()

    def erase(self) -> None:
        """Delete every row of the scope."""
        with self._writing(durable=True) as transaction:
            for table in _ERASED:
                transaction.execute_long(delete(table).where(ours(table)))

    def _writing(self, *, durable: bool) -> AbstractContextManager[ScopeTransaction]:
        idle = self._storage.database.limits.idle_timeout
        begin = begin_writing(self._scope, durable=durable, idle=idle)
        return self._transaction(begin) if durable else self._late(begin)

    @contextlib.contextmanager
    def _late(self, begin: str) -> Iterator[ScopeTransaction]:
        """Open a transaction that begins with its first question: one that only counts asks none."""
        database = self._storage.database
        with self._storage.entered(self._scope), contextlib.ExitStack() as stack:
            late = Late(
                lambda: stack.enter_context(database.transaction(begin)),
                lambda writes: database.at_once(begin_unread(self._scope), writes),
            )
            transaction = ScopeTransaction(None, self._scope, None, writable=True, late=late)
            stack.callback(transaction.close)
            yield transaction

    @contextlib.contextmanager
    def _transaction(self, begin: str) -> Iterator[ScopeTransaction]:
        with (
            self._storage.entered(self._scope),
            self._storage.database.transaction(begin) as (connection, row),
        ):
            transaction = ScopeTransaction(connection, self._scope, row, writable=True)
            try:
                yield transaction
            finally:
                transaction.close()

    def _stores(
        self,
        transaction: ScopeTransaction,
        apart: Callable[[ScopeTransaction, Filter], Iterator[PatternRecord]] | None,
    ) -> Stores:
        return Stores(
            patterns=PostgresPatternStore(transaction, self._storage.memory, self._storage.plan, apart),
            feedback=PostgresFeedbackStore(transaction),
            activity=PostgresActivityLog(transaction),
            jobs=PostgresJobStore(transaction),
            idempotency=PostgresIdempotencyStore(transaction),
            audit=PostgresAuditTrail(transaction, self._storage.ledger),
        )


class PostgresStorage:
    """All scopes in one Postgres database with pgvector. Implements `Storage`.

    `database_url` reads `postgresql://user:password@host:port/database`; the user must be a member of the
    role `engramia_app`, as which all is done. Nothing is opened before the first use, and that refuses a
    schema other than this release's with `StorageError`. `limits` are the sizes of the pool and the timeouts;
    `exact_limit` is up to how many patterns of a scope every vector is compared; `memory` is in about how
    many bytes the patterns of the scopes searched last are kept; `ledger` appends to the audit trail, by
    default without a secret. `replica_url` is the address of a streaming replica: what only reads goes there
    as long as it has everything that was committed before.
    """

    def __init__(
        self,
        database_url: str,
        *,
        limits: Limits | None = None,
        exact_limit: int = COMPARED,
        memory: int = MEMORY,
        ledger: AuditLedger | None = None,
        replica_url: str | None = None,
    ) -> None:
        self.database = Database(database_url, limits or Limits())
        self.replica = None if replica_url is None else Replica(replica_url, self.database)
        self.ledger = ledger or AuditLedger(Seal.of(None))
        self.plan = VectorPlan(exact_limit)
        self.memory = ScopeMemory(memory)
        self.indexes = IndexMaker(database_url)
        self.sketches = SketchMaker(self.database)
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

    def scopes_with_jobs(self) -> Mapping[Scope, datetime]:
        """Return every scope with an unfinished job, the longest waiting first; other scopes are not read."""
        found = self._directory(_SCOPES_WITH_JOBS)
        return {Scope(row.tenant_id, row.project_id): rows.utc(row.jobs_due) for row in found}

    def jobs(self, scope: Scope) -> AbstractContextManager[JobStore]:
        """Open a transaction over the jobs of a scope alone; it waits for no other."""
        return self.scoped(scope).jobs()

    def announce_jobs(self, tell: Callable[[], None]) -> Subscription:
        """Call `tell` when a job was handed in, over a connection of its own; `tell` comes soon after."""
        listener = Listener(self.database, JOBS_CHANNEL, tell)
        listener.start()
        return listener

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
            "wrong": self._missing_indexes(found),
        }

    def close(self) -> None:
        """Release the connections; using the storage afterwards raises `StorageError`."""
        self._closed = True
        self.sketches.close()
        if self.replica is not None:
            self.replica.close()
        self.database.dispose()

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

    def _directory(self, statement: Executable = _SCOPES) -> Sequence[Row[Any]]:
        self._check_open()
        if not self._checked:
            self._check_once()
        with self.database.transaction(_DIRECTORY) as (connection, _):
            return connection.execute(statement).all()

    def _missing_indexes(self, found: Sequence[Row[Any]]) -> list[str]:
        """Return a sentence for each index over vectors that large scopes are searched without."""
        large = {row.dimension for row in found if row.dense > self.plan.exact_limit}
        with self.database.transaction("BEGIN READ ONLY") as (connection, _):
            there = set(connection.execute(_INDEXES).scalars())
        return [
            f"There is no index over vectors of dimension {dimension}, and a project is so large that its "
            "searches need it: run `engramia db index` as the owner of the tables."
            for dimension in sorted(large)
            if dimension <= INDEXABLE and index_name(dimension) not in there
        ]

    def _server_facts(self) -> dict[str, Any]:
        with self.database.transaction("BEGIN READ ONLY") as (connection, _):
            found = connection.execute(_SERVER_FACTS).one()
        return {"server": found.server, "pgvector": found.pgvector, "bytes": found.bytes}

    def _check_open(self) -> None:
        if self._closed:
            raise StorageError("The storage is closed.")
