"""What every test may ask for, and what a run need not read."""

import gc
import os
import re
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import hypothesis
import pytest

from engramia import Memory
from engramia.core.embedding import Embeddings
from engramia.providers import JSONStorage
from engramia.testing import FrozenClock, HashEmbeddings
from tests.postgres import migrated_url, postgres_server, postgres_url

__all__ = ["migrated_url", "postgres_server", "postgres_url"]

type MakeMemory = Callable[..., Memory]

START = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)

# What is made while the tests are read stays to the end: there is nothing in it to free.
gc.disable()

# An example may take as long as it likes: that a machine stands still for a moment is no fault of it.
hypothesis.settings.register_profile("engramia", deadline=None)
hypothesis.settings.load_profile("engramia")

_IN_MEMORY = Path("/dev/shm")
_ROOM = 2 * 1024**3  # bytes; all tests together write some hundred million

_LEFT_OUT = re.compile(r"\bnot (slow|soak)\b")
_WHOLE_FILE = re.compile(r"^pytestmark = \[?pytest\.mark\.(slow|soak)\b", re.MULTILINE)


def _left_out(config: pytest.Config) -> list[str]:
    """Return which of the marks `slow` and `soak` a run does without."""
    asked = str(config.option.markexpr)
    return [] if " or " in asked else _LEFT_OUT.findall(asked)


def pytest_configure(config: pytest.Config) -> None:
    """Keep files in memory where that is to be had: only the fault tests may mind what a power cut takes."""
    if "soak" in _left_out(config) and _IN_MEMORY.is_dir() and shutil.disk_usage(_IN_MEMORY).free > _ROOM:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_IN_MEMORY))  # noqa: TID251 - a setting of pytest's


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave a file unread if the run wants none of its tests: what a test imports costs more than it."""
    if collection_path.suffix != ".py":
        return None
    mark = _WHOLE_FILE.search(collection_path.read_text(encoding="utf-8"))
    return True if mark and mark[1] in _left_out(config) else None


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


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
