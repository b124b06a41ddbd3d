import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engramia.errors import ProviderNotConfiguredError
from engramia.providers.local.batches import MAX_BATCH_TOKENS, plan_batches
from engramia.providers.local.cache import cached
from engramia.providers.local.graph import build_graph
from engramia.providers.local.tensors import Tensors


@given(st.lists(st.integers(2, 256), max_size=200))
def test_batches_hold_every_row_once_and_stay_small(lengths: list[int]) -> None:
    batches = list(plan_batches(lengths))

    assert sorted(position for batch in batches for position in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[position] for position in batch)
        assert longest * len(batch) <= MAX_BATCH_TOKENS
        assert sum(longest - lengths[position] for position in batch) <= 64
    for shorter, longer in pairwise(batches):
        assert max(lengths[position] for position in shorter) <= min(lengths[position] for position in longer)


def test_rows_of_one_length_share_a_batch() -> None:
    assert len(list(plan_batches([10] * 40))) == 1


def write_tensors(path: Path, header: Mapping[str, object], body: bytes) -> Path:
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)
    return path


def test_tensors_are_read(tmp_path: Path) -> None:
    values = np.arange(6, dtype="<f4")
    entries = {
        "a": {"dtype": "F32", "shape": [2, 2], "data_offsets": [8, 24]},
        "b": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
    }
    tensors = Tensors(write_tensors(tmp_path / "t", entries, values.tobytes()), {"a": (2, 2), "b": (2,)})
    tensors.release()

    np.testing.assert_array_equal(tensors["a"], [[2, 3], [4, 5]])
    np.testing.assert_array_equal(tensors["b"], [0, 1])


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]},
        {"dtype": "F32", "shape": [2]},
        {},
        None,
    ],
)
def test_tensors_of_another_kind_are_refused(tmp_path: Path, entry: object) -> None:
    path = write_tensors(tmp_path / "t", {"a": entry}, bytes(8))

    with pytest.raises(ProviderNotConfiguredError, match=str(path)):
        Tensors(path, {"a": (2,)})


@pytest.mark.parametrize(
    "content", [b"", b"abc", b"\xff" * 8, bytes(8), b"\x02" + bytes(7) + b"[]", b"\x05" + bytes(7) + b"hello"]
)
def test_files_of_another_format_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t"
    path.write_bytes(content)

    with pytest.raises(ProviderNotConfiguredError, match=str(path)):
        Tensors(path, {"a": (2,)})


def test_the_cache_builds_once(tmp_path: Path) -> None:
    path = tmp_path / "below" / "graph"
    built: list[int] = []

    def build() -> bytes:
        built.append(1)
        return b"graph"

    assert [cached(path, build), cached(path, build)] == [b"graph", b"graph"]
    assert len(built) == 1
    assert [file.name for file in path.parent.iterdir()] == ["graph"]


def test_many_may_fill_the_cache_at_once(tmp_path: Path) -> None:
    path = tmp_path / "graph"
    meet = Barrier(8)

    def build() -> bytes:
        meet.wait()  # all have found the cache empty
        return b"graph" * 10_000

    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: cached(path, build), range(8)))

    assert found == {b"graph" * 10_000}
    assert [file.name for file in tmp_path.iterdir()] == ["graph"]
    assert cached(path, lambda: b"not needed") == b"graph" * 10_000


def test_the_graph_is_small_and_always_the_same() -> None:
    graph = build_graph()

    assert graph == build_graph()
    assert len(graph) < 100_000
