"""Jobs in Postgres: found without reading other scopes, announced, taken up beside a writer, never twice."""

import queue
import random
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from engramia.core.jobs import Job, JobStatus
from engramia.core.model import Scope
from engramia.core.ports import JobStore
from engramia.db.base import APP_ROLE
from engramia.db.private_server import PrivateServer
from engramia.db.schema import upgrade
from engramia.db.scoped import directory_settings
from engramia.db.session import Limits
from engramia.errors import StorageUnavailableError
from engramia.providers.postgres.storage import PostgresStorage
from tests.contract.job_samples import ERROR, at, job, name
from tests.contract.samples import record
from tests.postgres import back_to

pytestmark = pytest.mark.slow  # a database server

SOON = 10.0
"""How many seconds a test waits for what must come."""
OURS, OTHER = Scope("acme", "a"), Scope("zeta", "b")


class StopError(Exception):
    """What a test raises to leave a transaction."""


@pytest.fixture
def storage(postgres_url: str) -> Iterator[PostgresStorage]:
    opened = PostgresStorage(postgres_url)
    yield opened
    opened.close()


def add(storage: PostgresStorage, *jobs: Job, scope: Scope = OURS) -> None:
    with storage.scoped(scope).writing() as stores:
        for one in jobs:
            stores.jobs.add(one)


def take(jobs: JobStore, now: float = 1000, lease: float = 30) -> Job | None:
    return jobs.claim(worker="w", now=at(now), lease_until=at(now + lease))


def claim(storage: PostgresStorage, now: float = 1000, lease: float = 30, scope: Scope = OURS) -> Job | None:
    with storage.jobs(scope) as jobs:
        return take(jobs, now, lease)


def get(storage: PostgresStorage, number: int) -> Job | None:
    with storage.scoped(OURS).reading() as stores:
        return stores.jobs.get(name(number))


def test_the_scope_that_waits_longest_comes_first_with_its_moment(storage: PostgresStorage) -> None:
    add(storage, job(1, run_at=at(70)), job(2, run_at=at(60)), scope=OURS)
    add(storage, job(1, run_at=at(50)), scope=OTHER)
    assert list(storage.scopes_with_jobs().items()) == [(OTHER, at(50)), (OURS, at(60))]
    add(storage, job(3, run_at=at(40)), scope=OURS)
    assert list(storage.scopes_with_jobs().items()) == [(OURS, at(40)), (OTHER, at(50))]


def test_a_claim_that_finds_nothing_notes_when_it_is_worth_looking_again(storage: PostgresStorage) -> None:
    add(storage, job(1), job(2, run_at=at(5000)))
    assert claim(storage, 1000, lease=30)
    assert claim(storage) is None
    assert storage.scopes_with_jobs() == {OURS: at(1030)}


@pytest.mark.parametrize("step", ["retry", "release"])
def test_a_job_that_waits_again_is_found_at_its_time(storage: PostgresStorage, step: str) -> None:
    add(storage, job(1, run_at=at(1000)))
    mine = claim(storage, 1000, lease=9000)
    assert mine
    assert claim(storage) is None
    with storage.jobs(OURS) as jobs:
        if step == "retry":
            assert jobs.retry(mine.id, mine.fence, ERROR, at(1700))
        else:
            assert jobs.release(mine.id, mine.fence)
    assert storage.scopes_with_jobs() == {OURS: at(1700 if step == "retry" else 1000)}


def test_a_job_being_added_while_nothing_is_found_is_not_lost(storage: PostgresStorage) -> None:
    add(storage, job(1, run_at=at(10)))
    assert claim(storage)
    with storage.scoped(OURS).writing() as stores:
        stores.jobs.add(job(2, run_at=at(20)))
        assert in_a_thread(lambda: claim(storage)) is None
    assert storage.scopes_with_jobs() == {OURS: at(10)}
    assert claim(storage, 1001) is not None


def test_a_moment_noted_while_a_job_comes_is_moved_back(storage: PostgresStorage) -> None:
    """The one who adds waits for who notes, and has the last word."""
    add(storage, job(1))
    mine = claim(storage)
    assert mine
    added = threading.Thread(target=add, args=(storage, job(2, run_at=at(20))))
    with storage.jobs(OURS) as jobs:
        assert jobs.complete(mine.id, mine.fence, {}, at(1001))
        assert take(jobs) is None
        added.start()
        added.join(0.1)
        assert added.is_alive()
    added.join(SOON)
    assert storage.scopes_with_jobs() == {OURS: at(20)}


