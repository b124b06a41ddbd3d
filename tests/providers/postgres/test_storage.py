"""What is Postgres' own beyond the contract: snapshots that outlive a block, erasing, words."""

import gc
import threading
from collections.abc import Iterator

import psycopg
import pytest

from engramia.core.model import Scope
from engramia.core.query import Filter
from engramia.db.base import VERSION_TABLE
from engramia.db.driver import driver_of, send
from engramia.providers.postgres.storage import PostgresStorage
from tests.contract.samples import MODEL, dense, feedback, key, record, search, unit

pytestmark = pytest.mark.slow  # a database server

_CONNECTIONS = (
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'engramia' AND state LIKE 'idle in%'"
)


@pytest.fixture
def storage(postgres_url: str) -> Iterator[PostgresStorage]:
    opened = PostgresStorage(database_url=postgres_url)
    yield opened
    opened.close()


def open_transactions(url: str) -> int:
    with psycopg.connect(url) as connection:
        found = connection.execute(_CONNECTIONS).fetchone()
    assert found is not None
    return int(found[0])


def test_records_outlive_their_block_as_of_its_snapshot(storage: PostgresStorage) -> None:
    scope = storage.scoped(Scope())
    with scope.writing() as stores:
        for number in range(600):
            stores.patterns.add(record(number), None)
    with scope.reading() as stores:
        records = stores.patterns.records(Filter())
        first = next(records)
    with scope.writing() as stores:
        stores.patterns.delete([key(number) for number in range(400)])
    assert [first, *records] == [record(number) for number in range(600)]


def test_records_that_nobody_reads_to_the_end_hold_no_transaction(
    storage: PostgresStorage, postgres_url: str
) -> None:
    with storage.scoped(Scope()).writing() as stores:
        stores.patterns.add(record(1), None)
    with storage.scoped(Scope()).reading() as stores:
        records = stores.patterns.records(Filter())
    assert open_transactions(postgres_url) == 1
    del records, stores
    gc.collect()
    assert open_transactions(postgres_url) == 0


def test_erasing_leaves_no_row_in_any_table(storage: PostgresStorage, postgres_url: str) -> None:
    scope = storage.scoped(Scope("acme", "a"))
    with scope.writing() as stores:
        stores.patterns.add(dense(1, skills=("csv",), scores=(3.0,)), unit(1, 0))
        stores.feedback.put(feedback("a", "slow"))
    scope.erase()
    with psycopg.connect(postgres_url) as connection:
        names = connection.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace "
            "AND relname <> %s",
            [VERSION_TABLE],
        ).fetchall()
        for (name,) in names:
            assert connection.execute(f"SELECT count(*) FROM {name}").fetchone() == (0,), name  # noqa: S608 - a table of ours


def test_learners_of_different_scopes_do_not_wait_for_one_another(storage: PostgresStorage) -> None:
    with storage.scoped(Scope("t", "a")).writing() as ours:
        ours.patterns.add(record(1), None)
        done = threading.Event()

        def learn_elsewhere() -> None:
            with storage.scoped(Scope("t", "b")).writing() as stores:
                stores.patterns.add(record(1), None)
            done.set()

        thread = threading.Thread(target=learn_elsewhere)
        thread.start()
        assert done.wait(10)
        thread.join()


def test_a_block_that_has_committed_is_not_committed_again(storage: PostgresStorage) -> None:
    told: list[str | None] = []
    with storage.database.transaction("BEGIN") as (connection, _):
        driver_of(connection).add_notice_handler(lambda notice: told.append(notice.message_primary))
        send(connection, [("COMMIT", ())])
    assert told == []  # "there is no transaction in progress"
    with storage.database.transaction("BEGIN") as (connection, _):
        driver_of(connection).execute("CREATE TEMPORARY TABLE kept ON COMMIT PRESERVE ROWS AS SELECT 1")
        driver = driver_of(connection)
    assert driver.execute("SELECT * FROM kept").fetchall() == [(1,)]


def test_words_are_weighed_by_the_present_counts_also_after_one_without_words_went(
    storage: PostgresStorage,
) -> None:
    scope = storage.scoped(Scope())
    with scope.writing() as stores:
        stores.patterns.add(record(1, "sort a list", code="sorted(x)", embedding_model=MODEL), unit(1, 0))
        stores.patterns.add(record(2, "?!", code="()", embedding_model=MODEL), unit(0, 1))

    def relevance() -> float:
        with scope.reading() as stores:
            return stores.patterns.search(search("sort the words")).items[0].relevance

    before = relevance()
    with scope.writing() as stores:
        stores.patterns.delete([key(2)])
    after = relevance()
    assert after != before
    fresh = PostgresStorage(database_url=storage.database.engine.url.render_as_string(hide_password=False))
    with fresh.scoped(Scope()).reading() as stores:
        assert stores.patterns.search(search("sort the words")).items[0].relevance == after
    fresh.close()


def test_a_password_is_in_no_description(postgres_url: str) -> None:
    storage = PostgresStorage(database_url=postgres_url.replace("postgres@", "postgres:geheim@"))
    assert "geheim" not in str(storage.describe())
    storage.close()
