"""The matrix of vectors: products in every company, over block edges, on the thread that asks."""

import numpy as np
import pytest

from engramia.core.vectors import Vectors, has_avx512

_RANDOM = np.random.default_rng(3)


def _filled(rows: int, dimension: int, *, small_products: bool = True) -> tuple[Vectors, np.ndarray]:
    made = _RANDOM.standard_normal((rows, dimension), dtype=np.float32)
    vectors = Vectors(small_products=small_products)
    vectors.put(np.arange(rows), made)
    return vectors, made


@pytest.mark.parametrize("dimension", [1, 7, 384, 1536, 5000])
@pytest.mark.parametrize("queries", [1, 2, 11, 12, 40])
@pytest.mark.parametrize("small_products", [True, False])
def test_products_are_those_of_the_whole_matrix(
    queries: int, dimension: int, *, small_products: bool
) -> None:
    vectors, made = _filled(131, dimension, small_products=small_products)
    asked = _RANDOM.standard_normal((queries, dimension), dtype=np.float32)
    found = vectors.dot(asked, 131)
    assert found.shape == (queries, 131)
    np.testing.assert_allclose(found, asked @ made.T, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("size", [1, 4095, 4096, 4097, 8192, 8200])
@pytest.mark.parametrize("queries", [1, 3, 16])
def test_products_go_over_the_edges_of_blocks(queries: int, size: int) -> None:
    vectors, made = _filled(8200, 4)
    asked = _RANDOM.standard_normal((queries, 4), dtype=np.float32)
    np.testing.assert_allclose(vectors.dot(asked, size), asked @ made[:size].T, rtol=1e-4, atol=1e-4)


def test_rows_beyond_the_last_vector_have_no_product() -> None:
    vectors, made = _filled(3, 2)
    found = vectors.dot(np.ones((2, 2), np.float32), 5000)
    np.testing.assert_allclose(found[:, :3], np.tile(made.sum(axis=1), (2, 1)), rtol=1e-5)
    assert not found[:, 3:].any()


def test_rows_are_taken_across_blocks_and_absent_ones_are_zero() -> None:
    vectors, made = _filled(8200, 3)
    rows = np.array([8199, 0, 4096, 4095, 20_000])
    taken = vectors.take(rows)
    np.testing.assert_array_equal(taken[:4], made[rows[:4]])
    assert not taken[4].any()


@pytest.mark.parametrize("step", [1, 63, 1000, 4095])
def test_rows_that_come_by_and_by_are_all_held(step: int) -> None:
    made = _RANDOM.standard_normal((9000, 3), dtype=np.float32)
    vectors = Vectors()
    for start in range(0, len(made), step):
        rows = np.arange(start, min(start + step, len(made)))
        vectors.put(rows, made[rows])
    np.testing.assert_array_equal(vectors.take(np.arange(len(made))), made)
    np.testing.assert_allclose(vectors.dot(made[:2], len(made)), made[:2] @ made.T, atol=1e-5)


def test_rows_beyond_those_put_are_zero() -> None:
    vectors, made = _filled(70, 384)
    rows = np.array([69, 70, 1000, 20_000])
    np.testing.assert_array_equal(vectors.take(rows)[:1], made[69:])
    assert not vectors.take(rows)[1:].any()
    vectors.clear(1000)
    found = vectors.dot(made[:3], 5000)
    np.testing.assert_allclose(found[:, :70], made[:3] @ made.T, rtol=1e-5, atol=1e-3)
    assert not found[:, 70:].any()


@pytest.mark.parametrize(
    ("simd", "expected"),
    [
        ({"baseline": ["X86_V2"], "found": ["X86_V3", "X86_V4", "AVX512_ICL"]}, True),
        ({"baseline": ["SSE"], "found": ["AVX2", "AVX512F"]}, True),
        ({"baseline": ["X86_V2"], "found": ["X86_V3"], "not found": ["X86_V4", "AVX512_ICL"]}, False),
        ({"baseline": ["NEON", "ASIMD"]}, False),
        ({}, False),
    ],
)
def test_what_numpy_says_of_the_processor(simd: dict[str, list[str]], *, expected: bool) -> None:
    assert has_avx512(simd) is expected
