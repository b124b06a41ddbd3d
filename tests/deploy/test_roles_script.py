"""The database's first start, by the script that the image runs, on a real Postgres."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from engramia.db.private_server import PrivateServer, find_binaries
from tests.deploy.compose import FILLED, PRODUCTION, ROOT, example, raw, resolved
from tests.postgres import QUICK

SCRIPT = ROOT / "deploy" / "postgres" / "10-roles.sh"
OWNER, DATABASE = "engramia_owner", "engramia"
PASSWORD = "p'w $HOME \\ %@/:é"  # noqa: S105 - of a database that lives as long as the test


@pytest.fixture
def server() -> Iterator[PrivateServer]:
    """An empty server with the owner and the database that the image makes before it runs the script."""
    folder = Path(tempfile.mkdtemp(prefix="engramia-deploy-"))
    with PrivateServer(folder, options=QUICK) as started:
        with psycopg.connect(started.url(), autocommit=True) as connection:
            connection.execute(f"CREATE ROLE {OWNER} LOGIN SUPERUSER")
            connection.execute(f"CREATE DATABASE {DATABASE} OWNER {OWNER}")
        yield started
    shutil.rmtree(folder)


def scripted(server: PrivateServer, url: str) -> "subprocess.CompletedProcess[str]":
    place = psycopg.conninfo.conninfo_to_dict(server.url())
    return subprocess.run(
        ["/bin/bash", str(SCRIPT)],
        env={
            "PATH": f"{find_binaries()}:/usr/bin:/bin",
            "PGHOST": str(place["host"]),
            "PGPORT": str(place["port"]),
            "POSTGRES_USER": OWNER,
            "POSTGRES_DB": DATABASE,
            "ENGRAMIA_DATABASE_URL": url,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def commanded(url: str, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a command of ours against the database at `url`."""
    return subprocess.run(
        [sys.executable, "-m", "engramia.cli", *arguments],
        env={
            "PATH": os.defpath,
            "PYTHONPATH": str(ROOT / "src"),
            "ENGRAMIA_STORAGE": "postgres",
            "ENGRAMIA_DATABASE_URL": url,
            "ENGRAMIA_EMBEDDING_MODEL": "none",
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def address(server: PrivateServer, user: str, password: str = "", database: str = DATABASE) -> str:
    place = psycopg.conninfo.conninfo_to_dict(server.url())
    login = f"{user}:{quote(password, safe='')}" if password else user
    return f"postgresql://{login}@/{database}?host={place['host']}&port={place['port']}"


@pytest.mark.soak
def test_the_login_is_made_the_schema_comes_up_and_the_login_may_do_no_more_than_work(
    server: PrivateServer,
) -> None:
    url = f"postgresql://engramia:{quote(PASSWORD, safe='')}@pgvector:5432/engramia"
    done = scripted(server, url)
    assert (done.returncode, done.stderr) == (0, "")
    with psycopg.connect(address(server, OWNER)) as connection:
        assert connection.execute(
            "SELECT rolsuper, rolcreaterole, rolbypassrls, rolpassword LIKE 'SCRAM-SHA-256%' "
            "FROM pg_authid WHERE rolname = 'engramia'"
        ).fetchone() == (False, False, False, True)

    assert commanded(address(server, OWNER), "db", "upgrade").returncode == 0
    app = address(server, "engramia", PASSWORD)
    assert commanded(app, *raw(PRODUCTION)["services"]["worker"]["healthcheck"]["test"][2:]).returncode == 0
    learned = commanded(
        app, "learn", "--task", "Sort a list of names", "--code", "sorted(names)", "--score", "8"
    )
    assert learned.returncode == 0, learned.stderr
    for forbidden in ("DROP TABLE patterns", "SET row_security = off; TABLE patterns", "CREATE TABLE x ()"):
        with psycopg.connect(app) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(forbidden)


@pytest.mark.soak
def test_the_password_in_the_database_is_the_decoded_one(server: PrivateServer) -> None:
    """The private server believes every local connection, so the stored verifier is compared."""
    url = f"postgresql://some.body:{quote(PASSWORD, safe='')}@pgvector:5432/engramia"
    assert scripted(server, url).returncode == 0
    with psycopg.connect(address(server, OWNER)) as connection:
        row = connection.execute("SELECT rolpassword FROM pg_authid WHERE rolname = 'some.body'").fetchone()
        assert row is not None
        again = connection.pgconn.encrypt_password(PASSWORD.encode(), b"some.body", b"scram-sha-256")
        assert _proves(PASSWORD, row[0])
        assert _proves(PASSWORD, again.decode())
        assert not _proves(PASSWORD + "x", row[0])


def _proves(password: str, verifier: str) -> bool:
    """Return whether a SCRAM verifier (RFC 5803) is of `password`."""
    from base64 import b64decode
    from hashlib import pbkdf2_hmac, sha256
    from hmac import digest

    _, salted, keys = verifier.split("$")
    iterations, salt = salted.split(":")
    stored = b64decode(keys.split(":")[0])
    secret = pbkdf2_hmac("sha256", password.encode(), b64decode(salt), int(iterations))
    return sha256(digest(secret, b"Client Key", "sha256")).digest() == stored


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("postgresql://pgvector:5432/engramia", "must read postgresql://user:password@"),
        ("postgresql://engramia@pgvector/engramia", "must read postgresql://user:password@"),
        (f"postgresql://{OWNER}:secret@pgvector/engramia", "needs a login of its own"),
    ],
)
def test_an_address_without_a_login_of_its_own_stops_the_first_start(url: str, sentence: str) -> None:
    done = subprocess.run(
        ["/bin/bash", str(SCRIPT)],
        env={
            "PATH": os.defpath,
            "ENGRAMIA_DATABASE_URL": url,
            "POSTGRES_USER": OWNER,
            "POSTGRES_DB": DATABASE,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "secret" not in done.stderr


@pytest.mark.soak
def test_a_dump_comes_back_as_the_page_says(server: PrivateServer, tmp_path: Path) -> None:
    assert scripted(server, example()["ENGRAMIA_DATABASE_URL"]).returncode == 0
    assert commanded(address(server, OWNER), "db", "upgrade").returncode == 0
    app = address(server, "engramia", "any")
    assert (
        commanded(app, "learn", "--task", "Sum a column", "--code", "sum(x)", "--score", "8").returncode == 0
    )
    dump = tmp_path / "engramia.dump"
    _tool("pg_dump", "--format=custom", f"--file={dump}", f"--dbname={address(server, OWNER)}")
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE restored OWNER {OWNER}")
    restored = address(server, OWNER, database="restored")
    _tool("pg_restore", "--clean", "--if-exists", "--exit-on-error", f"--dbname={restored}", str(dump))
    found = commanded(
        address(server, "engramia", database="restored"), "recall", "Sum a column of numbers", "--json"
    )
    assert found.returncode == 0, found.stderr
    document: Any = json.loads(found.stdout)
    assert [match["pattern"]["task"] for match in document["matches"]] == ["Sum a column"]


def _tool(name: str, *arguments: str) -> None:
    done = subprocess.run(
        [str(find_binaries() / name), *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_the_names_are_those_of_the_compose_file() -> None:
    environment = resolved(PRODUCTION, example() | FILLED)["services"]["pgvector"]["environment"]
    assert (environment["POSTGRES_USER"], environment["POSTGRES_DB"]) == (OWNER, DATABASE)
