"""What a storage tells a worker: that there are jobs, when the first is due, that it is away for a moment."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engramia.core.jobs import JobStatus
from engramia.core.model import Scope
from engramia.core.ports import JobStore
from engramia.errors import StorageError, StorageUnavailableError
from engramia.memory.facade import Memory
from engramia.providers.json.storage import JSONStorage
from engramia.server.jobs.queue import JobQueue
from tests.server.jobs.conftest import SOON, Shop, handler, new_id, quick


class Announcing(JSONStorage):
    """A storage that tells of jobs, knows when they are due, and may be away."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.listening: list[Callable[[], None]] = []
        self.due: datetime | None = None
        self.failures: list[StorageError] = []

    def announce_jobs(self, tell: Callable[[], None]) -> "Told":
        self.listening.append(tell)
        return Told(self.listening, tell)

    def scopes_with_jobs(self) -> Mapping[Scope, Any]:
        return dict.fromkeys(super().scopes_with_jobs(), self.due)

    @contextmanager
    def jobs(self, scope: Scope) -> Iterator[JobStore]:
        if self.failures:
            raise self.failures.pop()
        with super().jobs(scope) as found:
            yield found


class Told:
    def __init__(self, listening: list[Callable[[], None]], tell: Callable[[], None]) -> None:
        self._listening, self._tell = listening, tell

    def close(self) -> None:
        self._listening.remove(self._tell)


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Announcing]:
    opened = Announcing(tmp_path / "announcing")
    yield opened
    opened.close()


@pytest.fixture
def elsewhere(storage: Announcing) -> Iterator[JobQueue]:
    """Where another process hands in jobs."""
    other = JSONStorage(storage.path)
    yield JobQueue(other, Shop(other).clock, new_id)
    other.close()


def echo(_memory: Memory, request: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"said": request}


def test_a_job_of_another_process_that_is_told_of_is_taken_up_at_once(
    storage: Announcing, elsewhere: JobQueue
) -> None:
    shop = Shop(storage)
    worker = shop.start(quick(poll_interval=600.0), work=handler(echo))
    shop.submit()
    assert shop.next_end() == ("work", JobStatus.COMPLETED)
    elsewhere.submit(Scope(), "work", {})
    (tell,) = storage.listening
    tell()
    assert shop.next_end() == ("work", JobStatus.COMPLETED)
    worker.stop(SOON)
    assert storage.listening == [], "who has stopped listens no more"


def test_a_scope_is_not_opened_before_its_first_job_is_due(storage: Announcing) -> None:
    shop = Shop(storage)
    storage.due = shop.clock.now() + timedelta(seconds=0.3)
    job = shop.submit()
    worker = shop.start(quick(poll_interval=600.0), work=handler(echo))
    assert shop.next_end() == ("work", JobStatus.COMPLETED)
    started = shop.get(job).started_at
    assert started is not None
    assert started >= storage.due
    worker.stop(SOON)


@pytest.mark.parametrize(
    ("error", "again"),
    [(StorageUnavailableError("away"), True), (StorageError("broken"), False)],
    ids=["away", "broken"],
)
def test_a_scope_that_is_only_away_is_asked_again_at_the_next_look(
    storage: Announcing, error: StorageError, again: bool, caplog: pytest.LogCaptureFixture
) -> None:
    storage.failures = [error]
    shop = Shop(storage)
    shop.submit()
    with caplog.at_level(logging.WARNING, "engramia.jobs"):
        worker = shop.start(work=handler(echo))
        if again:
            assert shop.next_end() == ("work", JobStatus.COMPLETED)
        else:
            shop.submit(scope=Scope("an", "other"))
            assert shop.next_end() == ("work", JobStatus.COMPLETED)
            assert shop.ended.empty(), "the broken one rests"
        worker.stop(SOON)
    assert str(error) in caplog.text
