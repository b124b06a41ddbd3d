"""Rows that are written after the answer: bounded, in order, counted where too many, kept at the end."""

import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import pytest

from engramia.core.audit import NOBODY, AuditEntry, AuditStamp
from engramia.errors import StorageError, StorageUnavailableError
from engramia.server.audit.late_rows import Bounds, LateRows
from engramia.testing import FrozenClock

NOW = datetime(2026, 11, 3, 9, 30, tzinfo=UTC)


def refusal(number: int, tenant: str = NOBODY) -> AuditEntry:
    return AuditEntry(
        event="auth.refused",
        outcome="refused",
        actor=None,
        at=NOW,
        tenant_id=tenant,
        facts={"number": number},
    )


class Table:
    """Keeps rows in a list; slow, away or broken where a test wants that."""

    def __init__(self) -> None:
        self.rows = list[AuditEntry]()
        self.batches = list[int]()
        self.open = threading.Event()
        self.open.set()
        self.error: StorageError | None = None
        self.tried = threading.Event()

    def keep(self, entries: Sequence[AuditEntry]) -> Sequence[AuditStamp]:
        self.tried.set()
        assert self.open.wait(20)
        if self.error is not None:
            raise self.error
        assert len({entry.tenant_id for entry in entries}) == 1
        self.rows += entries
        self.batches.append(len(entries))
        return [AuditStamp(len(self.rows), "0" * 64) for _ in entries]


def late(
    table: Table, bounds: Bounds, on_kept: Callable[[AuditEntry, AuditStamp], None] | None = None
) -> LateRows:
    return LateRows(table.keep, FrozenClock(NOW), on_kept or (lambda _entry, _stamp: None), bounds)


def numbers(table: Table) -> list[object]:
    return [entry.facts.get("number") for entry in table.rows]


def test_what_is_offered_is_kept_in_order_by_tenant() -> None:
    table, ends = Table(), list[AuditStamp]()
    table.open.clear()
    rows = late(table, Bounds(), lambda _entry, stamp: ends.append(stamp))
    for number in range(6):
        rows.offer(refusal(number, "acme" if number % 2 else "zeta"))
    table.open.set()
    rows.close(10)
    for tenant, expected in (("acme", [1, 3, 5]), ("zeta", [0, 2, 4])):
        kept = [entry for entry in table.rows if entry.tenant_id == tenant]
        assert [entry.facts["number"] for entry in kept] == expected
    assert len(ends) == len(table.batches)


def test_a_flood_neither_waits_nor_grows_and_is_counted() -> None:
    table = Table()
    table.open.clear()
    rows = late(table, Bounds(waiting=50, per_window=1_000_000))
    rows.offer(refusal(0))
    assert table.tried.wait(10)
    began = time.process_time()
    for number in range(1, 20_001):
        rows.offer(refusal(number))
    assert time.process_time() - began < 5
    table.open.set()
    rows.close(10)
    assert numbers(table)[:51] == list(range(51))
    (dropped,) = [entry for entry in table.rows if entry.event == "audit.dropped"]
    assert (dropped.tenant_id, dropped.outcome, dropped.facts) == (NOBODY, "failed", {"count": 19_950})


def test_of_one_tenant_only_so_many_get_a_row_of_their_own() -> None:
    table = Table()
    rows = late(table, Bounds(per_window=3))
    for number in range(10):
        rows.offer(refusal(number))
    rows.offer(refusal(99, "acme"))
    rows.close(10)
    assert sorted(number for number in numbers(table) if isinstance(number, int)) == [0, 1, 2, 99]
    (counted,) = [entry for entry in table.rows if "more" in entry.facts]
    assert (counted.event, counted.outcome, counted.tenant_id) == ("auth.refused", "refused", NOBODY)
    assert counted.facts["more"] == 7


def test_a_window_that_is_over_is_counted_without_another_entry() -> None:
    kept, table = threading.Event(), Table()
    rows = late(
        table,
        Bounds(per_window=1, window=0.2),
        lambda entry, _stamp: kept.set() if "more" in entry.facts else None,
    )
    rows.offer(refusal(0))
    rows.offer(refusal(1))
    assert kept.wait(10)
    rows.close(10)
    assert [entry.facts.get("more") for entry in table.rows] == [None, 1]


def test_while_the_database_is_away_they_wait_and_then_come() -> None:
    kept, table = threading.Event(), Table()
    table.error = StorageUnavailableError("away")
    rows = late(table, Bounds(retry=0.01), lambda _entry, _stamp: kept.set())
    rows.offer(refusal(1))
    assert table.tried.wait(10)
    rows.offer(refusal(2))
    table.error = None
    assert kept.wait(10)
    rows.close(10)
    assert numbers(table) == [1, 2]


def test_what_the_database_refuses_is_counted_and_the_rest_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    table = Table()
    table.error = StorageError("no")
    rows = late(table, Bounds())
    rows.offer(refusal(1))
    assert table.tried.wait(10)
    ends = time.monotonic() + 10
    while not caplog.records and time.monotonic() < ends:
        time.sleep(0.01)
    table.error = None
    rows.offer(refusal(2))
    rows.close(10)
    assert numbers(table) == [2, None]
    assert table.rows[1].facts == {"count": 1}


def test_the_end_has_a_deadline_and_says_what_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    table = Table()
    table.error = StorageUnavailableError("away")
    rows = late(table, Bounds(retry=0.05))
    for number in range(5):
        rows.offer(refusal(number))
    began = time.monotonic()
    rows.close(0.3)
    assert time.monotonic() - began < 5
    assert [record.getMessage().partition(" ")[0] for record in caplog.records] == ["5"]
    rows.offer(refusal(9))
    assert table.rows == []


def test_without_an_entry_there_is_no_thread() -> None:
    before = threading.active_count()
    rows = late(Table(), Bounds())
    assert threading.active_count() == before
    rows.close(1)
