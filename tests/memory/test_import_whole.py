"""Importing all or nothing."""

from collections.abc import Iterator
from typing import Any

import pytest

from engramia import Memory
from engramia.core import limits
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
