"""The service over a primary and its replica: what it answers, and what it says of the replica."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from engramia.bootstrap import Adapters, storage_from
from engramia.errors import StorageError
from engramia.settings import Settings, StorageKind
from tests.cli.conftest import Cli, cli, data_path, environment
from tests.replica import Replicated, Server, wait_until
from tests.server.api import Api, service

pytestmark = pytest.mark.slow  # two database servers
__all__ = ["cli", "data_path", "environment"]


@pytest.fixture(scope="module")
def servers() -> Iterator[Replicated]:
    with Replicated() as running:
        yield running


@pytest.fixture(scope="module")
def replica(servers: Replicated) -> Server:
    return servers.replica()


def settings(servers: Replicated, replica: Server, **more: Any) -> Settings:
    return Settings(
        storage=StorageKind.POSTGRES,
        database_url=SecretStr(servers.primary.url),
        database_replica_url=SecretStr(replica.url),
        **more,
    )


@pytest.fixture
def api(tmp_path: Path, servers: Replicated, replica: Server) -> Iterator[Api]:
    with service(tmp_path, storage=storage_from(settings(servers, replica))) as running:
        yield running


def told_of_replica(api: Api) -> Any:
    return api.get("/v1/health/deep").json()["checks"]["replica"]


def recall(api: Api, task: str) -> list[str]:
    answer = api.post("/v1/recall", {"task": task, "readonly": True})
    assert answer.status == 200, answer.body
    return [match["pattern_key"] for match in answer.json()["matches"]]


def test_what_was_learned_is_recalled_through_the_replica(api: Api, replica: Server) -> None:
    def is_read_from() -> bool:
        assert recall(api, "sort the list 4")
        return any("pattern_texts" in statement for statement in replica.statements())

    wait_until(lambda: told_of_replica(api)["status"] == "ok")  # it may be behind on a busy machine
    replica.forget_statements()
    for number in range(5):
        assert api.learn(f"sort the list {number}") in recall(api, f"sort the list {number}")
    wait_until(is_read_from)


def test_the_deep_look_tells_whether_reads_go_to_it_and_how_far_it_is(api: Api, replica: Server) -> None:
    replica.ask("SELECT pg_wal_replay_pause()")
    try:
        key = api.learn("parse a log")
        report = api.get("/v1/health/deep").json()
        found = report["checks"]["replica"]
        assert (report["status"], found["status"]) == ("degraded", "degraded")
        assert found["detail"].startswith(
            "The primary serves all reads for now. It is more than 50 ms behind"
        )
        assert found["lag_bytes"] > 0
        assert recall(api, "parse a log") == [key]
    finally:
        replica.ask("SELECT pg_wal_replay_resume()")


def test_without_a_replica_there_is_nothing_to_tell(tmp_path: Path) -> None:
    with service(tmp_path) as api:
        assert "replica" not in api.get("/v1/health/deep").json()["checks"]


def test_the_pool_is_as_large_as_the_settings_say(servers: Replicated, replica: Server) -> None:
    chosen = settings(
        servers, replica, database_pool_size=3, database_max_overflow=4, database_pool_timeout=0.5
    )
    adapters = Adapters(chosen, embeddings=None, llm=None)
    assert adapters.database is not None
    assert adapters.replica is not None
    for limits in (adapters.database.limits, adapters.replica.database.limits):
        assert (limits.pool_size, limits.overflow) == (3, 4)
    assert adapters.database.limits.pool_timeout == 0.5
    adapters.close()


@pytest.fixture
def check(cli: Cli, monkeypatch: pytest.MonkeyPatch, servers: Replicated, replica: Server) -> "CheckOf":
    """Run `serve --check`, and return what it says of the replica."""
    monkeypatch.setenv("ENGRAMIA_STORAGE", "postgres")
    monkeypatch.setenv("ENGRAMIA_DATABASE_URL", servers.primary.url)
    monkeypatch.setenv("ENGRAMIA_DATABASE_REPLICA_URL", replica.url)
    return CheckOf(cli, monkeypatch)


class CheckOf:
    """A command's check of the replica."""

    def __init__(self, cli: Cli, environment: pytest.MonkeyPatch) -> None:
        self._cli, self._environment = cli, environment

    def __call__(self, *command: str, **variables: str) -> tuple[str, str]:
        for name, value in variables.items():
            self._environment.setenv(name, value)
        found = self._cli(*command, "--json").document["checks"]
        [one] = [check for check in found if check["name"] == "replica"]
        return one["status"], one["detail"]


@pytest.mark.parametrize("command", [["serve", "--check"], ["doctor"]])
def test_the_command_line_tells_how_the_replica_is(check: CheckOf, command: list[str]) -> None:
    status, detail = check(*command)
    assert status == "ok"
    assert detail.startswith("reads go to it (")


def test_the_command_line_tells_why_a_replica_is_not_used(check: CheckOf, servers: Replicated) -> None:
    status, detail = check("doctor", ENGRAMIA_DATABASE_REPLICA_URL=servers.primary.url)
    assert status == "warn"
    assert "the primary serves all reads: It is no replica" in detail


def test_the_command_line_tells_that_a_replica_is_down(check: CheckOf) -> None:
    nowhere = "postgresql://postgres@/replicated?host=/nowhere"
    status, detail = check("doctor", ENGRAMIA_DATABASE_REPLICA_URL=nowhere)
    assert status == "warn"
    assert "cannot be reached" in detail


def test_the_command_line_tells_of_an_address_that_is_none(check: CheckOf) -> None:
    status, detail = check("doctor", ENGRAMIA_DATABASE_REPLICA_URL="replica.example.com")
    assert (status, "must read postgresql://" in detail) == ("fail", True)


def test_the_command_line_tells_of_a_replica_of_nothing(check: CheckOf) -> None:
    status, detail = check("doctor", ENGRAMIA_STORAGE="json")
    assert (status, "no Postgres storage" in detail) == ("warn", True)


def test_an_address_that_is_none_is_refused_at_the_start(servers: Replicated, replica: Server) -> None:
    wrong = settings(servers, replica).model_copy(update={"database_replica_url": SecretStr("replica")})
    with pytest.raises(StorageError, match="must read postgresql://"):
        storage_from(wrong)
