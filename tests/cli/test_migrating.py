"""`engramia migrate`: the same memory in the other storage, and back."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engramia.cli.exit_codes import ExitCode
from engramia.core.contents import NOTHING, Contents, Inventory
from engramia.core.model import Scope
from engramia.core.ports import Mover
from engramia.core.query import Filter
from engramia.db.private_server import PrivateServer
from engramia.errors import ConflictError
from engramia.memory.moving import Outcome, Step, move
from engramia.providers.json.moving import JSONMover
from engramia.providers.json.storage import JSONStorage
from engramia.providers.postgres.moving import PostgresMover
from engramia.providers.postgres.storage import PostgresStorage
from tests.cli.conftest import Cli
from tests.contract.samples import NOW, feedback, key, record
from tests.moving import SCOPES, answer_the_same, furnish, inventories, searches

pytestmark = pytest.mark.slow  # a database server


@pytest.fixture
def source(data_path: Path) -> Iterator[JSONStorage]:
    storage = JSONStorage(data_path, sync=False)
    for scope in SCOPES:
        furnish(storage, scope)
    yield storage
    storage.close()


@pytest.fixture
def database(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("ENGRAMIA_DATABASE_URL", postgres_url)
    return postgres_url


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_there_and_back_every_answer_is_the_same(
    cli: Cli, source: JSONStorage, data_path: Path, tmp_path: Path, database: str
) -> None:
    before = files(data_path)
    there = cli("migrate", "--to", "postgres", "--json")
    assert (there.code, there.document["complete"]) == (ExitCode.OK, True), there
    assert there.document["outcomes"] == {"copied": 3}
    assert there.document["source"] == there.document["target"]
    assert there.document["source"] == {
        "patterns": 39, "vectors": 33, "versions": 3, "observations": 69, "feedback_items": 6, "events": 18,
        "jobs": 12,
    }  # fmt: skip
    assert files(data_path) == before

    back = cli("migrate", "--to", "json", "--data-path", str(tmp_path / "back"), "--json")
    assert (back.code, back.document["outcomes"]) == (ExitCode.OK, {"copied": 3}), back
    middle, end = PostgresStorage(database_url=database), JSONStorage(tmp_path / "back")
    for scope in SCOPES:
        answer_the_same(source, middle, scope)
        answer_the_same(source, end, scope)
    assert end.scopes_with_jobs() == source.scopes_with_jobs()
    assert set(middle.scopes_with_jobs()) == set(SCOPES)
    middle.close()
    end.close()
    movers: list[Mover] = [JSONMover(data_path), PostgresMover(database), JSONMover(tmp_path / "back")]
    first, *others = map(inventories, movers)
    assert len(first) == len({one.digest for one in first.values()}) + 2, "the three scopes hold the same"
    assert others == [first, first]
    for mover in movers:
        mover.close()


def test_what_was_moved_goes_on_as_a_memory(
    cli: Cli, source: JSONStorage, data_path: Path, tmp_path: Path, database: str
) -> None:
    del source
    cli("migrate", "--to", "postgres")
    cli("migrate", "--to", "json", "--data-path", str(tmp_path / "back"))
    scope = SCOPES[0]
    for storage in (PostgresStorage(database_url=database), JSONStorage(tmp_path / "back")):
        with storage.scoped(scope).writing() as stores:
            stores.patterns.add(record(99, "learned after the move"), None)
            stores.patterns.delete([key(2)])
            assert stores.patterns.count() == 13
            claimed = stores.jobs.claim(worker="new", now=NOW, lease_until=NOW)
            assert claimed is None
        storage.close()
    del data_path


def test_run_again_it_finds_everything_there(cli: Cli, source: JSONStorage, database: str) -> None:
    del database
    assert cli("migrate", "--to", "postgres").code == ExitCode.OK
    again = cli("migrate", "--to", "postgres", "--json")
    assert (again.code, again.document["outcomes"]) == (ExitCode.OK, {"there_already": 3})
    with source.scoped(SCOPES[1]).writing() as stores:
        stores.patterns.delete([key(0)])
    refused = cli("migrate", "--to", "postgres", "--json")
    assert (refused.code, refused.document["error"]) == (ExitCode.NOT_ALLOWED, "conflict")
    assert "acme/a.b" in refused.document["detail"]
    assert "--overwrite" in refused.document["detail"]
    replaced = cli("migrate", "--to", "postgres", "--overwrite", "--json")
    assert replaced.document["outcomes"] == {"there_already": 2, "replaced": 1}, replaced
    assert replaced.document["target"]["patterns"] == 38


def test_other_data_is_refused_before_anything_is_written(
    cli: Cli, source: JSONStorage, tmp_path: Path, database: str
) -> None:
    del database
    cli("migrate", "--to", "postgres")
    target = JSONStorage(tmp_path / "other")
    furnish(target, SCOPES[2], patterns=5)
    before = files(tmp_path / "other")
    refused = cli("migrate", "--to", "json", "--data-path", str(tmp_path / "other"))
    assert refused.code == ExitCode.NOT_ALLOWED
    assert "zoo/default" in refused.err
    assert files(tmp_path / "other") == before

    # Whoever has the folder open sees the other data first, and then what took its place.
    assert len(list(_keys(target, SCOPES[2]))) == 6
    done = cli("migrate", "--to", "json", "--data-path", str(tmp_path / "other"), "--overwrite", "--json")
    assert done.document["outcomes"] == {"copied": 2, "replaced": 1}, done
    assert list(_keys(target, SCOPES[2])) == list(_keys(source, SCOPES[2]))
    answer_the_same(source, target, SCOPES[2])
    target.close()


def test_replacing_rows_is_seen_by_a_process_that_remembers_them(
    cli: Cli, source: JSONStorage, tmp_path: Path, database: str
) -> None:
    """A reader keeps patterns from one recall to the next; the old ones must not be found or counted."""
    with closing(PostgresStorage(database_url=database)) as target:
        furnish(target, SCOPES[0], patterns=30)
        with target.scoped(SCOPES[0]).reading() as stores:
            stores.patterns.search(searches()[1])
        assert cli("migrate", "--to", "postgres", "--overwrite").code == ExitCode.OK
        answer_the_same(source, target, SCOPES[0])
        with closing(JSONStorage(tmp_path / "bare")) as bare, bare.scoped(SCOPES[0]).writing() as stores:
            stores.feedback.put(feedback("a", "no tests"))
        replaced = cli("migrate", "--to", "postgres", "--overwrite", "--data-path", str(tmp_path / "bare"))
        assert replaced.code == ExitCode.OK
        with target.scoped(SCOPES[0]).reading() as stores:
            assert [*stores.patterns.search(searches()[1])] == []


def test_one_scope_alone(cli: Cli, source: JSONStorage, database: str) -> None:
    del source
    one = cli("migrate", "--to", "postgres", "--tenant", "acme", "--project", "a.b", "--json")
    assert [(each["tenant"], each["project"]) for each in one.document["scopes"]] == [("acme", "a.b")]
    tenant = cli("migrate", "--to", "postgres", "--tenant", "acme", "--json")
    assert tenant.document["outcomes"] == {"copied": 1, "there_already": 1}
    mover = PostgresMover(database)
    assert set(mover.scopes()) == set(SCOPES[:2])
    mover.close()
    nothing = cli("migrate", "--to", "postgres", "--tenant", "nobody", "--json")
    assert (nothing.code, nothing.document["error"]) == (ExitCode.NOT_FOUND, "not_found")
    assert "nobody" in nothing.document["detail"]


def test_a_dry_run_writes_nothing(cli: Cli, source: JSONStorage, database: str) -> None:
    del source
    dry = cli("migrate", "--to", "postgres", "--dry-run", "--json")
    assert (dry.code, dry.document["outcomes"], dry.document["complete"]) == (0, {"copied": 3}, False)
    assert (dry.document["source"]["patterns"], dry.document["target"]["patterns"]) == (39, 0)
    mover = PostgresMover(database)
    assert mover.scopes() == []
    mover.close()
    told = cli("migrate", "--to", "postgres", "--dry-run").out
    assert "Would move 3 scopes" in told
    assert "39" in told


def test_it_says_what_was_done(cli: Cli, source: JSONStorage, database: str) -> None:
    del source, database
    told = cli("migrate", "--to", "postgres").out
    assert "Moved 3 scopes" in told
    assert "ENGRAMIA_STORAGE=postgres" in told


@pytest.mark.parametrize("to", ["json", "postgres"])
def test_without_an_address_it_says_so(cli: Cli, source: JSONStorage, to: str) -> None:
    del source
    ended = cli("migrate", "--to", to, "--json")
    assert ended.code == ExitCode.STORAGE
    assert "ENGRAMIA_DATABASE_URL" in ended.document["detail"]


def test_an_option_names_the_database(cli: Cli, source: JSONStorage, postgres_url: str) -> None:
    del source
    ended = cli("migrate", "--to", "postgres", "--database-url", postgres_url, "--json")
    assert ended.code == ExitCode.OK


def test_a_database_without_the_schema_is_refused(
    cli: Cli, source: JSONStorage, postgres_server: PrivateServer
) -> None:
    del source
    url = postgres_server.create_database("no_schema")
    ended = cli("migrate", "--to", "postgres", "--database-url", url, "--json")
    assert ended.code == ExitCode.STORAGE
    assert "engramia db upgrade" in ended.document["detail"]


def test_an_unknown_storage_is_refused(cli: Cli) -> None:
    assert cli("migrate", "--to", "sqlite").code == ExitCode.USAGE
    assert cli("migrate").code == ExitCode.USAGE


class Interrupting(JSONMover):
    """A mover to whose storage somebody writes just after a scope was read."""

    def __init__(self, path: Path, storage: JSONStorage, times: int) -> None:
        super().__init__(path)
        self._other, self._times = storage, times

    def learn(self, scope: Scope) -> None:
        if self._times:
            self._times -= 1
            with self._other.scoped(scope).writing() as stores:
                stores.patterns.add(record(500 + self._times, "learned meanwhile"), None)


class Told(PostgresMover):
    """A mover that lets somebody write to the source after each copy."""

    def __init__(self, url: str, source: Interrupting) -> None:
        super().__init__(url)
        self._source = source

    def replace(self, scope: Scope, contents: Contents, *, holding: Inventory | None) -> None:
        super().replace(scope, contents, holding=holding)
        self._source.learn(scope)


@pytest.mark.parametrize(("times", "outcome"), [(2, Outcome.COPIED), (99, Outcome.CHANGING)])
def test_what_is_written_meanwhile_is_copied_again_or_reported(
    source: JSONStorage, data_path: Path, database: str, times: int, outcome: Outcome
) -> None:
    reading = Interrupting(data_path, source, times)
    writing = Told(database, reading)
    (moved,) = move(reading, writing, SCOPES[:1])
    assert moved.outcome is outcome
    if outcome is Outcome.COPIED:
        assert moved.target.patterns == 13 + times
        here, there = _inventory(reading, SCOPES[0]), _inventory(writing, SCOPES[0])
        assert here == there == moved.target
    reading.close()
    writing.close()


def test_a_running_service_does_not_lead_to_silent_loss(
    cli: Cli, source: JSONStorage, data_path: Path, database: str
) -> None:
    """What is learned between two runs is not taken for moved."""
    del database
    assert cli("migrate", "--to", "postgres").code == ExitCode.OK
    cli("learn", "--task", "Learned by the old service", "--code", "pass", "--score", "7")
    again = cli("migrate", "--to", "postgres", "--json")
    assert again.document["outcomes"] == {"copied": 1, "there_already": 3}, again
    del source, data_path


def test_progress_is_told(source: JSONStorage, data_path: Path, database: str) -> None:
    del source
    steps: list[Step] = []
    reading, writing = JSONMover(data_path), PostgresMover(database)
    move(reading, writing, SCOPES, tell=steps.append)
    copying = [step for step in steps if step.doing == "copying"]
    assert {step.number for step in copying} == {1, 2, 3}
    assert copying[-1].done == copying[-1].patterns == 13
    reading.close()
    writing.close()


class BreakingError(Exception):
    """Stands for whatever can go wrong half way."""


def broken(contents: Contents) -> Contents:
    def patterns() -> Iterator[Any]:
        for number, one in enumerate(contents.patterns):
            if number == 5:
                raise BreakingError
            yield one

    return replace(contents, patterns=patterns())


def test_a_failure_half_way_changes_nothing(
    source: JSONStorage, data_path: Path, database: str, tmp_path: Path
) -> None:
    del source
    reading, back = JSONMover(data_path), JSONMover(tmp_path / "back")
    for target in (PostgresMover(database), back):
        for scope in SCOPES[:2]:
            with reading.reading(SCOPES[0]) as contents, pytest.raises(BreakingError):
                target.replace(scope, broken(contents), holding=None)
        assert inventories(target) == {}
        move(reading, target, SCOPES)
        before = inventories(target)
        with reading.reading(SCOPES[0]) as contents, pytest.raises(BreakingError):
            target.replace(SCOPES[1], broken(contents), holding=None)
        with reading.reading(SCOPES[0]) as contents, pytest.raises(ConflictError):
            target.replace(SCOPES[1], contents, holding=NOTHING)
        assert inventories(target) == before
        target.close()
    reading.close()


def _inventory(mover: Mover, scope: Scope) -> Inventory:
    return inventories(mover)[scope]


def _keys(storage: JSONStorage, scope: Scope) -> Iterator[Any]:
    with storage.scoped(scope).reading() as stores:
        yield from [record.pattern.key for record in stores.patterns.records(Filter())]
