"""Blocks that only count, which are one message: nothing counts twice, in part, or past another writer."""

import multiprocessing
import shutil
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from engramia.core import limits
from engramia.core.model import ActivityCounts, Event, EventKind, ReuseTier, Scope
from engramia.db import schema
from engramia.db.private_server import PrivateServer
from engramia.db.session import Limits
from engramia.errors import StorageError, StorageUnavailableError
from engramia.providers.postgres.event_rows import SWEEP_EVERY
from engramia.providers.postgres.storage import PostgresStorage
from tests.architecture.single_tenant import read_log
from tests.contract.samples import NOW, dense, key, record, search, unit
from tests.postgres import QUICK

pytestmark = pytest.mark.slow  # a database server

SCOPE, OTHER = Scope(), Scope("other", "scope")
_WATCHED = """
    CREATE TABLE watched (synchronous text, locks bigint);
    GRANT ALL ON watched TO PUBLIC;
    CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO watched SELECT current_setting('synchronous_commit'), count(*)
        FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid();
        RETURN NULL;
    END $$;
    CREATE TRIGGER watch AFTER INSERT ON events EXECUTE FUNCTION watch();
"""
_NOT_WATCHED = "DROP TRIGGER watch ON events; DROP FUNCTION watch; DROP TABLE watched"


@pytest.fixture
def storage(postgres_url: str) -> Iterator[PostgresStorage]:
    opened = PostgresStorage(database_url=postgres_url)
    yield opened
    opened.close()


def recalled(second: int, tier: ReuseTier = ReuseTier.FRESH) -> Event:
    return Event(EventKind.RECALL, NOW + timedelta(seconds=second), similarity=0.5, reuse_tier=tier)


def learned(second: int, score: float) -> Event:
    return Event(EventKind.LEARN, NOW + timedelta(seconds=second), eval_score=score)


def add(storage: PostgresStorage, number: int) -> None:
    with storage.scoped(SCOPE).writing() as stores:
        stores.patterns.add(record(number), None)


def count(
    storage: PostgresStorage, *happened: Event, reused: tuple[str, ...] = (), in_: Scope = SCOPE
) -> None:
    """Do what a recall does when it is answered."""
    with storage.scoped(in_).writing(durable=False) as stores:
        if reused:
            stores.patterns.count_reuse(reused)
        stores.activity.record(*happened)


def counts(storage: PostgresStorage) -> ActivityCounts:
    with storage.scoped(SCOPE).reading() as stores:
        return stores.activity.counts()


def reuse(storage: PostgresStorage, number: int) -> int:
    with storage.scoped(SCOPE).reading() as stores:
        found = stores.patterns.get(key(number))
    assert found is not None
    return found.pattern.reuse_count


