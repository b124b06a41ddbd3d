"""The ledger over a real Postgres: rows with their act, one chain a tenant, and nobody who can rewrite it."""

import contextlib
import multiprocessing
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from psycopg import errors

from engramia.core.audit import NOBODY, AuditEntry, AuditQuery
from engramia.core.audit_chain import GENESIS, Seal
from engramia.core.model import Scope
from engramia.db.audit import AuditLedger, tenant_settings
from engramia.db.audit_archive import AuditArchive
from engramia.db.base import APP_ROLE
from engramia.db.session import Database, Limits
from engramia.errors import StorageError, ValidationError
from engramia.providers.postgres.storage import PostgresStorage

pytestmark = pytest.mark.slow  # a database server

SECRET = "a long sentence that only the service knows"  # noqa: S105 - made up for these tests
NOW = datetime(2026, 11, 3, 9, 30, 0, 123456, tzinfo=UTC)


class _UndoneError(Exception):
    """Undoes a transaction."""


def entry(number: int = 1, tenant: str = "acme", **fields: Any) -> AuditEntry:
    given: dict[str, Any] = {
        "event": "import.done",
        "outcome": "success",
        "actor": f"key_{number}",
        "at": NOW,
        "tenant_id": tenant,
        "project_id": "red",
        "request_id": f"r{number}",
        "ip": "192.0.2.7",
        "facts": {"number": number, "share": 0.1, "why": "größer", "whole": True, "none": None},
    }
    return AuditEntry(**(given | fields))


@pytest.fixture
def database(postgres_url: str) -> Iterator[Database]:
    opened = Database(postgres_url, Limits())
    yield opened
    opened.dispose()


@pytest.fixture
def ledger() -> AuditLedger:
    return AuditLedger(Seal.of(SECRET))


@pytest.fixture
def archive(database: Database, ledger: AuditLedger) -> AuditArchive:
    return AuditArchive(database, ledger)


def test_a_row_is_kept_with_all_its_columns_and_stands_in_the_chain(archive: AuditArchive) -> None:
    stamps = archive.keep([entry(1), entry(2)])
    second, first = archive.page("acme", AuditQuery(), limit=10, offset=0)
    assert [stamp.seq for stamp in stamps] == [1, 2]
    assert (first.hash, second.hash) == (stamps[0].hash, stamps[1].hash)
    assert (first.previous, second.previous) == (GENESIS, first.hash)
    assert (first.at, first.event, first.outcome, first.actor) == (NOW, "import.done", "success", "key_1")
    assert (first.project_id, first.request_id, first.ip) == ("red", "r1", "192.0.2.7")
    assert first.facts == '{"none":null,"number":1,"share":0.1,"whole":true,"why":"gr\\u00f6\\u00dfer"}'
    report = archive.verify("acme")
    assert (report.fault, report.unkeyed, report.last) == (None, 0, stamps[1])


def test_a_row_lives_and_dies_with_the_transaction_of_its_act(postgres_url: str, ledger: AuditLedger) -> None:
    storage = PostgresStorage(postgres_url, ledger=ledger)
    archive = AuditArchive(storage.database, ledger)
    scope = Scope("acme", "red")
    with contextlib.suppress(_UndoneError), storage.scoped(scope).writing() as stores:
        stores.audit.append(entry(1))
        raise _UndoneError
    assert archive.page("acme", AuditQuery(), limit=10, offset=0).items == ()
    with storage.scoped(scope).writing() as stores:
        stamp = stores.audit.append(entry(2))
    assert stamp is not None
    assert stamp.seq == 1
    assert [row.actor for row in archive.page("acme", AuditQuery(), limit=10, offset=0)] == ["key_2"]
    with storage.scoped(scope).reading() as stores, pytest.raises(StorageError, match="reading"):
        stores.audit.append(entry(3))
    with pytest.raises(StorageError, match="zeta"), storage.scoped(scope).writing() as stores:
        stores.audit.append(entry(4, tenant="zeta"))
    assert archive.verify("acme").last.seq == 1
    storage.close()


def test_each_tenant_has_a_chain_of_its_own_and_so_has_nobody(archive: AuditArchive) -> None:
    for tenant in ("acme", "zeta", NOBODY):
        archive.keep([entry(1, tenant), entry(2, tenant)])
    assert archive.tenants() == [NOBODY, "acme", "zeta"]
    for tenant in archive.tenants():
        rows = archive.page(tenant, AuditQuery(), limit=10, offset=0)
        assert [(row.tenant_id, row.seq) for row in rows] == [(tenant, 2), (tenant, 1)]
        assert archive.verify(tenant).fault is None
    with pytest.raises(ValidationError):
        Scope(NOBODY)


def test_the_transaction_of_one_tenant_takes_no_row_of_another(
    database: Database, ledger: AuditLedger
) -> None:
    with (
        pytest.raises(StorageError, match="not let its user"),
        database.transaction(f"BEGIN; {tenant_settings('acme')}") as (connection, _),
    ):
        ledger.append(connection, entry(1, "zeta"))


