import math

import numpy as np
import pytest

from engramia.core.embedding import unit_rows


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_get_length_one(dtype: type[np.float32 | np.float64]) -> None:
    rows = unit_rows(np.array([[3, 4], [0, 0], [1e30, 1e30], [1e-30, 0]], dtype=dtype))

    root = math.sqrt(0.5)
    np.testing.assert_allclose(rows, np.array([[0.6, 0.8], [0, 0], [root, root], [1, 0]]), rtol=1e-6)
    assert rows.dtype == np.float32


def test_no_rows() -> None:
    assert unit_rows(np.empty((0, 3))).shape == (0, 3)
