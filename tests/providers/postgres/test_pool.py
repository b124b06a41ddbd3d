"""Connections that nobody gives back."""

import gc
import warnings

import psycopg

from engramia.db.session import Database, Limits


def connections(url: str) -> int:
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE application_name = 'engramia' AND datname = current_database()"
        ).fetchone()
    assert found is not None
    return int(found[0])


def test_one_in_use_when_the_pool_is_disposed_of_is_closed_in_the_end(postgres_url: str) -> None:
    database = Database(postgres_url, Limits())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with database.transaction("BEGIN") as (_, row):
            del row
            database.dispose()
            assert connections(postgres_url) == 1
        del database, _
        gc.collect()
    assert connections(postgres_url) == 0