def test_facts_are_redacted_and_cut_before_they_are_sealed(archive: AuditArchive) -> None:
    token = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
    archive.keep([entry(1, facts={"path": f"/v1/x/{token}", "long": "y" * 5_000})])
    (row,) = archive.page("acme", AuditQuery(), limit=1, offset=0)
    assert token not in row.facts
    assert len(row.facts) < 700
    assert archive.verify("acme").fault is None


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (AuditQuery(event="key.created"), [2]),
        (AuditQuery(actor="key_3"), [3]),
        (AuditQuery(outcome="failed"), [1]),
        (AuditQuery(since=NOW.replace(hour=11)), [3, 2]),
        (AuditQuery(until=NOW.replace(hour=11)), [1]),
        (AuditQuery(since=NOW.replace(hour=11), until=NOW.replace(hour=12), event="key.created"), [2]),
        (AuditQuery(event="nothing.such"), []),
    ],
)
def test_pages_hold_what_is_asked_for(archive: AuditArchive, query: AuditQuery, found: list[int]) -> None:
    archive.keep(
        [
            entry(1, outcome="failed", at=NOW.replace(hour=10)),
            entry(2, event="key.created", at=NOW.replace(hour=11)),
            entry(3, at=NOW.replace(hour=12)),
        ]
    )
    assert [row.seq for row in archive.page("acme", query, limit=10, offset=0)] == found


def test_pages_say_exactly_whether_there_are_more(archive: AuditArchive) -> None:
    archive.keep([entry(number) for number in range(1, 6)])
    page = archive.page("acme", AuditQuery(), limit=2, offset=1)
    assert ([row.seq for row in page], page.has_more, page.next_offset) == ([4, 3], True, 3)
    page = archive.page("acme", AuditQuery(), limit=2, offset=3)
    assert ([row.seq for row in page], page.has_more, page.next_offset) == ([2, 1], False, None)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_log SET event = 'nothing.happened'",
        "DELETE FROM audit_log",
        "TRUNCATE audit_log",
        "DELETE FROM audit_heads",
        "ALTER TABLE audit_log DISABLE ROW LEVEL SECURITY",
        "UPDATE audit_log SET tenant_id = 'zeta'",
        "INSERT INTO audit_heads VALUES ('zeta', 1, '')",
        "UPDATE audit_heads SET tenant_id = 'zeta'",
    ],
)
def test_the_application_cannot_rewrite_what_was_kept(
    archive: AuditArchive, postgres_url: str, statement: str
) -> None:
    archive.keep([entry()])
    with psycopg.connect(postgres_url) as connection:
        connection.execute(f"SET ROLE {APP_ROLE}")
        connection.execute(tenant_settings("acme"))
        assert connection.execute("SELECT count(*) FROM audit_log").fetchone() == (1,)
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute(statement)
    assert archive.verify("acme").fault is None


def _append_many(url: str, threads: int, each: int) -> None:
    """Append by several threads at once, each row in a transaction of its own, some of them undone."""
    database, ledger = Database(url, Limits(pool_size=threads)), AuditLedger(Seal.of(SECRET))
    together = threading.Barrier(threads)

    def work(thread: int) -> None:
        together.wait(20)
        for number in range(each):
            with (
                contextlib.suppress(_UndoneError),
                database.transaction(f"BEGIN; {tenant_settings('acme')}") as (connection, _),
            ):
                ledger.append(connection, entry(number, actor=f"thread_{thread}"))
                if number % 5 == 4:
                    raise _UndoneError

    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work, thread) for thread in range(threads)]:
            done.result()
    database.dispose()


def test_threads_of_several_processes_make_one_chain_without_gap_or_fork(
    postgres_url: str, archive: AuditArchive
) -> None:
    threads, each, processes = 8, 10, 2
    context = multiprocessing.get_context("spawn")
    workers = [
        context.Process(target=_append_many, args=(postgres_url, threads, each)) for _ in range(processes)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    report = archive.verify("acme")
    assert report.fault is None
    assert report.last.seq == processes * threads * each * 4 // 5
    with psycopg.connect(postgres_url) as connection:
        numbers = connection.execute("SELECT seq FROM audit_log ORDER BY seq").fetchall()
    assert [seq for (seq,) in numbers] == list(range(1, report.last.seq + 1))


def test_a_chain_is_checked_as_it_is_while_others_append(archive: AuditArchive) -> None:
    archive.keep([entry(number) for number in range(1, 1500)])
    seen = list[tuple[int, int]]()

    def on_progress(done: int, total: int) -> None:
        archive.keep([entry(9_000 + done)])
        seen.append((done, total))

    report = archive.verify("acme", on_progress=on_progress)
    assert (report.fault, report.last.seq) == (None, 1499)
    assert seen == [(1000, 1499), (1499, 1499)]
    assert archive.verify("acme").last.seq == 1501
