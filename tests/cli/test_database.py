"""The memory in Postgres, from the command line and over HTTP."""

from pathlib import Path

import pytest

from engramia.cli.exit_codes import ExitCode
from engramia.db.private_server import PrivateServer
from engramia.providers import PostgresStorage
from tests.cli.conftest import Cli
from tests.cli.services import started
from tests.server.api import service

pytestmark = pytest.mark.slow  # a database server


def test_the_schema_is_made_and_then_used(cli: Cli, process: Cli, postgres_server: PrivateServer) -> None:
    url = postgres_server.create_database("from_the_command_line")
    chosen = {"ENGRAMIA_STORAGE": "postgres", "ENGRAMIA_DATABASE_URL": url}
    del cli
    behind = process("status", "--json", **chosen)
    assert behind.code == ExitCode.STORAGE
    assert "engramia db upgrade" in behind.document["detail"]
    assert process("db", "check", "--json", **chosen).code == ExitCode.STORAGE
    assert process("db", "current", "--json", **chosen).document["revision"] is None
    made = process("db", "upgrade", "--json", **chosen).document["revision"]
    assert process("db", "upgrade", "--json", **chosen).document["revision"] == made
    assert process("db", "check", "--json", **chosen).document["ok"]
    assert process("db", "index", "--json", **chosen).document["dimensions"] == []
    run = ("learn", "--task", "Sort invoices by date", "--code", "rows.sort()", "--score", "8", "--json")
    assert process(*run, **chosen).document["stored"]
    found = process("recall", "Sort invoices by date", "--json", **chosen).document["matches"]
    assert [match["reuse_tier"] for match in found] == ["duplicate"]


def test_without_an_address_it_says_so(process: Cli) -> None:
    ended = process("status", "--json", ENGRAMIA_STORAGE="postgres")
    assert ended.code == ExitCode.STORAGE
    assert "ENGRAMIA_DATABASE_URL" in ended.document["detail"]


def test_the_service_over_postgres(tmp_path: Path, postgres_url: str) -> None:
    with service(tmp_path, storage=PostgresStorage(database_url=postgres_url)) as api:
        key = api.learn("Sort invoices by date", 9)
        found = api.post("/v1/recall", {"task": "Sort invoices by date"}).json()["matches"]
        assert [match["pattern_key"] for match in found] == [key]
        job = api.post("/v1/aging", None, {"prefer": "respond-async"}).json()["job_id"]
        assert api.finished(job)["status"] == "completed"
        exported = api.get("/v1/export").json()
        assert exported["count"] == 1
        other = api.post("/v1/import", exported, {"x-project-id": "other"}).json()
        assert other["imported"] == 1


def test_serve_on_postgres(data_path: Path, postgres_url: str) -> None:
    chosen = {
        "ENGRAMIA_STORAGE": "postgres",
        "ENGRAMIA_DATABASE_URL": postgres_url,
        "ENGRAMIA_AUTH_MODE": "env",
    }
    with started(data_path, "serve", "--port", "0", **chosen) as running:
        learned = {"task": "Sort a list", "code": "sorted(x)", "eval_score": 8}
        assert running.ask("POST", "/v1/learn", learned)[0] == 200
        assert running.ask("GET", "/v1/health")[1]["storage"] == "postgres"
        assert running.ask("GET", "/v1/health/deep")[1]["checks"]["storage"]["status"] == "ok"
