"""Keys from the command line, and in two server processes over one database."""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest

from engramia.cli.exit_codes import ExitCode
from engramia.db.private_server import PrivateServer
from engramia.server.keys.secret import is_well_formed
from tests.cli.conftest import Cli
from tests.cli.services import Started, started

pytestmark = pytest.mark.slow  # a database server and processes

HASHED_UNDER = "a-secret-key-of-the-tests-and-no-other"
_LISTENERS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE query LIKE '%service_counters%' AND pid <> pg_backend_pid()"
)


@pytest.fixture
def keys(cli: Cli, monkeypatch: pytest.MonkeyPatch, postgres_url: str) -> Callable[..., Any]:
    """Run `engramia keys ... --json` and return the code and the document."""
    monkeypatch.setenv("ENGRAMIA_DATABASE_URL", postgres_url)
    monkeypatch.setenv("ENGRAMIA_SECRET_KEY", HASHED_UNDER)

    def call(*arguments: str) -> Any:
        ended = cli("keys", *arguments, "--json")
        return ended.code, ended.document

    return call


def test_the_operator_makes_lists_rotates_and_revokes(keys: Callable[..., Any]) -> None:
    code, first = keys("bootstrap")
    assert (code, first["role"], first["project_id"]) == (ExitCode.OK, "owner", "default")
    assert is_well_formed(first["secret"].encode())
    assert keys("bootstrap")[0] == ExitCode.NOT_ALLOWED
    code, made = keys(
        "create", "Invoice agent", "--role", "reader", "--project", "billing", "--tenant", "acme"
    )
    assert (code, made["tenant_id"], made["project_id"]) == (ExitCode.OK, "acme", "billing")
    _, listed = keys("list", "--project", "billing", "--tenant", "acme")
    assert [key["id"] for key in listed["keys"]] == [made["id"]]
    assert made["secret"] not in str(listed)
    assert keys("rotate", made["id"])[0] == ExitCode.NOT_FOUND  # of another tenant
    code, rotated = keys("rotate", made["id"], "--tenant", "acme")
    assert (code, rotated["id"], rotated["secret"] != made["secret"]) == (0, made["id"], True)
    assert keys("revoke", made["id"], "--tenant", "acme")[1]["revoked"]
    code, refused = keys("revoke", first["id"])
    assert (code, "last owner key" in refused["detail"]) == (ExitCode.NOT_ALLOWED, True)


@pytest.mark.parametrize(
    "arguments",
    [
        ("create", " "),
        ("create", "x", "--role", "boss"),
        ("create", "x", "--max-patterns", "0"),
        ("create", "x", "--expires-at", "yesterday"),
        ("create", "x", "--expires-at", "2020-01-01T00:00:00Z"),
        ("create", "x", "--tenant", "../x"),
        ("create",),
    ],
)
def test_what_no_key_can_be_is_wrong_usage(keys: Callable[..., Any], arguments: tuple[str, ...]) -> None:
    code, document = keys(*arguments)
    assert (code, document["error"]) == (ExitCode.USAGE, "validation_error")


def test_people_see_tables(cli: Cli, keys: Callable[..., Any]) -> None:
    del keys
    shown = cli("keys", "bootstrap")
    assert "sk_engramia_" in shown.out
    assert "First owner key" in cli("keys", "list").out
    assert "No keys" in cli("keys", "list", "--project", "none").out
    assert cli("keys", "pepper").code == ExitCode.NOT_FOUND


def test_without_a_database_it_says_so(cli: Cli) -> None:
    ended = cli("keys", "list", "--json")
    assert ended.code == ExitCode.STORAGE
    assert "ENGRAMIA_DATABASE_URL" in ended.document["detail"]


@pytest.fixture
def environment_of(postgres_url: str) -> dict[str, str]:
    return {
        "ENGRAMIA_STORAGE": "postgres",
        "ENGRAMIA_DATABASE_URL": postgres_url,
        "ENGRAMIA_AUTH_MODE": "db",
        "ENGRAMIA_SECRET_KEY": HASHED_UNDER,
        "ENGRAMIA_RATE_LIMIT_DEFAULT": "1000000",
        "ENGRAMIA_RATE_LIMIT_PER_KEY": "1000000",
    }


def test_another_secret_key_is_refused_before_anything_is_served(
    process: Cli, environment_of: dict[str, str]
) -> None:
    assert process("keys", "bootstrap", "--json", **environment_of).code == ExitCode.OK
    other = environment_of | {"ENGRAMIA_SECRET_KEY": "another-secret-key-than-that-of-the-keys"}
    for command in (("serve", "--port", "0", "--json"), ("serve", "--check", "--json")):
        ended = process(*command, **other)
        assert ended.code == ExitCode.STORAGE, ended
        assert "ENGRAMIA_SECRET_KEY is another" in ended.out
    short = process("serve", "--port", "0", "--json", **environment_of | {"ENGRAMIA_SECRET_KEY": "short"})
    assert short.code == ExitCode.USAGE
    unset = {name: value for name, value in environment_of.items() if name != "ENGRAMIA_SECRET_KEY"}
    assert "is not set" in process("serve", "--port", "0", "--json", **unset).out


