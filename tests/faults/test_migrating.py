"""`engramia migrate` killed at random: each scope of the target is empty or whole, and in the end all are."""

import random
import subprocess
import time
from pathlib import Path

import pytest

from engramia.core.contents import Inventory
from engramia.core.model import Scope
from engramia.core.ports import Mover
from engramia.providers.json.moving import JSONMover
from engramia.providers.json.storage import JSONStorage
from engramia.providers.postgres.moving import PostgresMover
from tests.cli.conftest import COMMAND, process_environment
from tests.moving import furnish, inventories

pytestmark = pytest.mark.soak  # a database server, and real processes killed

_SCOPES = [Scope("acme", f"p{number}") for number in range(6)]


def migrate(data_path: Path, url: str, to: str) -> "subprocess.Popen[bytes]":
    environment = process_environment(data_path, ENGRAMIA_DATABASE_URL=url)
    return subprocess.Popen([*COMMAND, "migrate", "--to", to], env=environment, stdout=subprocess.DEVNULL)


def begun(target: Mover, process: "subprocess.Popen[bytes]") -> None:
    """Wait until the first scope is there, or the process has ended."""
    while not target.scopes() and process.poll() is None:
        time.sleep(0.005)


def kill_and_finish(data_path: Path, url: str, to: str, source: Mover, target: Mover, seed: int) -> int:
    """Kill it until it has nothing left to do; return how often it died with work left."""
    chance = random.Random(seed)  # noqa: S311 - when to kill is no secret
    whole, killed = inventories(source), 0
    for turn in range(8):
        process = migrate(data_path, url, to)
        if turn % 2 == 0:
            begun(target, process)
        time.sleep(chance.uniform(0.0, 0.4 if turn % 2 == 0 else 1.4))
        process.kill()
        killed += process.wait() < 0
        check_whole(inventories(target), whole)
    assert migrate(data_path, url, to).wait(60) == 0
    assert inventories(target) == whole
    assert inventories(source) == whole
    return killed


def check_whole(found: dict[Scope, Inventory], whole: dict[Scope, Inventory]) -> None:
    for scope, inventory in found.items():
        assert inventory == whole[scope]


def there_and_back(tmp_path: Path, url: str, seed: int, patterns: int) -> int:
    storage = JSONStorage(tmp_path / "data", sync=False)
    for scope in _SCOPES:
        furnish(storage, scope, patterns)
    storage.close()
    folder, back, database = JSONMover(tmp_path / "data"), JSONMover(tmp_path / "back"), PostgresMover(url)
    killed = kill_and_finish(tmp_path / "data", url, "postgres", folder, database, seed)
    killed += kill_and_finish(tmp_path / "back", url, "json", database, back, seed + 1)
    for mover in (folder, back, database):
        mover.close()
    return killed


def test_killed_migrations_finish_with_exact_content(tmp_path: Path, postgres_url: str) -> None:
    assert there_and_back(tmp_path, postgres_url, seed=1, patterns=60) > 0


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(10, 15))
def test_often_killed_migrations_finish_with_exact_content(
    tmp_path: Path, postgres_url: str, seed: int
) -> None:
    assert there_and_back(tmp_path, postgres_url, seed=seed, patterns=250) > 0
