"""Rows that are written after the answer, by a thread: a flood of refusals slows nobody and fills nothing."""

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from engramia.core.audit import AuditEntry, AuditOutcome, AuditStamp
from engramia.core.ports import Clock
from engramia.errors import EngramiaError, StorageUnavailableError

_log = logging.getLogger("engramia.audit.rows")


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is kept, and how long is waited, in seconds."""

    waiting: int = 1_000
    """Entries that wait to be written; more are only counted."""
    per_window: int = 60
    """Entries of one tenant that get rows of their own; the rest of the window shares a few."""
    window: float = 60.0
    batch: int = 100
    """Rows in one transaction."""
    retry: float = 1.0
    """Between two attempts while the database is away."""


@dataclass(slots=True)
class _Window:
    """What came for one tenant since it began."""

    ends: float
    kept: int = 0
    more: Counter[tuple[str, AuditOutcome]] = field(default_factory=Counter)


class LateRows:
    """Keeps entries soon, in order. Thread-safe; its thread starts with the first entry."""

    def __init__(
        self,
        keep: Callable[[Sequence[AuditEntry]], Sequence[AuditStamp]],
        clock: Clock,
        on_kept: Callable[[AuditEntry, AuditStamp], None],
        bounds: Bounds | None = None,
    ) -> None:
        """Write by `keep`, which takes entries of one tenant; `on_kept` is told the last of each batch."""
        self._keep = keep
        self._clock = clock
        self._on_kept = on_kept
        self._bounds = bounds or Bounds()
        self._waiting = deque[AuditEntry]()
        self._windows = dict[str, _Window]()
        self._in_hand = 0
        """Taken from those that wait, and neither written nor dropped yet."""
        self._dropped = 0
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None
        self._ends: float | None = None
        """When to give up, once closed."""

    def offer(self, entry: AuditEntry) -> None:
        """Keep an entry soon, or count it; never waits for the database."""
        with self._wake:
            if self._ends is not None:
                return  # the process is ending; the line in the log is there
            window = self._window_of(entry.tenant_id)
            if window.kept >= self._bounds.per_window:
                window.more[entry.event, entry.outcome] += 1
            else:
                window.kept += 1
                self._queue(entry)
            self._start()
            self._wake.notify()

    def close(self, seconds: float) -> None:
        """Write what waits, counts included, for at most so long; take nothing more."""
        with self._wake:
            self._ends = time.monotonic() + seconds
            self._settle(at_end=True)
            thread = self._thread
            self._wake.notify()
        if thread is not None:
            thread.join(seconds)
        with self._wake:
            lost = len(self._waiting) + self._in_hand + self._dropped
        if lost:
            _log.error("%d entries of the audit trail have no row: the database did not take them.", lost)

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._main, name="engramia-audit", daemon=True)
            self._thread.start()

    def _window_of(self, tenant: str) -> _Window:
        self._settle()
        return self._windows.setdefault(tenant, _Window(time.monotonic() + self._bounds.window))

    def _settle(self, *, at_end: bool = False) -> None:
        """Queue one row for each kind of entry that was only counted, of windows that are over."""
        now = time.monotonic()
        over = [tenant for tenant, window in self._windows.items() if at_end or window.ends <= now]
        for tenant in over:
            for (event, outcome), count in self._windows.pop(tenant).more.items():
                self._queue(self._counted(tenant, event, outcome, count))

    def _counted(self, tenant: str, event: str, outcome: AuditOutcome, count: int) -> AuditEntry:
        facts = {"more": count, "within_seconds": self._bounds.window}
        return AuditEntry(
            event=event, outcome=outcome, actor=None, at=self._clock.now(), tenant_id=tenant, facts=facts
        )

    def _queue(self, entry: AuditEntry) -> None:
        if len(self._waiting) < self._bounds.waiting:
            self._waiting.append(entry)
        else:
            self._dropped += 1

    def _main(self) -> None:
        while (batch := self._next()) is not None:
            for _, group in groupby(sorted(batch, key=_tenant), _tenant):
                self._write(list(group))

    def _next(self) -> list[AuditEntry] | None:
        """Return entries to write, None once closed and empty."""
        with self._wake:
            while not self._waiting:
                self._settle()
                if self._waiting:
                    break
                if self._ends is not None:
                    return None
                self._wake.wait(self._until_next_window())
            self._in_hand = min(self._bounds.batch, len(self._waiting))
            return [self._waiting.popleft() for _ in range(self._in_hand)]

    def _until_next_window(self) -> float | None:
        ends = [window.ends for window in self._windows.values()]
        return max(0.0, min(ends) - time.monotonic()) if ends else None

    def _write(self, entries: list[AuditEntry]) -> None:
        """Write entries of one tenant, again and again while the database is away."""
        while True:
            try:
                stamps = self._keep(entries)
            except StorageUnavailableError:
                if not self._may_retry():
                    self._drop(len(entries))
                    return
            except EngramiaError as error:
                _log.error("%d entries of the audit trail could not be written: %s", len(entries), error)
                self._drop(len(entries))
                return
            else:
                self._on_kept(entries[-1], stamps[-1])
                self._tell_dropped(len(entries))
                return

    def _may_retry(self) -> bool:
        """Wait a little; return whether there is time for another attempt."""
        with self._wake:
            if self._ends is None:
                self._wake.wait_for(lambda: self._ends is not None, self._bounds.retry)
                return True
            remaining = self._ends - time.monotonic()
        time.sleep(max(0.0, min(remaining, self._bounds.retry)))
        return remaining > 0

    def _drop(self, count: int) -> None:
        with self._wake:
            self._in_hand -= count
            self._dropped += count

    def _tell_dropped(self, written: int) -> None:
        """Queue the row that says how many have none, now that the database has taken rows."""
        with self._wake:
            self._in_hand -= written
            if self._dropped and len(self._waiting) < self._bounds.waiting:
                facts = {"count": self._dropped}
                self._dropped = 0
                self._waiting.append(
                    AuditEntry(
                        event="audit.dropped", outcome="failed", actor=None, at=self._clock.now(), facts=facts
                    )
                )


def _tenant(entry: AuditEntry) -> str:
    return entry.tenant_id
