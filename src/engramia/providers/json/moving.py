"""Whole scopes out of the JSON storage and into it: `JSONMover` implements the port `Mover`."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import timedelta
from itertools import batched
from pathlib import Path

import numpy as np

from engramia.core import limits
from engramia.core.contents import Contents, Inventory, Vector, check_holds, inventory_of
from engramia.core.jobs import UNFINISHED, Job
from engramia.core.model import ActivityCounts, Event, FeedbackItem, PatternRecord, Scope
from engramia.providers.json import codec
from engramia.providers.json.activity import ActivityTable, decode_event, encode_event
from engramia.providers.json.job_marker import JobMarker
from engramia.providers.json.jobs import JobTable, decode_job, encode_job
from engramia.providers.json.journal import Journal
from engramia.providers.json.names import folder_name
from engramia.providers.json.patterns import PatternTable
from engramia.providers.json.rows import record_of
from engramia.providers.json.state import ScopeState
from engramia.providers.json.storage import JSONStorage

_LOCK_TIMEOUT = 30.0
_EVENTS_PER_LINE = 64
_KEPT = timedelta(days=limits.EVENTS_KEPT_DAYS)


class JSONMover:
    """The scopes in the folder of a JSON storage. Implements `Mover`."""

    def __init__(self, path: str | Path, *, lock_timeout: float = _LOCK_TIMEOUT) -> None:
        self._storage = JSONStorage(path, lock_timeout=lock_timeout)
        self._lock_timeout = lock_timeout
        self.place = str(self._storage.path)

    def scopes(self) -> Sequence[Scope]:
        """Return the scopes that hold anything, in order."""
        return self._storage.scopes()

    @contextlib.contextmanager
    def reading(self, scope: Scope) -> Iterator[Contents]:
        """Open all that the scope holds, as it is at this moment, to be read inside the block."""
        with self._opened(scope, writing=False) as (journal, state):
            journal.follow()
            yield _contents(state)

    def replace(self, scope: Scope, contents: Contents, *, holding: Inventory | None) -> None:
        """Put `contents` in place of all that the scope holds: a new journal takes the place of the old."""
        with self._opened(scope, writing=True) as (journal, state), journal.lock:
            journal.begin_writing()
            check_holds(inventory_of(_contents(state)), holding)
            journal.replace(_lines(contents, JobMarker(self._folder(scope))))

    def close(self) -> None:
        """Release everything."""
        self._storage.close()

    @contextlib.contextmanager
    def _opened(self, scope: Scope, *, writing: bool) -> Iterator[tuple[Journal, ScopeState]]:
        """Open a scope for this block alone: each may be large, and there may be many.

        Who only reads leaves it to the writers to sync what they wrote: no byte of the folder changes.
        """
        state = ScopeState()
        journal = Journal(self._folder(scope), state, sync=writing, lock_timeout=self._lock_timeout)
        with contextlib.closing(journal):
            yield journal, state

    def _folder(self, scope: Scope) -> Path:
        return self._storage.path / folder_name(scope)


def _contents(state: ScopeState) -> Contents:
    return Contents(
        embedding_model=state.patterns.model,
        pattern_count=len(state.patterns.rows),
        patterns=_patterns(state.patterns),
        feedback=state.feedback.items.values(),
        events=_events(state.activity),
        counts=state.activity.counts,
        jobs=_jobs(state.jobs),
    )


def _patterns(table: PatternTable) -> Iterator[tuple[PatternRecord, Vector | None]]:
    columns = table.columns
    rows = np.flatnonzero(columns.alive[: columns.size])
    for row in rows[np.argsort(columns.key[rows])].tolist():
        vector = table.vectors.take_one(row) if columns.dense[row] else None
        yield record_of(table.body(row), columns, row, table.model), vector


def _events(table: ActivityTable) -> Iterator[Event]:
    """Yield the events that are not too old; one recorded late may be, and stands behind younger ones."""
    newest = max((one.ts for one in table.happened), default=None)
    if newest is None:
        return
    oldest = codec.time_text(codec.time_of(newest) - _KEPT)
    yield from (decode_event(one) for one in table.happened if one.ts >= oldest)


def _jobs(table: JobTable) -> Iterator[Job]:
    return (decode_job(row) for _, row in sorted(table.rows.items()))


def _lines(contents: Contents, marker: JobMarker) -> Iterator[list[bytes]]:
    """Yield, line by line, the events that make these contents out of nothing."""
    if contents.embedding_model is not None:
        yield [codec.dumps({"kind": "model", "model": contents.embedding_model})]
    for record, vector in contents.patterns:
        yield [codec.dumps(_addition(record, vector))]
    yield from _rest(contents.feedback, contents.events, contents.counts)
    for job in contents.jobs:
        if job.status in UNFINISHED:
            marker.put()
        yield [codec.dumps(encode_job(job))]


def _rest(
    feedback: Iterable[FeedbackItem], events: Iterable[Event], counts: ActivityCounts
) -> Iterator[list[bytes]]:
    for item in feedback:
        yield [codec.dumps({"kind": "feedback", "item": codec.encode_feedback(item)})]
    for some in batched(events, _EVENTS_PER_LINE):
        yield [codec.dumps(encode_event(event)) for event in some]
    # Last, for events add to them.
    yield [codec.dumps({"kind": "counts"} | asdict(counts))]


def _addition(record: PatternRecord, vector: Vector | None) -> codec.Json:
    dense = vector is not None
    return {
        "kind": "add",
        "record": codec.encode_record(record),
        "model": record.pattern.embedding_model if dense else None,
        "vector": codec.vector_text(vector) if vector is not None else None,
    }