def in_a_thread[T](work: Callable[[], T]) -> T:
    """A thread has one block of a scope at a time."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(work).result(SOON)


def test_scopes_without_jobs_are_not_read(storage: PostgresStorage, postgres_url: str) -> None:
    add(storage, job(1), scope=OURS)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO scopes (tenant_id, project_id) SELECT 't' || n, 'p' FROM generate_series(1, 3000) n"
        )
        connection.execute("ANALYZE scopes")
        connection.execute("BEGIN")
        connection.execute(f"SET ROLE {APP_ROLE}")
        connection.execute(directory_settings())
        plan = connection.execute(
            "EXPLAIN SELECT tenant_id, project_id FROM scopes WHERE jobs_due IS NOT NULL ORDER BY jobs_due"
        ).fetchall()
    assert "scopes_with_jobs" in str(plan), plan
    assert list(storage.scopes_with_jobs()) == [OURS]


def test_jobs_move_on_beside_a_writer_of_their_scope(storage: PostgresStorage) -> None:
    add(storage, job(1), job(2), job(3))
    with storage.scoped(OURS).writing() as stores:
        stores.patterns.add(record(1), None)
        stores.patterns.count()
        mine = in_a_thread(lambda: claim(storage))
        assert mine
        assert in_a_thread(lambda: moved_on(storage, mine))


def test_what_a_job_was_asked_for_is_not_written_again_as_it_moves_on(
    storage: PostgresStorage, postgres_url: str
) -> None:
    """It may be long; Postgres keeps it apart from the row, under a number of its own for each writing."""
    text = random.Random(1).randbytes(50_000).hex()  # noqa: S311 - what cannot be made short, no secret
    add(storage, job(1, request={"records": [text]}))
    before = place_of_request(postgres_url)
    mine = claim(storage, 1000, lease=30)
    assert mine
    with storage.scoped(OURS).writing() as stores:
        assert stores.jobs.extend(mine.id, mine.fence, at(1100))
        assert stores.jobs.advance(mine.id, mine.fence, {"done": 1}, at(1100))
        assert stores.jobs.retry(mine.id, mine.fence, ERROR, at(1100))
    assert place_of_request(postgres_url) == before
    again = claim(storage, 1200)
    assert again
    assert again.request == {"records": [text]}


def place_of_request(postgres_url: str) -> int:
    with psycopg.connect(postgres_url) as connection:
        row = connection.execute("SELECT pg_column_toast_chunk_id(request) FROM jobs").fetchone()
    assert row is not None
    assert row[0] is not None, "it is kept apart"
    return int(row[0])


def moved_on(storage: PostgresStorage, mine: Job) -> bool:
    with storage.jobs(OURS) as jobs:
        return jobs.extend(mine.id, mine.fence, at(2000)) and jobs.fail(mine.id, mine.fence, ERROR, at(1001))


def test_who_holds_a_job_in_a_transaction_keeps_it_past_its_lease(storage: PostgresStorage) -> None:
    add(storage, job(1))
    mine = claim(storage, 1000, lease=1)
    assert mine
    with storage.scoped(OURS).writing() as stores:
        assert stores.jobs.holds(mine.id, mine.fence)
        assert in_a_thread(lambda: claim(storage, 5000)) is None
        assert stores.jobs.complete(mine.id, mine.fence, {}, at(5001))
    done = get(storage, 1)
    assert done
    assert (done.status, done.attempts) == (JobStatus.COMPLETED, 1)


def test_two_at_once_take_two_jobs(storage: PostgresStorage) -> None:
    add(storage, job(1), job(2))
    with storage.jobs(OURS) as jobs:
        first = take(jobs)
        second = in_a_thread(lambda: claim(storage))
        third = in_a_thread(lambda: claim(storage))
    assert first
    assert second
    assert {first.id, second.id} == {name(1), name(2)}
    assert third is None


def test_a_transaction_over_jobs_is_kept_whole_or_not_at_all(storage: PostgresStorage) -> None:
    add(storage, job(1), job(2))
    with pytest.raises(StopError):
        take_both_and_stop(storage)
    assert get(storage, 1) == job(1)
    assert get(storage, 2) == job(2)


def take_both_and_stop(storage: PostgresStorage) -> None:
    with storage.jobs(OURS) as jobs:
        assert take(jobs)
        assert take(jobs)
        raise StopError


@contextmanager
def announced(storage: PostgresStorage) -> Iterator[queue.SimpleQueue[float]]:
    """Collect when jobs were told of, after the first call, which says that somebody listens."""
    told: queue.SimpleQueue[float] = queue.SimpleQueue()
    subscription = storage.announce_jobs(lambda: told.put(time.monotonic()))
    try:
        told.get(timeout=SOON)
        yield told
    finally:
        subscription.close()


def test_a_job_is_told_of_when_its_transaction_ends(storage: PostgresStorage, postgres_url: str) -> None:
    other = PostgresStorage(postgres_url)
    with announced(other) as told:
        with storage.scoped(OURS).writing() as stores:
            stores.jobs.add(job(1))
            stores.jobs.get(name(1))
            with pytest.raises(queue.Empty):
                told.get(timeout=0.1)
        told.get(timeout=SOON)
        mine = claim(storage)
        assert mine
        with storage.jobs(OURS) as jobs:
            assert jobs.release(mine.id, mine.fence)
        told.get(timeout=SOON)
    other.close()


def add_and_stop(storage: PostgresStorage) -> None:
    with storage.scoped(OURS).writing() as stores:
        stores.jobs.add(job(1))
        stores.jobs.get(name(1))
        raise StopError


def test_a_job_that_is_not_kept_is_not_told_of(storage: PostgresStorage) -> None:
    with announced(storage) as told:
        with pytest.raises(StopError):
            add_and_stop(storage)
        with pytest.raises(queue.Empty):
            told.get(timeout=0.1)


def test_nothing_is_told_after_the_end(storage: PostgresStorage) -> None:
    with announced(storage) as told:
        pass
    add(storage, job(1))
    with pytest.raises(queue.Empty):
        told.get(timeout=0.1)


_LISTENERS = "FROM pg_stat_activity WHERE query = 'LISTEN engramia_jobs'"


def test_a_listener_whose_connection_is_cut_listens_again(
    storage: PostgresStorage, postgres_url: str
) -> None:
    with announced(storage) as told, psycopg.connect(postgres_url, autocommit=True) as connection:
        cut = connection.execute(f"SELECT pg_terminate_backend(pid) {_LISTENERS}").fetchall()
        assert cut == [(True,)]
        told.get(timeout=SOON)  # there may have been jobs meanwhile
        add(storage, job(1))
        told.get(timeout=SOON)


def test_a_closed_listener_leaves_no_connection(storage: PostgresStorage, postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        with announced(storage):
            assert connection.execute(f"SELECT count(*) {_LISTENERS}").fetchone() == (1,)
        deadline = time.monotonic() + SOON
        while connection.execute(f"SELECT count(*) {_LISTENERS}").fetchone() != (0,):
            assert time.monotonic() < deadline


def add_and_be_silent(storage: PostgresStorage, until_done: Callable[[], None]) -> None:
    with storage.scoped(OURS).writing() as stores:
        stores.jobs.add(job(1))
        stores.jobs.get(name(1))
        in_a_thread(until_done)


def test_a_writer_that_says_nothing_holds_up_its_scope_no_longer(postgres_url: str) -> None:
    storage = PostgresStorage(postgres_url, limits=Limits(idle_timeout=0.2))
    with pytest.raises(StorageUnavailableError):
        add_and_be_silent(storage, lambda: add(storage, job(2)))
    assert get(storage, 1) is None
    assert get(storage, 2) == job(2)
    storage.close()


def test_a_fence_is_not_forgotten_when_the_server_crashes() -> None:
    folder = Path(tempfile.mkdtemp(prefix="engramia-jobs-"))
    server = PrivateServer(folder, options={"shared_buffers": "32MB", "wal_writer_delay": "10s"}).start()
    try:
        url = server.create_database("jobs")
        upgrade(url)
        storage = PostgresStorage(url)
        add(storage, job(1))
        mine = claim(storage)
        assert mine
        server.stop(immediate=True)
        server.start()
        found = get(storage, 1)
        storage.close()
    finally:
        server.stop(immediate=True)
        shutil.rmtree(folder)
    assert found == mine


@pytest.fixture
def plain_owners_url(postgres_server: PrivateServer) -> Iterator[str]:
    """A database whose owner is no superuser, with the newest schema."""
    url = postgres_server.create_database("engramia_jobs")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION vector")
        connection.execute("CREATE ROLE plain_owner LOGIN CREATEROLE")
        connection.execute("ALTER DATABASE engramia_jobs OWNER TO plain_owner")
        connection.execute("GRANT ALL ON SCHEMA public TO plain_owner")
        connection.execute(f"GRANT {APP_ROLE} TO plain_owner WITH ADMIN OPTION")
    owners = url.replace("postgres@", "plain_owner@")
    upgrade(owners)
    yield owners
    with psycopg.connect(postgres_server.url(), autocommit=True) as connection:
        connection.execute("DROP DATABASE engramia_jobs WITH (FORCE)")
        connection.execute("DROP ROLE plain_owner")


@pytest.mark.usefixtures("migrated_url")  # which made the application's role
def test_jobs_of_an_older_schema_are_found_after_the_upgrade(plain_owners_url: str) -> None:
    storage = PostgresStorage(plain_owners_url)
    add(storage, job(1, run_at=at(60)), job(2, run_at=at(50)))
    add(storage, job(1, run_at=at(70)), scope=OTHER)
    back_to(plain_owners_url, "0004")
    upgrade(plain_owners_url)
    assert list(storage.scopes_with_jobs().items()) == [(OURS, at(50)), (OTHER, at(70))]
    storage.close()
