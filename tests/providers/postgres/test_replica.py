"""Reads go to a replica as long as nobody can tell: whatever was acknowledged is seen, whatever happens."""

import itertools
import multiprocessing
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection as Pipe

import psycopg
import pytest
from sqlalchemy import text

from engramia.core.model import Scope
from engramia.core.query import Filter
from engramia.db.session import Limits
from engramia.errors import StorageError, StorageUnavailableError
from engramia.providers.postgres.storage import PostgresStorage
from tests.congruence.test_histories import BothStorages, compare
from tests.contract.samples import MODEL, key, record, search, unit
from tests.replica import Replicated, Server, wait_until

pytestmark = pytest.mark.slow  # two database servers

SHORT = Limits(
    pool_size=8, overflow=8, pool_timeout=1.0, connect_timeout=1, statement_timeout=1.0, lock_timeout=1.0
)
_names = itertools.count()


@pytest.fixture(scope="module")
def servers() -> Iterator[Replicated]:
    with Replicated() as running:
        yield running


@pytest.fixture(scope="module")
def follower(servers: Replicated) -> Server:
    """A replica that each test leaves as it finds it."""
    return servers.replica()


@pytest.fixture
def victim(servers: Replicated) -> Iterator[Server]:
    """A replica that a test may do away with."""
    made = servers.replica()
    yield made
    made.process.stop(immediate=True)


@pytest.fixture
def open_storage(servers: Replicated) -> Iterator[Callable[[Server], PostgresStorage]]:
    """Open a storage with this replica, in use."""
    opened: list[PostgresStorage] = []

    def open_one(replica: Server) -> PostgresStorage:
        opened.append(replicated(servers.primary.url, replica.url))
        return opened[-1]

    yield open_one
    for storage in opened:
        storage.close()


@pytest.fixture
def storage(open_storage: Callable[[Server], PostgresStorage], follower: Server) -> PostgresStorage:
    return open_storage(follower)


@pytest.fixture
def scope() -> Scope:
    return Scope("replicas", f"p{next(_names)}")


def replicated(primary: str, replica: str) -> PostgresStorage:
    storage = PostgresStorage(primary, limits=SHORT, replica_url=replica)
    wait_until_used(storage)
    return storage


def in_use(storage: PostgresStorage) -> bool:
    assert storage.replica is not None
    return storage.replica.state.in_use


def reason(storage: PostgresStorage) -> str:
    assert storage.replica is not None
    return storage.replica.state.reason or ""


def wait_until_used(storage: PostgresStorage) -> None:
    count(storage, Scope("nobody"))  # whoever reads first lets it be looked at
    wait_until(lambda: in_use(storage))


def wait_until_unused(storage: PostgresStorage) -> None:
    count(storage, Scope("nobody"))
    wait_until(lambda: not in_use(storage))


def add(storage: PostgresStorage, scope: Scope, number: int, *, durable: bool = True) -> None:
    with storage.scoped(scope).writing(durable=durable) as stores:
        stores.patterns.add(record(number, f"sort list {number}", embedding_model=MODEL), unit(1, number, 0))


def count(storage: PostgresStorage, scope: Scope) -> int:
    with storage.scoped(scope).reading() as stores:
        return stores.patterns.count()


def recalled(storage: PostgresStorage, scope: Scope) -> set[str]:
    with storage.scoped(scope).reading() as stores:
        page = stores.patterns.search(search("sort list", unit(1, 1, 0), limit=50))
    return {hit.pattern.key for hit in page}


def test_a_recall_is_served_by_the_replica_and_the_primary_tells_its_position_alone(
    storage: PostgresStorage, scope: Scope, servers: Replicated, follower: Server
) -> None:
    add(storage, scope, 1)
    servers.primary.forget_statements()
    follower.forget_statements()
    assert recalled(storage, scope) == {key(1)}
    at_primary, at_replica = servers.primary.statements(), follower.statements()
    assert any("patterns" in statement for statement in at_replica)
    assert not any("patterns" in statement or "BEGIN" in statement for statement in at_primary)
    assert any("pg_current_wal_flush_lsn" in statement for statement in at_primary)


