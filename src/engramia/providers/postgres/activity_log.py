"""The activity port over one transaction."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Integer, and_, bindparam, delete, or_, select
from sqlalchemy.sql.elements import BindParameter, ColumnElement

from engramia.core import limits
from engramia.core.model import ActivityCounts, Event, EventKind
from engramia.core.query import Page
from engramia.providers.postgres.event_rows import (
    KEPT,
    SWEEP_EVERY,
    event_of,
    event_values,
    recording,
    recording_values,
    totals,
)
from engramia.providers.postgres.tables import events
from engramia.providers.postgres.transaction import ScopeRow, ScopeTransaction, ours

_oldest: BindParameter[datetime] = bindparam("oldest")
_first: BindParameter[int] = bindparam("first_kept")
_GONE = delete(events).where(ours(events), or_(events.c.ts < _oldest, events.c.place < _first))


def _select(*conditions: ColumnElement[bool]) -> Any:
    return (
        select(events)
        .where(ours(events), and_(events.c.ts >= _oldest, events.c.place >= _first), *conditions)
        .order_by(events.c.ts.desc(), events.c.place.desc())
        .limit(bindparam("at_most", type_=Integer))
    )


_EVENTS = _select()
_EVENTS_OF_KIND = _select(events.c.kind == bindparam("of_kind"))


class PostgresActivityLog:
    """Implements `ActivityLog`."""

    def __init__(self, transaction: ScopeTransaction) -> None:
        self._transaction = transaction
        self._happened: list[dict[str, Any]] = []
        transaction.before_commit.append(self._write)

    def record(self, *happened: Event) -> None:
        """Append events in order and add to the counts."""
        self._transaction.check_writable()
        self._happened += map(event_values, happened)

    def counts(self) -> ActivityCounts:
        """Return the totals since the scope began."""
        row = self._current()
        return ActivityCounts(row.runs, row.successes, row.recalls, row.reused)

    def events(self, *, since: datetime | None, kind: EventKind | None, limit: int) -> Page[Event]:
        """Return events newest first; of those at one moment, the one recorded last comes first."""
        kept = self._kept()
        if not kept:
            return Page(())
        if since is not None:
            kept["oldest"] = max(since, kept["oldest"])
        values = kept | {"at_most": limit + 1}
        if kind is None:
            found = self._transaction.execute(_EVENTS, **values).all()
        else:
            found = self._transaction.execute(_EVENTS_OF_KIND, of_kind=kind.value, **values).all()
        return Page(tuple(map(event_of, found[:limit])), 0, len(found) > limit)

    def _kept(self) -> dict[str, Any]:
        """Return since when, and from which place on, events are kept; nothing while there is none."""
        row = self._current()
        if row.newest_event is None:
            return {}
        return {"oldest": row.newest_event - KEPT, "first_kept": row.next_event - limits.EVENTS_KEPT}

    def _current(self) -> ScopeRow:
        """Return the row of the scope, with everything written that was recorded."""
        self._transaction.check_open()
        row = self._transaction.row
        self._write()
        return row

    def _write(self) -> None:
        """Write what was recorded: blindly if the row of the scope was not read, and need not be."""
        happened, self._happened = self._happened, []
        if not happened:
            return
        if self._transaction.begun:
            self._append(happened)
        else:
            self._transaction.write_later(recording(len(happened)), **recording_values(happened))

    def _append(self, happened: Sequence[Mapping[str, Any]]) -> None:
        """Write events behind the last one that the row of the scope knows of."""
        row = self._transaction.row
        first = row.next_event
        self._transaction.insert_later(
            events, [{"place": place, **event} for place, event in enumerate(happened, first)]
        )
        row.next_event += len(happened)
        for name, more in totals(happened).items():
            setattr(row, name, getattr(row, name) + more)
        newest = max(event["ts"] for event in happened)
        row.newest_event = newest if row.newest_event is None else max(row.newest_event, newest)
        if row.next_event // SWEEP_EVERY > first // SWEEP_EVERY:
            self._transaction.write(_GONE, **self._kept())
