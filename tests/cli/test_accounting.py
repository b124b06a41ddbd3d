"""Privileged acts of the command line in the audit trail of a real Postgres."""

import json
import os
import pwd
from pathlib import Path
from typing import Any

import psycopg
import pytest

from engramia.cli.accounting import operator
from engramia.cli.exit_codes import ExitCode
from engramia.cli.moving_accounts import BroughtInto
from engramia.core.contents import Contents, Inventory
from engramia.core.model import Scope
from engramia.errors import StorageFullError
from engramia.providers.json.moving import JSONMover
from tests.cli.conftest import Cli

ME = f"cli:{pwd.getpwuid(os.getuid()).pw_name}"
KEY = "patterns/" + "0" * 26


def test_the_operator_is_the_user_of_the_machine_whatever_the_environment_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LOGNAME", "somebody-else")
    monkeypatch.setenv("USER", "somebody-else")
    assert operator() == ME


def test_on_files_a_deletion_is_as_quiet_as_it_was(cli: Cli, learned: str) -> None:
    deleted = cli("delete", learned, "--yes")
    assert (deleted.code, deleted.err) == (ExitCode.OK, "")


@pytest.fixture
def on_postgres(environment: None, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Choose Postgres by the environment; return its address."""
    del environment
    monkeypatch.setenv("ENGRAMIA_STORAGE", "postgres")
    monkeypatch.setenv("ENGRAMIA_DATABASE_URL", postgres_url)
    monkeypatch.setenv("ENGRAMIA_SECRET_KEY", "a long sentence that only the service knows")
    return postgres_url


@pytest.fixture
def stored(on_postgres: str, cli: Cli) -> str:
    """Learn a pattern there and return its key."""
    del on_postgres
    learned = cli("learn", "--task", "Sum a column", "--code", "sum(x)", "--score", "8", "--json")
    assert learned.code == ExitCode.OK, learned
    return str(learned.document["pattern_key"])


def entries(cli: Cli) -> list[dict[str, Any]]:
    """Return the chain of the tenant, oldest first, once it is seen to be whole."""
    assert cli("audit", "verify", "--json").document["ok"]
    found: list[dict[str, Any]] = cli("audit", "list", "--json").document["entries"]
    return found[::-1]


def told(entry: dict[str, Any]) -> tuple[Any, ...]:
    return entry["event"], entry["outcome"], entry["actor"], entry["facts"]


def lines(err: str) -> list[dict[str, Any]]:
    """Return the facts of the `AUDIT` lines on stderr."""
    return [json.loads(line[line.index("{") :]) for line in err.splitlines() if " AUDIT " in line]


@pytest.mark.slow  # a database server
def test_a_deletion_leaves_a_row_and_a_line_that_is_its_anchor(cli: Cli, stored: str) -> None:
    deleted = cli("delete", stored, "--yes", "--project", "default", "--json")
    assert (deleted.code, deleted.document["deleted"]) == (ExitCode.OK, True)
    (entry,) = entries(cli)
    assert told(entry) == ("pattern.deleted", "success", ME, {"pattern_key": stored})
    assert (entry["project_id"], entry["ip"], entry["request_id"]) == ("default", None, None)
    (line,) = lines(deleted.err)
    assert (line["seq"], line["hash"], line["actor"]) == (1, entry["hash"], ME)
    anchor = f"{line['seq']}:{line['hash']}"
    assert cli("audit", "verify", "--anchor", anchor).code == ExitCode.OK


@pytest.mark.slow  # a database server
def test_what_cannot_be_accounted_for_is_not_done(cli: Cli, stored: str, on_postgres: str) -> None:
    with psycopg.connect(on_postgres, autocommit=True) as superuser:
        superuser.execute("ALTER TABLE audit_log ADD CONSTRAINT closed CHECK (event = 'nothing') NOT VALID")
        refused = cli("delete", stored, "--yes", "--json")
        assert refused.code == ExitCode.STORAGE
        withheld = cli("export", "--json")
        assert (withheld.code, "Sum a column" in withheld.out) == (ExitCode.STORAGE, False)
        superuser.execute("ALTER TABLE audit_log DROP CONSTRAINT closed")
    assert cli("show", stored, "--json").code == ExitCode.OK


@pytest.mark.slow  # a database server
def test_an_export_is_told_before_its_first_byte_and_an_import_from_begin_to_end(
    cli: Cli, stored: str, tmp_path: Path
) -> None:
    streamed = cli("export", "--json")
    assert [record["key"] for record in streamed.document["records"]] == [stored]
    file = tmp_path / "out.ndjson"
    assert cli("export", "-o", str(file)).code == ExitCode.OK
    file.write_text(file.read_text() + "{}\n")
    imported = cli("import", str(file), "--project", "copy", "--json")
    assert imported.code == ExitCode.PARTLY
    assert [told(entry) for entry in entries(cli)] == [
        ("export.begun", "success", ME, {}),
        ("export.begun", "success", ME, {}),
        ("import.begun", "success", ME, {"overwrite": False}),
        ("import.done", "success", ME, {"imported": 1, "skipped": 1, "total": 2}),
    ]
    assert [line["seq"] for line in lines(imported.err)] == [3, 4]
    assert {line["project_id"] for line in lines(imported.err)} == {"copy"}


@pytest.mark.slow  # a database server
def test_an_import_that_stops_says_how_far_it_came(cli: Cli, on_postgres: str, tmp_path: Path) -> None:
    with psycopg.connect(on_postgres, autocommit=True) as superuser:
        file = tmp_path / "some.json"
        file.write_text('{"records": [{"version": 1, "key": "' + KEY + '", "data": ')
        stopped = cli("import", str(file), "--json")
        rows = superuser.execute("SELECT count(*) FROM audit_log").fetchone()
    assert stopped.code == ExitCode.USAGE
    assert rows == (2,)
    begun, done = entries(cli)
    assert told(begun) == ("import.begun", "success", ME, {"overwrite": False})
    assert told(done) == ("import.done", "failed", ME, {"error": "validation_error", "processed": 0})


@pytest.mark.slow  # a database server
def test_scopes_that_are_carried_in_and_out_are_told_of_and_a_rehearsal_is_not(
    cli: Cli, learned: str, tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENGRAMIA_DATABASE_URL", postgres_url)
    back = str(tmp_path / "back")
    for end in (("--dry-run",), ()):
        assert cli("migrate", "--to", "postgres", *end, "--json").code == ExitCode.OK
        assert cli("migrate", "--to", "json", "--data-path", back, *end, "--json").code in {0, 3}
    assert [told(entry) for entry in entries(cli)] == [
        ("import.begun", "success", ME, {"migrated": True}),
        ("import.done", "success", ME, {"migrated": True, "imported": 1}),
        ("export.begun", "success", ME, {"migrated": True}),
    ]
    assert cli("show", learned, "--data-path", back, "--json").code == ExitCode.OK


def test_a_scope_that_could_not_be_brought_in_is_told_of(tmp_path: Path) -> None:
    class Full(JSONMover):
        def replace(self, scope: Scope, contents: Contents, *, holding: Inventory | None) -> None:
            del scope, contents, holding
            raise StorageFullError("No space left.")

    kept = list[tuple[Any, ...]]()
    target = BroughtInto(
        Full(tmp_path), lambda event, outcome, _scope, facts: kept.append((event, outcome, facts))
    )
    with pytest.raises(StorageFullError), target.reading(Scope()) as nothing:
        target.replace(Scope(), nothing, holding=None)
    assert kept == [
        ("import.begun", "success", {"migrated": True}),
        ("import.done", "failed", {"migrated": True, "error": "storage_full"}),
    ]


@pytest.mark.slow  # a database server
def test_keys_are_made_and_revoked_by_the_user_of_the_machine(cli: Cli, on_postgres: str) -> None:
    del on_postgres
    made = cli("keys", "create", "agent", "--json")
    revoked = cli("keys", "revoke", made.document["id"], "--json")
    assert revoked.code == ExitCode.OK
    chain = entries(cli)
    assert [entry["event"] for entry in chain] == ["project.created", "key.created", "key.revoked"]
    assert {entry["actor"] for entry in chain} == {ME}
    assert [line["seq"] for line in lines(made.err + revoked.err)] == [1, 2, 3]
    assert lines(revoked.err)[0]["hash"] == chain[2]["hash"]


@pytest.mark.slow  # a database server and a process
def test_the_lines_of_a_process_are_json_where_the_settings_say_so(process: Cli, postgres_url: str) -> None:
    made = process(
        "keys",
        "create",
        "agent",
        "--json",
        ENGRAMIA_DATABASE_URL=postgres_url,
        ENGRAMIA_JSON_LOGS="true",
        ENGRAMIA_SECRET_KEY="a long sentence that only the service knows",  # noqa: S106 - made up
    )
    assert made.code == ExitCode.OK, made
    written = [json.loads(line) for line in made.err.splitlines()]
    assert [line["event"] for line in written] == ["project.created", "key.created"]
    assert made.document["secret"] not in made.err


@pytest.mark.slow  # a database server
def test_what_is_no_privileged_act_over_http_is_none_here(cli: Cli, stored: str) -> None:
    for arguments in (("aging", "--feedback"), ("refine", stored, "7"), ("recall", "Sum a column")):
        assert cli(*arguments, "--json").code == ExitCode.OK
    assert entries(cli) == []