def test_the_replica_shows_nothing_without_a_scope(storage: PostgresStorage, scope: Scope) -> None:
    add(storage, scope, 1)
    assert count(storage, scope) == 1
    assert storage.replica is not None
    with storage.replica.database.transaction("BEGIN READ ONLY") as (connection, _):
        assert connection.execute(text("SELECT current_user")).scalar_one() == "engramia_app"
        assert connection.execute(text("SELECT count(*) FROM patterns")).scalar_one() == 0


def test_a_write_that_is_sent_to_a_replica_is_refused(follower: Server, scope: Scope) -> None:
    wrong = PostgresStorage(follower.url, limits=SHORT)
    with pytest.raises(StorageError, match="replica, which takes no writes"):
        add(wrong, scope, 1)
    wrong.close()


def _learn_on_request(url: str, scope: Scope, pipe: Pipe) -> None:
    storage = PostgresStorage(url)
    while (number := pipe.recv()) is not None:
        add(storage, scope, number)
        pipe.send(number)
    storage.close()


@pytest.fixture
def learn_elsewhere(servers: Replicated, scope: Scope) -> Iterator[Callable[[int], None]]:
    """Add a pattern in another process, and return once it is acknowledged."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_learn_on_request, args=(servers.primary.url, scope, theirs))
    process.start()

    def learn(number: int) -> None:
        ours.send(number)
        assert ours.poll(30)
        assert ours.recv() == number

    yield learn
    ours.send(None)
    process.join(30)
    assert process.exitcode == 0


def test_what_another_process_learned_is_in_the_very_next_recall(
    storage: PostgresStorage, scope: Scope, follower: Server, learn_elsewhere: Callable[[int], None]
) -> None:
    follower.forget_statements()
    for number in range(1, 41):
        learn_elsewhere(number)
        assert recalled(storage, scope) == {key(one) for one in range(1, number + 1)}
    assert in_use(storage)
    assert sum("set_config" in statement for statement in follower.statements()) >= 40


def test_writes_that_are_not_durable_do_not_hold_up_who_reads_from_the_replica(
    storage: PostgresStorage, scope: Scope, follower: Server
) -> None:
    """The log is flushed by whole pages then, and the end of one is in the middle of a record."""
    assert storage.replica is not None
    with storage.scoped(scope).writing() as stores:
        stores.patterns.add(record(1, "sort list", embedding_model=MODEL), unit(1, 1, 0))
    late = 0
    with psycopg.connect(follower.url, autocommit=True) as connection:
        for _ in range(500):
            with storage.scoped(scope).writing(durable=False) as stores:
                stores.patterns.count_reuse([key(1)])
            position = storage.replica.positions.now()
            late += seconds_until_replayed(connection, position.lsn) > 0.1
    assert late <= 2  # of seven or more, if the rest of such a record were waited for


def seconds_until_replayed(connection: psycopg.Connection, lsn: str) -> float:
    begun = time.monotonic()
    replayed = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"
    wait_until(lambda: connection.execute(replayed, [lsn]).fetchone() == (True,))
    return time.monotonic() - begun


def test_while_replay_is_paused_the_primary_serves_and_afterwards_the_replica_again(
    storage: PostgresStorage, scope: Scope, follower: Server, learn_elsewhere: Callable[[int], None]
) -> None:
    follower.ask("SELECT pg_wal_replay_pause()")
    try:
        for number in range(1, 6):
            learn_elsewhere(number)
            assert recalled(storage, scope) == {key(one) for one in range(1, number + 1)}
        assert not in_use(storage)
        assert "behind the primary" in reason(storage)
        assert storage.replica is not None
        assert (storage.replica.look().lag_bytes or 0) > 0
    finally:
        follower.ask("SELECT pg_wal_replay_resume()")
    wait_until_used(storage)
    assert storage.replica.state.lag_bytes == 0
    assert len(recalled(storage, scope)) == 5


def test_nobody_misses_a_write_of_theirs_whatever_the_replay_does(
    open_storage: Callable[[Server], PostgresStorage], follower: Server, scope: Scope
) -> None:
    """Several clients, each through one of two server processes at random, while replay stops and goes."""
    processes = [open_storage(follower) for _ in range(2)]
    stopping = threading.Event()

    def client(number: int) -> int:
        chance, mine = random.Random(number), Scope(scope.tenant_id, f"{scope.project_id}-{number}")  # noqa: S311 - no secret
        wrong = 0
        for step in range(1, 61):
            add(chance.choice(processes), mine, step, durable=True)
            wrong += count(chance.choice(processes), mine) != step
        return wrong

    def disturb() -> None:
        while not stopping.wait(0.1):
            follower.ask("SELECT pg_wal_replay_pause()")
            time.sleep(0.2)
            follower.ask("SELECT pg_wal_replay_resume()")

    disturbing = threading.Thread(target=disturb)
    disturbing.start()
    with ThreadPoolExecutor(4) as pool:
        wrong = sum(pool.map(client, range(4)))
    stopping.set()
    disturbing.join()
    assert wrong == 0
    wait_until_used(processes[0])


def test_a_replica_that_applies_late_by_design_is_never_read(
    servers: Replicated, victim: Server, scope: Scope
) -> None:
    victim.ask("ALTER SYSTEM SET recovery_min_apply_delay = '5min'")
    victim.ask("SELECT pg_reload_conf()")
    storage = PostgresStorage(servers.primary.url, limits=SHORT, replica_url=victim.url)
    for number in range(1, 4):
        add(storage, scope, number)
        assert count(storage, scope) == number
    wait_until(lambda: "behind" in reason(storage))
    assert not in_use(storage)
    storage.close()


def _reads_through(storage: PostgresStorage, scope: Scope, disturb: Callable[[], None]) -> list[float]:
    """Read in four threads around `disturb`; return how many seconds each read took. None may fail."""
    seconds: list[float] = []
    stopping = threading.Event()

    def reads() -> None:
        while not stopping.is_set():
            begun = time.monotonic()
            assert recalled(storage, scope) == {key(1), key(2)}
            seconds.append(time.monotonic() - begun)

    with ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(reads) for _ in range(4)]
        try:
            disturb()
        finally:
            stopping.set()
        for reader in readers:
            reader.result()
    return seconds


def _seconds(work: Callable[[], object]) -> float:
    begun = time.monotonic()
    work()
    return time.monotonic() - begun


def test_no_read_fails_when_the_replica_is_killed_and_it_is_used_again_once_it_is_back(
    open_storage: Callable[[Server], PostgresStorage], victim: Server, scope: Scope
) -> None:
    storage = open_storage(victim)
    add(storage, scope, 1)
    add(storage, scope, 2)

    def kill_and_restart() -> None:
        for _ in range(3):
            wait_until(lambda: in_use(storage))
            victim.process.stop(immediate=True)
            wait_until(lambda: not in_use(storage))
            victim.process.start()
        wait_until(lambda: in_use(storage))

    seconds = _reads_through(storage, scope, kill_and_restart)
    assert max(seconds) < 3


def test_no_read_fails_when_the_replica_freezes(
    open_storage: Callable[[Server], PostgresStorage], victim: Server, scope: Scope
) -> None:
    storage = open_storage(victim)
    add(storage, scope, 1)
    add(storage, scope, 2)

    def freeze() -> None:
        with victim.frozen():
            wait_until(lambda: not in_use(storage))
            frozen = time.monotonic()
            wait_until(lambda: time.monotonic() > frozen + 1.5)  # the looks at it hang as well
            assert min(_seconds(lambda: recalled(storage, scope)) for _ in range(3)) < 0.5
        wait_until(lambda: in_use(storage))

    seconds = _reads_through(storage, scope, freeze)
    assert max(seconds) < 5


def test_a_replica_that_was_promoted_is_not_read(
    open_storage: Callable[[Server], PostgresStorage], victim: Server, scope: Scope
) -> None:
    storage = open_storage(victim)
    add(storage, scope, 1)
    assert count(storage, scope) == 1
    assert victim.ask("SELECT pg_promote()")
    apart = PostgresStorage(victim.url, limits=SHORT)
    add(apart, scope, 2)  # what is written there is nothing to the primary
    apart.close()
    assert recalled(storage, scope) == {key(1)}
    wait_until_unused(storage)
    assert "no replica" in reason(storage)


def test_a_replica_that_stayed_behind_on_the_old_timeline_is_not_read(
    servers: Replicated, follower: Server, victim: Server, scope: Scope
) -> None:
    """After a failover the new primary is another server, and what this replica has need not be there."""
    assert victim.ask("SELECT pg_promote()")
    storage = PostgresStorage(victim.url, limits=SHORT, replica_url=follower.url)
    before = PostgresStorage(servers.primary.url, limits=SHORT)
    for number in range(20):
        add(before, scope, number)  # the old primary goes on for a while: its log is longer
    assert count(storage, scope) == 0
    wait_until(lambda: "timeline" in reason(storage))
    assert not in_use(storage)
    storage.close()
    before.close()


def test_a_replica_of_another_server_is_not_read(postgres_url: str, follower: Server, scope: Scope) -> None:
    storage = PostgresStorage(postgres_url, limits=SHORT, replica_url=follower.url)
    add(storage, scope, 1)
    assert count(storage, scope) == 1
    wait_until(lambda: "another server" in reason(storage))
    storage.close()


def test_without_the_primary_nobody_knows_what_there_is_so_reads_are_refused(
    scope: Scope,
) -> None:
    with Replicated() as servers:
        replica = servers.replica()
        storage = replicated(servers.primary.url, replica.url)
        add(storage, scope, 1)
        assert count(storage, scope) == 1
        servers.primary.process.stop(immediate=True)
        with pytest.raises(StorageUnavailableError):
            count(storage, scope)
        servers.primary.process.start()
        assert count(storage, scope) == 1
        wait_until_used(storage)
        storage.close()


def test_while_the_primary_is_silent_all_who_wait_are_refused_in_time(scope: Scope) -> None:
    with Replicated() as servers:
        storage = replicated(servers.primary.url, servers.replica().url)
        add(storage, scope, 1)

        def refused(_number: int) -> float:
            begun = time.monotonic()
            with pytest.raises(StorageUnavailableError):
                count(storage, scope)
            return time.monotonic() - begun

        with servers.primary.frozen(), ThreadPoolExecutor(24) as pool:
            assert max(pool.map(refused, range(24))) < 4
        wait_until(lambda: count(storage, scope) == 1)
        storage.close()


def test_who_waits_at_the_same_time_shares_one_question(storage: PostgresStorage, scope: Scope) -> None:
    add(storage, scope, 1)
    assert storage.replica is not None
    before, reads = storage.replica.positions.asked, 400
    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(lambda _: count(storage, scope), range(reads))) == {1}
    asked = storage.replica.positions.asked - before
    assert 0 < asked < reads * 0.8


def end_backends(server: Server) -> None:
    """End every connection of the application to a server, as a conflict with the replay may."""
    server.ask(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE application_name = 'engramia' AND pid <> pg_backend_pid()"
    )


def test_a_block_that_loses_the_replica_goes_on_at_the_primary(
    storage: PostgresStorage, scope: Scope, follower: Server
) -> None:
    add(storage, scope, 1)
    with storage.scoped(scope).reading() as stores:
        assert stores.patterns.get(key(1)) is not None
        end_backends(follower)
        assert [hit.pattern.key for hit in stores.patterns.search(search("sort list", unit(1, 1, 0)))] == [
            key(1)
        ]
        assert stores.patterns.list(Filter(), limit=5, offset=0).items[0].key == key(1)
    assert not in_use(storage)
    wait_until_used(storage)


def test_a_block_that_has_read_what_is_changed_by_now_does_not_go_on(
    storage: PostgresStorage, scope: Scope, follower: Server
) -> None:
    """It would mix two states; whoever asked asks again."""
    add(storage, scope, 1)
    other = Scope(scope.tenant_id, f"{scope.project_id}-other")
    with storage.scoped(scope).reading() as stores:
        assert stores.patterns.get(key(1)) is not None
        writer = threading.Thread(target=add, args=(storage, scope, 2))
        writer.start()
        writer.join()
        end_backends(follower)
        with pytest.raises(StorageUnavailableError):
            stores.patterns.list(Filter(), limit=5, offset=0)
    assert count(storage, other) == 0
    assert count(storage, scope) == 2


def test_a_read_that_only_the_end_of_fails_is_answered(
    storage: PostgresStorage, scope: Scope, follower: Server
) -> None:
    add(storage, scope, 1)
    with storage.scoped(scope).reading() as stores:
        assert stores.patterns.count() == 1
        end_backends(follower)
    assert count(storage, scope) == 1, "whoever has the lost connection next notices, and takes another"
    wait_until_used(storage)


def test_an_export_is_read_from_the_primary_while_the_replica_serves_its_block(
    storage: PostgresStorage, scope: Scope, servers: Replicated, follower: Server
) -> None:
    for number in range(3):
        add(storage, scope, number)
    assert in_use(storage)
    follower.forget_statements()
    servers.primary.forget_statements()
    with storage.scoped(scope).reading() as stores:
        records = stores.patterns.records(Filter())
    assert [one.pattern.key for one in records] == [key(number) for number in range(3)]
    assert any("pattern_versions" in statement for statement in servers.primary.statements())
    assert any("set_config" in statement for statement in follower.statements())


def test_a_statement_that_the_replay_is_in_the_way_of_is_no_error(
    servers: Replicated, open_storage: Callable[[Server], PostgresStorage], victim: Server, scope: Scope
) -> None:
    """A lock that the primary takes is replayed, and ends what reads the table on the replica."""
    victim.ask("ALTER SYSTEM SET max_standby_streaming_delay = 0")
    victim.ask("SELECT pg_reload_conf()")
    storage = open_storage(victim)
    add(storage, scope, 1)
    with storage.scoped(scope).reading() as stores:
        assert stores.patterns.get(key(1)) is not None
        with psycopg.connect(servers.primary.url, autocommit=True) as owner:
            owner.execute(
                "ALTER TABLE patterns SET (fillfactor = 90); ALTER TABLE patterns RESET (fillfactor)"
            )
            owner.execute("BEGIN; LOCK TABLE pattern_texts IN ACCESS EXCLUSIVE MODE; COMMIT")
            position = owner.execute("SELECT pg_current_wal_flush_lsn()::text").fetchone()
        assert position is not None
        wait_until(lambda: bool(victim.ask(f"SELECT pg_last_wal_replay_lsn() >= '{position[0]}'")))
        assert stores.patterns.get(key(1)) is not None


class ReplicatedStorages(BothStorages):
    """The histories of the congruence suite, every question of which a replica may answer."""

    replica_url: str

    def open_postgres(self) -> PostgresStorage:
        return replicated(self.url, self.replica_url)


@pytest.mark.soak
def test_random_histories_are_told_the_same_through_a_replica(servers: Replicated, follower: Server) -> None:
    ReplicatedStorages.replica_url = follower.url
    follower.forget_statements()
    compare(servers.primary.url, examples=6, steps=10, machine=ReplicatedStorages)
    assert sum("set_config" in statement for statement in follower.statements()) > 60


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_many_random_histories_are_told_the_same_through_a_replica(
    servers: Replicated, follower: Server
) -> None:
    ReplicatedStorages.replica_url = follower.url
    compare(servers.primary.url, examples=60, steps=25, machine=ReplicatedStorages)
