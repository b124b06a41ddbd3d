"""Importing all or nothing, and batch by batch."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from engramia import Memory
from engramia.core import limits
from engramia.core.model import ImportResult
from engramia.errors import QuotaExceededError
from engramia.memory.engine import Engine
from engramia.memory.transfer import import_next
from tests.conftest import MakeMemory
from tests.contract.samples import key

COUNT = 2 * limits.EMBED_BATCH + 10


def records() -> list[dict[str, Any]]:
    """Several batches, with a bad record and one that comes twice."""
    made: list[dict[str, Any]] = [
        {"version": 1, "key": key(number), "data": {"task": f"t {number}", "code": "x", "success_score": 5}}
        for number in range(COUNT)
    ]
    made[3] = {"version": 1, "key": key(3), "data": {"task": "", "code": "x", "success_score": 5}}
    made[COUNT - 1] = made[0]
    return made


def breaks_off() -> Iterator[dict[str, Any]]:
    yield from records()
    raise ConnectionError("the rest never came")


def count(memory: Memory) -> int:
    return memory.metrics().pattern_count


def test_the_whole_is_the_same_as_in_parts(make_memory: MakeMemory) -> None:
    whole, parts = make_memory(folder="whole"), make_memory(folder="parts")
    result = whole.import_data(records(), whole=True)
    assert result == parts.import_data(records())
    assert (result.imported, result.skipped, result.total) == (COUNT - 2, 2, COUNT)
    assert [skip.index for skip in result.reasons] == [3, COUNT - 1]
    assert whole.recall("t 5", readonly=True) == parts.recall("t 5", readonly=True)


def test_what_breaks_off_leaves_nothing_of_the_whole_and_the_parts_that_were_done(
    make_memory: MakeMemory,
) -> None:
    whole, parts = make_memory(folder="whole"), make_memory(folder="parts")
    with pytest.raises(ConnectionError):
        whole.import_data(breaks_off(), whole=True)
    with pytest.raises(ConnectionError):
        parts.import_data(breaks_off())
    assert (count(whole), count(parts)) == (0, 2 * limits.EMBED_BATCH - 1)


def test_progress_is_told_batch_by_batch(memory: Memory) -> None:
    told: list[tuple[int, int]] = []
    memory.import_data(records(), whole=True, progress=lambda done, total: told.append((done, total)))
    batch = limits.EMBED_BATCH
    assert told == [(batch, batch), (2 * batch, 2 * batch), (COUNT, COUNT)]


def test_a_whole_of_nothing_is_nothing(memory: Memory) -> None:
    result = memory.import_data([], whole=True)
    assert (result.imported, result.skipped, result.total) == (0, 0, 0)


def in_batches(engine: Engine, values: list[Any], *, overwrite: bool = False) -> list[ImportResult]:
    """Return what each batch added up to."""
    results = [ImportResult(0, 0, 0)]
    while results[-1].total < len(values):
        results.append(import_next(engine, values, results[-1], overwrite=overwrite))
    return results[1:]


@pytest.mark.parametrize("overwrite", [False, True])
def test_batch_by_batch_is_the_same_as_the_whole(make_memory: MakeMemory, overwrite: bool) -> None:
    whole, batches = make_memory(folder="whole"), make_memory(folder="batches")
    for memory in (whole, batches):
        memory.import_data(records()[5:6])
    results = in_batches(batches.engine, records(), overwrite=overwrite)
    assert results[-1] == whole.import_data(records(), overwrite=overwrite, whole=True)
    assert [result.total for result in results] == [limits.EMBED_BATCH, 2 * limits.EMBED_BATCH, COUNT]
    assert batches.export() == whole.export()


def test_what_will_not_fit_is_refused_before_its_first_batch(memory: Memory) -> None:
    small = replace(memory.engine, max_patterns=COUNT - 3)
    with pytest.raises(QuotaExceededError):
        in_batches(small, records())
    assert count(memory) == 0
    enough = replace(memory.engine, max_patterns=COUNT - 2)
    assert in_batches(enough, records())[-1].imported == COUNT - 2


def test_a_batch_that_does_not_fit_any_more_is_refused_as_a_whole(memory: Memory) -> None:
    small = replace(memory.engine, max_patterns=COUNT - 2)
    first = import_next(small, records(), ImportResult(0, 0, 0), overwrite=False)
    memory.learn(task="one that came in between", code="x", eval_score=5)
    second = import_next(small, records(), first, overwrite=False)
    with pytest.raises(QuotaExceededError):
        import_next(small, records(), second, overwrite=False)
    assert count(memory) == second.imported + 1 == 2 * limits.EMBED_BATCH


def test_long_records_go_in_by_fewer_at_a_time(memory: Memory) -> None:
    """A batch is written in moments, however long its records are; one that is too long goes alone."""
    data = {"code": "x" * 450_000, "success_score": 5}
    values: list[Any] = [
        {"version": 1, "key": key(number), "data": {"task": f"t {number}"} | data} for number in range(5)
    ]
    values.insert(4, "no record and " + "x" * limits.IMPORT_BATCH_CHARS)
    results = in_batches(memory.engine, values)
    assert [(result.total, result.imported) for result in results] == [(4, 4), (5, 4), (6, 5)]
