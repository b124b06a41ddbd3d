"""Whole scopes out of the database and into it: `PostgresMover` implements the port `Mover`."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from itertools import batched

import numpy as np
from sqlalchemy import LargeBinary, Table, Text, bindparam, delete, func, select
from sqlalchemy.dialects.postgresql import ARRAY

from engramia.core import limits
from engramia.core.contents import NOTHING, Contents, Inventory, Vector, check_holds, inventory_of
from engramia.core.jobs import UNFINISHED, Job
from engramia.core.model import ActivityCounts, Event, FeedbackItem, PatternRecord, Scope
from engramia.db.session import Limits
from engramia.providers.postgres import tables
from engramia.providers.postgres.activity_log import PostgresActivityLog
from engramia.providers.postgres.beginning import begin_reading, begin_writing
from engramia.providers.postgres.event_rows import event_of, event_values
from engramia.providers.postgres.feedback_store import PostgresFeedbackStore
from engramia.providers.postgres.job_store import PostgresJobStore
from engramia.providers.postgres.pattern_writer import PatternWriter
from engramia.providers.postgres.records import read_records
from engramia.providers.postgres.storage import PostgresStorage
from engramia.providers.postgres.transaction import ScopeTransaction, ours

_AT_ONCE = 512
_EVERY = 2**31 - 2
"""More than any scope has of anything that is asked for by pages."""
_PATIENT = Limits(pool_size=2, connect_timeout=10.0, statement_timeout=600.0, lock_timeout=30.0)

# As bytes: a text of numbers takes ten times as long to read.
_VECTORS = (
    select(
        tables.patterns.c.key,
        func.vector_send(tables.pattern_vectors.c.embedding, type_=LargeBinary).label("sent"),
    )
    .join_from(
        tables.patterns,
        tables.pattern_vectors,
        (tables.pattern_vectors.c.tenant_id == tables.patterns.c.tenant_id)
        & (tables.pattern_vectors.c.project_id == tables.patterns.c.project_id)
        & (tables.pattern_vectors.c.number == tables.patterns.c.number),
    )
    .where(
        ours(tables.patterns),
        tables.patterns.c.dense,
        tables.patterns.c.key == func.any(bindparam("of_keys", type_=ARRAY(Text))),
    )
)
_HEADER_BYTES = 4
_IDLE_SECONDS = 3600
_FEEDBACK_ORDER = select(tables.feedback_items.c.id).where(ours(tables.feedback_items))
_FEEDBACK_ORDER = _FEEDBACK_ORDER.order_by(tables.feedback_items.c.place)
_EVENTS = (
    select(tables.events)
    .where(
        ours(tables.events),
        tables.events.c.ts >= bindparam("oldest"),
        tables.events.c.place >= bindparam("first_kept"),
    )
    .order_by(tables.events.c.place)
)
_KEPT = timedelta(days=limits.EVENTS_KEPT_DAYS)
_OF_A_SCOPE = tuple(
    table for table in vars(tables).values() if isinstance(table, Table) and table is not tables.scopes
)


class PostgresMover:
    """The scopes in a Postgres database. Implements `Mover`."""

    def __init__(self, database_url: str) -> None:
        self._storage = PostgresStorage(database_url=database_url, limits=_PATIENT)
        self.place = self._storage.database.engine.url.render_as_string(hide_password=True)

    def scopes(self) -> Sequence[Scope]:
        """Return the scopes that were ever written to and not erased, in order."""
        return self._storage.scopes()

    @contextlib.contextmanager
    def reading(self, scope: Scope) -> Iterator[Contents]:
        """Open all that the scope holds, in one snapshot, to be read inside the block."""
        with self._transaction(scope, begin_reading(scope), writable=False) as transaction:
            yield _contents(transaction)

    def replace(self, scope: Scope, contents: Contents, *, holding: Inventory | None) -> None:
        """Put `contents` in place of all that the scope holds, in one transaction."""
        begin = begin_writing(scope, durable=True, idle=_IDLE_SECONDS)
        with self._transaction(scope, begin, writable=True) as transaction:
            check_holds(inventory_of(_contents(transaction)), holding)
            if holding != NOTHING:
                _clear(transaction)
            _fill(transaction, contents)
            transaction.finish()

    def close(self) -> None:
        """Release the connections."""
        self._storage.close()

    @contextlib.contextmanager
    def _transaction(self, scope: Scope, begin: str, *, writable: bool) -> Iterator[ScopeTransaction]:
        storage = self._storage
        with storage.entered(scope), storage.database.transaction(begin, apart=True) as (connection, row):
            # The other storage may keep us waiting.
            connection.exec_driver_sql(f"SET LOCAL idle_in_transaction_session_timeout = '{_IDLE_SECONDS}s'")
            transaction = ScopeTransaction(connection, scope, row, writable=writable)
            try:
                yield transaction
            finally:
                transaction.close()


def _contents(transaction: ScopeTransaction) -> Contents:
    return Contents(
        embedding_model=transaction.row.embedding_model,
        pattern_count=transaction.row.patterns,
        patterns=_patterns(transaction),
        feedback=_feedback(transaction),
        events=_events(transaction),
        counts=PostgresActivityLog(transaction).counts(),
        jobs=_jobs(transaction),
    )


def _patterns(transaction: ScopeTransaction) -> Iterator[tuple[PatternRecord, Vector | None]]:
    for some in batched(read_records(transaction), _AT_ONCE):
        found = transaction.execute(_VECTORS, of_keys=[record.pattern.key for record in some])
        vectors = {row.key: _received(row.sent) for row in found}
        for record in some:
            yield record, vectors.get(record.pattern.key)


def _received(sent: bytes) -> Vector:
    """Return the vector that pgvector sent: its dimension, two bytes of nothing, big-endian numbers."""
    return np.frombuffer(sent, ">f4", offset=_HEADER_BYTES).astype(np.float32)


def _feedback(transaction: ScopeTransaction) -> Iterator[FeedbackItem]:
    store = PostgresFeedbackStore(transaction)
    items = {item.id: item for item in store.top(None, min_count=-_EVERY, limit=_EVERY, offset=0)}
    for row in transaction.execute(_FEEDBACK_ORDER).all():
        yield items[row.id]


def _events(transaction: ScopeTransaction) -> Iterator[Event]:
    """Yield the events that are kept: as `PostgresActivityLog` shows them, but as they were recorded."""
    row = transaction.row
    if row.newest_event is not None:
        found = transaction.execute(
            _EVENTS, oldest=row.newest_event - _KEPT, first_kept=row.next_event - limits.EVENTS_KEPT
        )
        yield from map(event_of, found)


def _jobs(transaction: ScopeTransaction) -> Iterator[Job]:
    store = PostgresJobStore(transaction)
    for job in sorted(store.list(None, limit=_EVERY, offset=0), key=lambda job: job.id):
        # A list leaves out what jobs were asked for, which finished ones have forgotten.
        whole = store.get(job.id) if job.status in UNFINISHED else job
        if whole is not None:
            yield whole


def _clear(transaction: ScopeTransaction) -> None:
    """Delete what the scope holds, but its row: whoever remembers patterns sees by it that they are gone."""
    for table in sorted(_OF_A_SCOPE, key=lambda table: table is tables.patterns):
        transaction.execute_long(delete(table).where(ours(table)))
    row = transaction.row
    row.words_epoch = transaction.revise()
    row.embedding_model, row.newest_event = None, None
    for name in row.COUNTERS:
        setattr(row, name, 0)


def _fill(transaction: ScopeTransaction, contents: Contents) -> None:
    writer = PatternWriter(transaction)
    if contents.embedding_model is not None:
        writer.use_embedding_model(contents.embedding_model)
    for some in batched(contents.patterns, _AT_ONCE):
        for record, vector in some:
            writer.add(record, vector)
        writer.flush()
    feedback, jobs = PostgresFeedbackStore(transaction), PostgresJobStore(transaction)
    for item in contents.feedback:
        feedback.put(item)
    _record(transaction, contents.events, contents.counts)
    for job in contents.jobs:
        jobs.add(job)


def _record(transaction: ScopeTransaction, events: Iterable[Event], counts: ActivityCounts) -> None:
    row = transaction.row
    for some in batched(events, _AT_ONCE):
        numbered = enumerate(some, row.next_event)
        transaction.insert(
            tables.events, [{"place": place, **event_values(event)} for place, event in numbered]
        )
        row.next_event += len(some)
        newest = max(event.ts for event in some)
        row.newest_event = newest if row.newest_event is None else max(row.newest_event, newest)
    row.runs, row.successes = counts.runs, counts.successes
    row.recalls, row.reused = counts.recalls, counts.reused
