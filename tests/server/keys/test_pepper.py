"""What keys are hashed under, and what happens when it is another one."""

import psycopg
import pytest

from engramia.db.schema import newest
from engramia.errors import StorageError
from engramia.server.keys import pepper
from engramia.server.keys.service import KeyService
from tests.server.keys.conftest import Serve

pytestmark = pytest.mark.slow  # a database server

ONE, OTHER = "one" * 11, "other" * 7


def first_secret(service: KeyService) -> bytes:
    made = service.bootstrap()
    assert made is not None
    return made.secret.encode()


def test_an_unset_one_is_made_once_and_kept(serve: Serve) -> None:
    secret = first_secret(serve(None))
    for other in (serve(None), serve(None)):
        other.prepare()
        other.check()
        assert other.holder(secret) is not None


def test_another_than_the_keys_were_made_with_is_refused_by_name(serve: Serve) -> None:
    secret = first_secret(serve(ONE))
    serve(ONE).prepare()
    for refused in (serve(OTHER), serve(None)):
        for act in (refused.prepare, refused.check, lambda refused=refused: refused.holder(secret)):
            with pytest.raises(StorageError, match="ENGRAMIA_SECRET_KEY"):
                act()
    with pytest.raises(StorageError, match="is not set"):
        serve(None).prepare()


def test_before_the_first_key_any_will_do(serve: Serve) -> None:
    serve(None).prepare()
    serve(ONE).prepare()
    secret = first_secret(serve(OTHER))
    assert serve(OTHER).holder(secret) is not None


def test_two_servers_of_different_ones_do_not_both_make_keys(serve: Serve) -> None:
    one, other = serve(ONE), serve(OTHER)
    one.prepare()
    other.prepare()
    first_secret(one)
    with pytest.raises(StorageError, match="another"):
        other.bootstrap()


def test_the_one_that_is_kept_can_be_taken_out(serve: Serve, postgres_url: str) -> None:
    service = serve(None)
    secret = first_secret(service)
    kept = pepper.kept(service.database)
    assert kept is not None
    with pytest.raises(StorageError, match="engramia keys pepper"):
        serve(ONE).prepare()
    assert serve(kept).holder(secret) is not None
    with psycopg.connect(postgres_url) as connection:
        names = connection.execute("SELECT name, value FROM service_secrets").fetchall()
    assert [name for name, _ in names] == ["key_pepper_fingerprint"]
    assert kept not in str(names)
    with pytest.raises(StorageError, match="is not set"):
        serve(None).prepare()


def test_a_schema_that_is_behind_is_refused(serve: Serve, postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute("UPDATE engramia_schema SET version_num = '0001'")
    try:
        with pytest.raises(StorageError, match="engramia db upgrade"):
            serve(ONE).prepare()
    finally:
        with psycopg.connect(postgres_url) as connection:
            connection.execute("UPDATE engramia_schema SET version_num = %s", [newest()])