def rows(url: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute(statement)
        return found.fetchall() if found.description else []


def test_what_is_counted_is_there_in_order_and_in_its_scope_alone(
    storage: PostgresStorage, postgres_url: str
) -> None:
    add(storage, 1)
    add(storage, 2)
    happened = [recalled(5, ReuseTier.ADAPT), recalled(3), learned(4, 9.0), learned(4, 1.0)]
    count(storage, *happened[:3], reused=(key(1), key(1), key(9)))
    count(storage, reused=(key(1),))
    count(storage, happened[3])
    count(storage)
    count(storage, recalled(1), in_=OTHER)
    assert (reuse(storage, 1), reuse(storage, 2)) == (3, 0)
    assert counts(storage) == ActivityCounts(runs=2, successes=1, recalls=2, reused=1)
    with storage.scoped(SCOPE).reading() as stores:
        shown = stores.activity.events(since=None, kind=None, limit=9).items
    assert shown == (happened[0], happened[3], happened[2], happened[1])
    places = "SELECT tenant_id, place FROM events ORDER BY tenant_id, place"
    assert rows(postgres_url, places) == [
        ("default", 0),
        ("default", 1),
        ("default", 2),
        ("default", 3),
        ("other", 0),
    ]


def test_a_scope_that_was_only_counted_in_can_be_learned_in(storage: PostgresStorage) -> None:
    count(storage, recalled(1))
    with storage.scoped(SCOPE).writing() as stores:
        stores.patterns.add(dense(1), unit(1, 0))
        stores.activity.record(learned(2, 9.0))
    assert counts(storage) == ActivityCounts(runs=1, successes=1, recalls=1, reused=0)
    with storage.scoped(SCOPE).reading() as stores:
        assert [
            hit.pattern.key for hit in stores.patterns.search(search("task number 1", unit(1, 0))).items
        ] == [key(1)]


def test_a_block_that_counts_and_asks_sees_what_it_counted(storage: PostgresStorage) -> None:
    add(storage, 1)
    count(storage, recalled(1))
    with storage.scoped(SCOPE).writing(durable=False) as stores:
        stores.patterns.count_reuse([key(1)])
        stores.activity.record(recalled(2))
        assert stores.activity.counts().recalls == 2
        stores.activity.record(recalled(3))
        assert len(stores.activity.events(since=None, kind=None, limit=9).items) == 3
        found = stores.patterns.get(key(1))
        assert found is not None
        assert found.pattern.reuse_count == 1
        stores.activity.record(recalled(4))
    assert counts(storage).recalls == 4


def test_counting_is_not_durable_and_keeps_other_writers_out(
    storage: PostgresStorage, postgres_url: str
) -> None:
    rows(postgres_url, _WATCHED)
    try:
        count(storage, recalled(1))
        count(storage, recalled(1), reused=(key(1),))
        with storage.scoped(SCOPE).writing() as stores:
            stores.activity.record(recalled(1))
        seen = rows(postgres_url, "SELECT * FROM watched")
    finally:
        rows(postgres_url, _NOT_WATCHED)
    assert seen == [("off", 1), ("off", 1), ("on", 1)]
    assert rows(postgres_url, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [(0,)]


def test_who_counts_waits_for_the_writer_of_the_scope_but_not_without_end(
    storage: PostgresStorage, postgres_url: str
) -> None:
    hasty = PostgresStorage(database_url=postgres_url, limits=Limits(lock_timeout=0.3))
    add(storage, 1)
    waiting = threading.Thread(target=count, args=(storage, recalled(2)), kwargs={"reused": (key(1),)})
    with storage.scoped(SCOPE).writing() as stores:
        stores.activity.record(recalled(1))
        waiting.start()
        with pytest.raises(StorageUnavailableError, match="busy"):
            count(hasty, recalled(3), reused=(key(1),))
        count(hasty, recalled(3), in_=OTHER)
        assert waiting.is_alive()
    waiting.join()
    assert (counts(storage).recalls, reuse(storage, 1)) == (2, 1)
    count(hasty, recalled(3))
    hasty.close()
    assert counts(storage).recalls == 3


def test_what_cannot_all_be_counted_is_not_counted_in_part(
    storage: PostgresStorage, postgres_url: str
) -> None:
    add(storage, 1)
    count(storage, recalled(1), reused=(key(1),))
    taken = "INSERT INTO events SELECT tenant_id, project_id, place + 1, kind, ts FROM events"
    rows(postgres_url, taken)
    with pytest.raises(StorageError):
        count(storage, recalled(2), reused=(key(1),))
    with pytest.raises(StorageError):
        count(storage, recalled(2))
    assert (counts(storage).recalls, reuse(storage, 1)) == (1, 1)
    rows(postgres_url, "DELETE FROM events WHERE place = 1")
    count(storage, recalled(2), reused=(key(1),))
    assert (counts(storage).recalls, reuse(storage, 1)) == (2, 2)


def test_what_the_driver_cannot_send_takes_all_of_its_message_along(storage: PostgresStorage) -> None:
    add(storage, 1)
    database = storage.database
    written = ("CREATE TEMPORARY TABLE half AS SELECT 1", ())
    with pytest.raises(StorageError):
        database.at_once(("SELECT 1", ()), [written, ("SELECT %(what)s", {"what": object()})])
    with database.transaction("BEGIN; SELECT to_regclass('half')") as (_, row):
        assert row == (None,)


def test_events_beyond_the_limits_are_deleted_as_often_as_is_due(
    storage: PostgresStorage, postgres_url: str
) -> None:
    count(storage, recalled(0))
    late = timedelta(days=limits.EVENTS_KEPT_DAYS).total_seconds() + 60
    for _ in range(SWEEP_EVERY - 2):
        count(storage, recalled(int(late)))
    assert rows(postgres_url, "SELECT min(place), count(*) FROM events") == [(0, SWEEP_EVERY - 1)]
    count(storage, recalled(int(late)), recalled(1))
    assert rows(postgres_url, "SELECT min(place), count(*) FROM events") == [(1, SWEEP_EVERY)]
    many = limits.EVENTS_KEPT + 2 * SWEEP_EVERY - limits.EVENTS_KEPT % SWEEP_EVERY - 1
    rows(postgres_url, f"UPDATE scopes SET next_event = {many}")  # noqa: S608 - a number of ours
    count(storage, recalled(int(late)))
    kept = rows(postgres_url, "SELECT min(place), count(*) FROM events")
    assert kept == [(many, 1)]


def _count_much(url: str, thread_count: int, times: int) -> None:
    storage = PostgresStorage(
        database_url=url, limits=Limits(pool_timeout=60, lock_timeout=60, statement_timeout=60)
    )

    def work(thread: int) -> None:
        for turn in range(times):
            count(
                storage,
                recalled(turn, ReuseTier.ADAPT),
                reused=(key(1), key(2)) if thread % 2 else (key(2), key(1)),
            )
            if turn % 5 == thread % 5:
                with storage.scoped(SCOPE).writing() as stores:
                    stores.patterns.count_reuse([key(2)])
                    stores.activity.record(learned(turn, 9.0))

    with ThreadPoolExecutor(thread_count) as pool:
        list(pool.map(work, range(thread_count)))
    storage.close()


@pytest.mark.timeout(180)
def test_sixty_four_threads_of_four_processes_count_exactly(
    storage: PostgresStorage, postgres_url: str
) -> None:
    add(storage, 1)
    add(storage, 2)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(4, mp_context=spawn) as pool:
        for done in [pool.submit(_count_much, postgres_url, 16, 10) for _ in range(4)]:
            done.result()
    recalls, runs = 640, 128
    assert counts(storage) == ActivityCounts(runs, runs, recalls, recalls)
    assert (reuse(storage, 1), reuse(storage, 2)) == (recalls, recalls + runs)
    places = rows(postgres_url, "SELECT count(DISTINCT place), min(place), max(place) FROM events")
    assert places == [(recalls + runs, 0, recalls + runs - 1)]


@pytest.fixture(scope="module")
def server() -> Iterator[PrivateServer]:
    """A server of this file's own, whose log tells every statement, and which is restarted."""
    folder = Path(tempfile.mkdtemp(prefix="engramia-counting-"))
    logged = {**QUICK, "log_statement": "all", "log_line_prefix": "%a|"}
    with PrivateServer(folder, options=logged) as running:
        schema.upgrade(running.create_database("counting"))
        yield running
    shutil.rmtree(folder)


def test_counting_reads_nothing_first(server: PrivateServer) -> None:
    storage = PostgresStorage(database_url=server.url("counting"))
    count(storage, recalled(1))
    server.log.write_text("")
    count(storage, recalled(2))
    count(storage, recalled(3), reused=(key(1),))
    count(storage)
    storage.close()
    sent = [one.sql for one in read_log(server.log, "engramia")]
    begins = [sql.split()[0] for sql in sent]
    assert begins == ["SELECT", "WITH", "BEGIN", "SELECT", "UPDATE", "WITH", "COMMIT"]


def test_connections_that_died_unused_are_passed_over_by_who_only_counts(server: PrivateServer) -> None:
    storage = PostgresStorage(database_url=server.url("counting"))
    elsewhere = PostgresStorage(database_url=server.url("counting"))
    for immediate in (False, True):
        counts(storage)  # its COMMIT is not waited for
        server.stop(immediate=immediate)
        server.start()
        counted = counts(elsewhere).recalls
        count(storage, recalled(1))
        assert counts(elsewhere).recalls == counted + 1
    for opened in (storage, elsewhere):
        opened.close()
