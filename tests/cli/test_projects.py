"""`engramia projects` over a real Postgres, and a server that hears of a limit."""

import os
import pwd
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engramia.cli.exit_codes import ExitCode
from engramia.providers import PostgresStorage
from tests.cli.conftest import Cli
from tests.server.api import Api, service

pytestmark = pytest.mark.slow  # a database server

SECRET = "a-secret-key-of-the-tests-and-no-other"  # noqa: S105 - made up
ME = f"cli:{pwd.getpwuid(os.getuid()).pw_name}"


@pytest.fixture(autouse=True)
def chosen(environment: None, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Choose the database by the environment."""
    del environment
    monkeypatch.setenv("ENGRAMIA_DATABASE_URL", postgres_url)
    monkeypatch.setenv("ENGRAMIA_SECRET_KEY", SECRET)


def made(cli: Cli, project: str, *options: str) -> str:
    """Make a key in a project of the tenant acme and return its secret."""
    ended = cli("keys", "create", "x", "--tenant", "acme", "--project", project, *options, "--json")
    return str(ended.document["secret"])


def test_a_limit_is_set_listed_and_taken_away(cli: Cli) -> None:
    made(cli, "billing")
    for said, kept in (("5", 5), ("none", None), ("7", 7)):
        ended = cli("projects", "limit", "billing", said, "--tenant", "acme", "--json")
        assert (ended.code, ended.document) == (0, {"project_id": "billing", "max_patterns": kept})
        assert "AUDIT project.limited success" in ended.err
    made(cli, "audits")
    listed = cli("projects", "list", "--tenant", "acme", "--limit", "1", "--json").document
    assert [(one["project_id"], one["max_patterns"]) for one in listed["projects"]] == [("audits", None)]
    assert (listed["has_more"], listed["next_offset"]) == (True, 1)
    shown = cli("projects", "list", "--tenant", "acme")
    assert [word in shown.out for word in ("billing", "7", "any number")] == [True] * 3
    assert "No projects" in cli("projects", "list", "--tenant", "other").out
    entries = cli("audit", "list", "--tenant", "acme", "--event", "project.limited", "--json").document[
        "entries"
    ]
    told = [(entry["actor"], entry["project_id"], entry["facts"]) for entry in entries[::-1]]
    assert told == [(ME, "billing", {"max_patterns": most}) for most in (5, None, 7)]
    assert cli("audit", "verify", "--tenant", "acme").code == ExitCode.OK


def test_a_project_that_is_not_there_has_no_limit(cli: Cli) -> None:
    made(cli, "billing")
    for tenant, project in (("acme", "nowhere"), ("other", "billing")):
        refused = cli("projects", "limit", project, "5", "--tenant", tenant, "--json")
        assert (refused.code, refused.document["error"]) == (ExitCode.NOT_FOUND, "not_found")
    assert cli("audit", "list", "--tenant", "other", "--json").document["entries"] == []


@pytest.mark.parametrize("most", ["0", "-1", "1.5", "many", "", "1" + "0" * 13, "9" * 5_000, "\u0665"])
def test_what_is_no_limit_is_wrong_usage(cli: Cli, most: str) -> None:
    refused = cli("projects", "limit", "--json", "--", "billing", most)
    assert (refused.code, refused.document["error"]) == (ExitCode.USAGE, "validation_error")


def test_an_id_that_is_none_is_wrong_usage(cli: Cli) -> None:
    assert cli("projects", "limit", "../x", "5", "--json").code == ExitCode.USAGE


@pytest.fixture
def api(tmp_path: Path, postgres_url: str) -> Iterator[Api]:
    storage = PostgresStorage(database_url=postgres_url)
    settings: dict[str, Any] = {"database_url": postgres_url, "auth_mode": "db", "secret_key": SECRET}
    with service(tmp_path, storage=storage, **settings) as running:
        yield running


def soon(happened: Callable[[], bool]) -> bool:
    """Ask again until it did: what a server knows it believes for less than a second."""
    ends = time.monotonic() + 5.0
    while time.monotonic() < ends:
        if happened():
            return True
        time.sleep(0.01)
    return False


def test_a_server_that_runs_hears_of_a_limit(cli: Cli, api: Api) -> None:
    bearer = {"authorization": f"Bearer {made(cli, 'billing')}"}
    own = {"authorization": f"Bearer {made(cli, 'billing', '--max-patterns', '100')}"}
    run = {"task": "Sum the invoices", "code": "x", "eval_score": 5}
    assert api.post("/v1/learn", run, bearer).status == 200
    assert cli("projects", "limit", "billing", "1", "--tenant", "acme").code == ExitCode.OK
    other = {"task": "Draw a chart of sales", "code": "y", "eval_score": 5, "on_duplicate": "keep_both"}
    assert soon(lambda: api.post("/v1/learn", other, bearer).status == 429)
    assert api.post("/v1/learn", other, own).status == 200  # the key says otherwise
    assert cli("projects", "limit", "billing", "none", "--tenant", "acme").code == ExitCode.OK
    assert soon(lambda: api.post("/v1/learn", other, bearer).status == 200)
