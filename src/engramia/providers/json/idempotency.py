"""The keyed requests of one scope in memory, made by the events of its journal.

Answers stand in the journal as texts: an object in a line could pass for a line of its own.
"""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import astuple
from datetime import datetime
from typing import Any, NamedTuple

from engramia.core import limits
from engramia.core.idempotency import Answer, KeyedRequest
from engramia.providers.json import codec

type Events = Sequence[codec.Json]

_LINE_BYTES = 230  # about what a request's line has beside its answer


class Kept(NamedTuple):
    """A keyed request as it stands in memory: small, since there may be many. The time sorts as text."""

    fingerprint: str
    token: str
    expires_at: str
    answer: Sequence[Any] | None


class IdempotencyTable:
    """Keyed requests by id; those that expired, or are too many, go when another one comes."""

    def __init__(self, most: int = limits.IDEMPOTENCY_KEPT) -> None:
        """Keep at most so many."""
        self.rows: dict[str, Kept] = {}
        self._most = most
        self._expiring: list[tuple[str, str]] = []  # a heap; what is not true any more is passed over
        self.handlers = {"keyed": self._put, "keyed_dropped": self._drop}
        """What each kind of event does, given consecutive events of the kind."""

    def snapshot(self) -> Iterator[list[bytes]]:
        """Yield the events that make this table out of an empty one, a line each."""
        for id_, row in self.rows.items():
            yield [codec.dumps({"kind": "keyed", "id": id_, "at": ""} | row._asdict())]

    def live_bytes(self) -> int:
        """Return about how long the snapshot is."""
        return sum(_LINE_BYTES + (len(row.answer[1]) if row.answer else 0) for row in self.rows.values())

    def _put(self, events: Events) -> None:
        for event in events:
            row = Kept(*(event[name] for name in Kept._fields))
            self.rows[event["id"]] = row
            heapq.heappush(self._expiring, (row.expires_at, event["id"]))
            self._forget(event["at"])

    def _forget(self, at: str) -> None:
        while self._expiring and (self._expiring[0][0] <= at or len(self.rows) > self._most):
            expires_at, id_ = heapq.heappop(self._expiring)
            row = self.rows.get(id_)
            if row is not None and row.expires_at == expires_at:
                del self.rows[id_]

    def _drop(self, events: Events) -> None:
        for event in events:
            self.rows.pop(event["id"], None)


def encode_keyed(request: KeyedRequest, now: datetime) -> codec.Json:
    """Return the event that stores a keyed request, and lets go of what expired by `now`."""
    return {
        "kind": "keyed",
        "id": request.id,
        "fingerprint": request.fingerprint,
        "token": request.token,
        "expires_at": codec.time_text(request.expires_at),
        "answer": None if request.answer is None else astuple(request.answer),
        "at": codec.time_text(now),
    }


def decode_keyed(id: str, row: Kept) -> KeyedRequest:
    """Return the keyed request of the domain."""
    return KeyedRequest(
        id=id,
        fingerprint=row.fingerprint,
        token=row.token,
        expires_at=codec.time_of(row.expires_at),
        answer=None if row.answer is None else Answer(*row.answer),
    )