def test_a_secret_kept_in_the_database_is_warned_of(process: Cli, environment_of: dict[str, str]) -> None:
    unset = {name: value for name, value in environment_of.items() if name != "ENGRAMIA_SECRET_KEY"}
    checked = process("serve", "--check", "--port", "0", "--json", **unset)
    assert checked.code == ExitCode.OK, checked
    assert "better outside" in checked.out


def test_a_schema_that_is_behind_is_refused(
    process: Cli, environment_of: dict[str, str], postgres_server: PrivateServer
) -> None:
    empty = environment_of | {"ENGRAMIA_DATABASE_URL": postgres_server.create_database("keys_without_schema")}
    ended = process("serve", "--port", "0", "--json", **empty)
    assert ended.code == ExitCode.STORAGE
    assert "engramia db upgrade" in ended.out


@pytest.fixture
def pair(
    tmp_path: Path, process: Cli, environment_of: dict[str, str]
) -> Iterator[tuple[Started, Started, str]]:
    """Two servers over one database, and the secret of an owner."""
    owner = process("keys", "bootstrap", "--json", **environment_of).document["secret"]
    with ExitStack() as stack:
        servers = [
            stack.enter_context(started(tmp_path / name, "serve", "--port", "0", **environment_of))
            for name in ("here", "there")
        ]
        yield servers[0], servers[1], owner


def bearing(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def made(server: Started, owner: str, **fields: Any) -> Any:
    status, key = server.ask("POST", "/v1/keys", {"name": "x", **fields}, **bearing(owner))
    assert status == 201, key
    return key


def seconds_until(status: int, server: Started, secret: str, within: float = 10.0) -> float:
    begin = time.monotonic()
    while (found := server.ask("GET", "/v1/metrics", **bearing(secret))[0]) != status:
        assert found in {200, 503}, found
        assert time.monotonic() - begin < within, "It did not happen."
    return time.monotonic() - begin


def test_a_key_revoked_on_one_process_is_dead_on_the_other_within_a_second(
    pair: tuple[Started, Started, str], postgres_url: str
) -> None:
    here, there, owner = pair
    for killed in (False, True):
        key = made(here, owner)
        for _ in range(20):
            assert there.ask("GET", "/v1/metrics", **bearing(key["secret"]))[0] == 200
        if killed:
            with psycopg.connect(postgres_url) as connection:
                assert len(connection.execute(_LISTENERS).fetchall()) == 2
        assert here.ask("DELETE", f"/v1/keys/{key['id']}", **bearing(owner))[0] == 200
        assert seconds_until(401, there, key["secret"]) < 1.0


def test_a_frozen_database_is_503_within_five_seconds_and_the_process_lives(
    pair: tuple[Started, Started, str], postgres_server: PrivateServer
) -> None:
    _, there, owner = pair
    assert there.ask("GET", "/v1/metrics", **bearing(owner))[0] == 200
    assert postgres_server.pid is not None
    children = Path(f"/proc/{postgres_server.pid}/task/{postgres_server.pid}/children").read_text().split()
    everyone = [postgres_server.pid, *map(int, children)]
    for pid in everyone:
        os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(1.0)  # so that nothing that is kept is believed any more
        begin = time.monotonic()
        status, body = there.ask("GET", "/v1/metrics", **bearing(owner))
        assert (status, body["error"]) == (503, "unavailable")
        assert time.monotonic() - begin < 5.0
        assert there.ask("GET", "/v1/health/live")[0] == 200
        wrong = owner[:-1] + ("A" if owner[-1] != "A" else "B")
        assert there.ask("GET", "/v1/metrics", **bearing(wrong))[0] == 401
    finally:
        for pid in everyone:
            os.kill(pid, signal.SIGCONT)
    seconds_until(200, there, owner)


def test_of_a_hundred_learns_through_two_processes_with_room_for_one_one_passes(
    pair: tuple[Started, Started, str],
) -> None:
    here, there, owner = pair
    key = bearing(made(here, owner, max_patterns=1)["secret"])

    def learn(number: int) -> int:
        run = {"task": f"{'abcdefghij'[number % 10] * 5} job {number}", "code": "x", "eval_score": 5}
        return (here, there)[number % 2].ask("POST", "/v1/learn", run, **key)[0]

    with ThreadPoolExecutor(20) as threads:
        assert Counter(threads.map(learn, range(100))) == {200: 1, 429: 99}
    assert there.ask("GET", "/v1/metrics", **key)[1]["pattern_count"] == 1
