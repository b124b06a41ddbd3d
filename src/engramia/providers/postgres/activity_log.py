"""The activity port over one transaction."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Integer, Row, and_, bindparam, delete, or_, select
from sqlalchemy.sql.elements import BindParameter, ColumnElement

from engramia.core import limits
from engramia.core.model import ActivityCounts, Event, EventKind, ReuseTier
from engramia.core.query import Page
from engramia.providers.postgres import rows
from engramia.providers.postgres.tables import events
from engramia.providers.postgres.transaction import ScopeTransaction, ours

_KEPT = timedelta(days=limits.EVENTS_KEPT_DAYS)
_SWEEP_EVERY = 256
"""Events after which those beyond the limits are deleted; until then they are only not shown."""

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

    def record(self, *happened: Event) -> None:
        """Append events in order and add to the counts."""
        row = self._transaction.row
        first = row.next_event
        places = enumerate(happened, first)
        self._transaction.insert_later(
            events, [{"place": place, **event_values(event)} for place, event in places]
        )
        row.next_event += len(happened)
        for event in happened:
            self._count(event)
        if row.next_event // _SWEEP_EVERY > first // _SWEEP_EVERY:
            self._transaction.write(_GONE, **self._kept())

    def _count(self, event: Event) -> None:
        row = self._transaction.row
        row.newest_event = event.ts if row.newest_event is None else max(row.newest_event, event.ts)
        if event.kind is EventKind.LEARN:
            row.runs += 1
            row.successes += event.eval_score is not None and event.eval_score >= limits.SUCCESS_SCORE
        else:
            row.recalls += 1
            row.reused += event.reuse_tier in {ReuseTier.DUPLICATE, ReuseTier.ADAPT}

    def counts(self) -> ActivityCounts:
        """Return the totals since the scope began."""
        self._transaction.check_open()
        row = self._transaction.row
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
        self._transaction.check_open()
        row = self._transaction.row
        if row.newest_event is None:
            return {}
        return {"oldest": row.newest_event - _KEPT, "first_kept": row.next_event - limits.EVENTS_KEPT}


def event_values(event: Event) -> dict[str, Any]:
    """Return the row of an event, but its place."""
    for name, value in (("eval_score", event.eval_score), ("similarity", event.similarity)):
        rows.finite(value or 0.0, name)
    return {
        "kind": event.kind.value,
        "ts": event.ts,
        "eval_score": event.eval_score,
        "similarity": event.similarity,
        "reuse_tier": event.reuse_tier and event.reuse_tier.value,
        "pattern_key": rows.optional_text(event.pattern_key, "pattern_key"),
    }


def event_of(row: Row[Any]) -> Event:
    """Return the event of a row."""
    return Event(
        EventKind(row.kind),
        rows.utc(row.ts),
        row.eval_score,
        row.similarity,
        row.reuse_tier and ReuseTier(row.reuse_tier),
        row.pattern_key,
    )
