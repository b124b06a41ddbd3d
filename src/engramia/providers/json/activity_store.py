"""The activity port over the state of one scope."""

from datetime import datetime

from engramia.core.model import ActivityCounts, Event, EventKind
from engramia.core.query import Page
from engramia.providers.json import codec
from engramia.providers.json.activity import decode_event, encode_event
from engramia.providers.json.transaction import Transaction


class JSONActivityLog:
    """Implements `ActivityLog`."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def record(self, *happened: Event) -> None:
        """Append events in order and add to the counts."""
        self._transaction.emit(*map(encode_event, happened))

    def counts(self) -> ActivityCounts:
        """Return the totals since the scope began."""
        return self._transaction.state.activity.counts

    def events(self, *, since: datetime | None, kind: EventKind | None, limit: int) -> Page[Event]:
        """Return events newest first; of those at one moment, the one recorded last comes first."""
        oldest = codec.time_text(since) if since is not None else ""
        happened = [
            one
            for one in reversed(self._transaction.state.activity.happened)
            if one.ts >= oldest and (kind is None or one.what == kind)
        ]
        happened.sort(key=lambda one: one.ts, reverse=True)
        return Page(tuple(map(decode_event, happened[:limit])), 0, len(happened) > limit)
