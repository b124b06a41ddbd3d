"""Making the indexes over vectors: by the owner, anew if one is half done, and a word to whoever may not."""

import logging
from collections.abc import Iterator

import psycopg
import pytest

from engramia.core.model import Scope
from engramia.db import schema, vector_index
from engramia.errors import StorageError
from engramia.providers.postgres.storage import PostgresStorage
from tests.contract.samples import at_cosine, dense
from tests.postgres import back_to

pytestmark = pytest.mark.slow  # a database server


@pytest.fixture
def url(postgres_url: str) -> Iterator[str]:
    """A database with some vectors of three dimensions and no index over them."""
    storage = PostgresStorage(database_url=postgres_url)
    with storage.scoped(Scope()).writing() as stores:
        for number in range(5):
            stores.patterns.add(dense(number), at_cosine(number / 10))
    storage.close()
    yield postgres_url
    run(postgres_url, "DROP INDEX IF EXISTS pattern_vectors_signs_3")


def run(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


def is_valid(url: str) -> bool:
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('pattern_vectors_signs_3')"
        ).fetchone()
    return found == (True,)


def test_the_indexes_that_large_scopes_need_are_made_once(url: str) -> None:
    assert vector_index.make_wanted_indexes(url) == []
    assert vector_index.make_wanted_indexes(url, beyond=4) == [3]
    assert is_valid(url)
    assert vector_index.make_wanted_indexes(url, beyond=4) == []


def test_an_index_that_was_left_half_done_is_made_anew(url: str) -> None:
    vector_index.make_index(url, 3)
    run(url, "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'pattern_vectors_signs_3'::regclass")
    assert vector_index.make_index(url, 3)
    assert is_valid(url)


def index_names(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT indexname FROM pg_indexes WHERE tablename = 'pattern_vectors' AND indexdef ~ 'hnsw'"
        ).fetchall()
    return [name for (name,) in found]


def test_indexes_of_an_older_release_go_and_those_of_this_one_are_made(url: str) -> None:
    back_to(url, "0007")
    for dimension in (3, 5):
        run(
            url,
            f"CREATE INDEX pattern_vectors_{dimension} ON pattern_vectors "
            f"USING hnsw ((embedding::halfvec({dimension})) halfvec_ip_ops) WHERE dimension = {dimension}",
        )
    schema.upgrade(url)
    assert index_names(url) == []
    assert vector_index.make_wanted_indexes(url, beyond=4) == [3]
    assert index_names(url) == ["pattern_vectors_signs_3"]
    back_to(url, "0007")
    assert index_names(url) == []
    schema.upgrade(url)


def test_two_at_once_do_not_make_it_twice(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(7283519047)")
        assert not vector_index.make_index(url, 3)
    assert not is_valid(url)


@pytest.mark.parametrize("dimension", [0, 16001])
def test_a_dimension_that_has_no_index_is_refused(url: str, dimension: int) -> None:
    with pytest.raises(StorageError, match="no index for vectors"):
        vector_index.make_index(url, dimension)


def test_who_does_not_own_the_tables_is_told_what_to_run(url: str, caplog: pytest.LogCaptureFixture) -> None:
    run(url, "DROP ROLE IF EXISTS plain; CREATE ROLE plain LOGIN IN ROLE engramia_app")
    maker = vector_index.IndexMaker(url.replace("postgres@", "plain@", 1))
    done = list[int]()
    with caplog.at_level(logging.WARNING, "engramia.storage"):
        maker.make(3, done.append)
        maker.wait(30.0)
    assert "engramia db index" in caplog.text
    assert not done
    assert not is_valid(url)
    run(url, "DROP ROLE plain")
