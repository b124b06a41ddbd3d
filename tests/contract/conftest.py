"""The storages that the contract is asked of; each is a way to open one over a place of its own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engramia.core.model import Scope
from engramia.core.ports import ScopedStorage, Storage
from engramia.providers.json.storage import JSONStorage
from engramia.providers.postgres.storage import PostgresStorage

type Open = Callable[[], Storage]


def _json(request: pytest.FixtureRequest) -> Storage:
    place: Path = request.getfixturevalue("tmp_path")
    return JSONStorage(place / "data")


def _postgres(request: pytest.FixtureRequest) -> Storage:
    return PostgresStorage(database_url=request.getfixturevalue("postgres_url"))


_FACTORIES: dict[str, Callable[[pytest.FixtureRequest], Storage]] = {"json": _json, "postgres": _postgres}
_PARAMS = ["json", pytest.param("postgres", marks=pytest.mark.slow)]


@pytest.fixture(params=_PARAMS)
def open_storage(request: pytest.FixtureRequest) -> Iterator[Open]:
    """Open the same storage as often as asked; all are closed at the end."""
    opened: list[Storage] = []

    def open_once() -> Storage:
        opened.append(_FACTORIES[request.param](request))
        return opened[-1]

    yield open_once
    for storage in opened:
        storage.close()


@pytest.fixture
def storage(open_storage: Open) -> Storage:
    return open_storage()


@pytest.fixture
def scope(storage: Storage) -> ScopedStorage:
    return storage.scoped(Scope())


@pytest.fixture
def elsewhere(open_storage: Open) -> ScopedStorage:
    """The same scope, opened a second time."""
    return open_storage().scoped(Scope())
