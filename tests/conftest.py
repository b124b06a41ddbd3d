"""What every test may ask for."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engramia import Memory
from engramia.core.embedding import Embeddings
from engramia.providers import JSONStorage
from engramia.testing import FrozenClock, HashEmbeddings
from tests.postgres import migrated_url, postgres_server, postgres_url

__all__ = ["migrated_url", "postgres_server", "postgres_url"]

type MakeMemory = Callable[..., Memory]

START = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(START)


@pytest.fixture
def make_memory(tmp_path: Path, clock: FrozenClock) -> Iterator[MakeMemory]:
    """Open memories over `tmp_path`, by default with hashed embeddings and the frozen clock."""
    opened: list[Memory] = []

    def make(*, folder: str = "data", embeddings: Embeddings | None = HashEmbeddings()) -> Memory:  # noqa: B008 - immutable
        memory = Memory(embeddings=embeddings, storage=JSONStorage(tmp_path / folder), clock=clock)
        opened.append(memory)
        return memory

    yield make
    for memory in opened:
        memory.close()


@pytest.fixture
def memory(make_memory: MakeMemory) -> Memory:
    return make_memory()
