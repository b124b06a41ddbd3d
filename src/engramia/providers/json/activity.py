"""The activity of one scope in memory, made by the events of its journal."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import timedelta
from itertools import batched
from operator import itemgetter
from typing import NamedTuple

from engramia.core import limits
from engramia.core.model import ActivityCounts, Event, EventKind, ReuseTier
from engramia.providers.json import codec

type Events = Sequence[codec.Json]

_KEPT = timedelta(days=limits.EVENTS_KEPT_DAYS)
_PER_LINE = 64
_EVENT_BYTES = 200


class Happened(NamedTuple):
    """An event as it is kept: small, since there may be many. The time sorts as text."""

    ts: str
    what: str
    eval_score: float | None
    similarity: float | None
    reuse_tier: str | None
    pattern_key: str | None


_VALUES = itemgetter(*Happened._fields)


class ActivityTable:
    """Events in the order they were recorded, the oldest dropped over the limits, and counts of them all."""

    def __init__(self) -> None:
        self.counts = ActivityCounts()
        self.happened: deque[Happened] = deque(maxlen=limits.EVENTS_KEPT)
        self._kept_until = ""
        """No event is too old before something newer than this happens."""
        self.handlers = {"event": self._record, "counts": self._count}
        """What each kind of event does, given consecutive events of the kind."""

    def snapshot(self) -> Iterator[list[bytes]]:
        """Yield the events that make this table out of an empty one; counts last, for events add to them."""
        for some in batched(self.happened, _PER_LINE):
            yield [codec.dumps({"kind": "event"} | one._asdict()) for one in some]
        yield [codec.dumps({"kind": "counts"} | asdict(self.counts))]

    def live_bytes(self) -> int:
        """Return about how long the snapshot is."""
        return len(self.happened) * _EVENT_BYTES

    def _record(self, events: Events) -> None:
        runs = successes = recalls = reused = 0
        newest = ""
        for event in events:
            one = Happened._make(_VALUES(event))
            self.happened.append(one)
            newest = max(newest, one.ts)
            if one.what == EventKind.LEARN:
                runs += 1
                successes += one.eval_score is not None and one.eval_score >= limits.SUCCESS_SCORE
            else:
                recalls += 1
                reused += one.reuse_tier in {ReuseTier.DUPLICATE, ReuseTier.ADAPT}
        old = self.counts
        self.counts = ActivityCounts(
            old.runs + runs, old.successes + successes, old.recalls + recalls, old.reused + reused
        )
        if newest > self._kept_until:
            self._drop_old(newest)

    def _drop_old(self, newest: str) -> None:
        oldest = codec.time_text(codec.time_of(newest) - _KEPT)
        while self.happened and self.happened[0].ts < oldest:
            self.happened.popleft()
        first = self.happened[0].ts if self.happened else newest
        self._kept_until = codec.time_text(codec.time_of(first) + _KEPT)

    def _count(self, events: Events) -> None:
        for event in events:
            self.counts = ActivityCounts(event["runs"], event["successes"], event["recalls"], event["reused"])


def encode_event(event: Event) -> codec.Json:
    """Return the journal's event for something that happened."""
    return {
        "kind": "event",
        "ts": codec.time_text(event.ts),
        "what": event.kind,
        "eval_score": codec.finite_or_none(event.eval_score, "eval_score"),
        "similarity": codec.finite_or_none(event.similarity, "similarity"),
        "reuse_tier": event.reuse_tier,
        "pattern_key": event.pattern_key,
    }


def decode_event(one: Happened) -> Event:
    """Return the event of the domain."""
    return Event(
        EventKind(one.what),
        codec.time_of(one.ts),
        one.eval_score,
        one.similarity,
        ReuseTier(one.reuse_tier) if one.reuse_tier is not None else None,
        one.pattern_key,
    )
