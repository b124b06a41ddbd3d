from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

from engramia.core.embedding import Embeddings
from engramia.testing import FrozenClock, HashEmbeddings


def test_hash_vectors_are_unit_rows_and_always_the_same() -> None:
    model: Embeddings = HashEmbeddings(64)
    vectors = model.embed(["sort a list", "", "\ud800", "?!"])

    assert vectors.shape == (4, 64)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert vectors.tobytes() == HashEmbeddings(64).embed(["sort a list", "", "\ud800", "?!"]).tobytes()
    assert model.model != HashEmbeddings(32).model
    assert model.embed([]).shape == (0, 64)


def test_shared_words_are_similar() -> None:
    near, far, base = HashEmbeddings().embed(["Sort the LIST, now", "bake bread at dawn", "sort the list"])

    assert base @ near > 0.8
    assert abs(base @ far) < 0.3


def test_a_frozen_clock_moves_only_when_told() -> None:
    clock = FrozenClock(datetime(2026, 5, 1, 12, tzinfo=timezone(timedelta(hours=2))))

    assert clock.now() == clock.now() == datetime(2026, 5, 1, 10, tzinfo=UTC)
    assert clock.now().tzinfo is UTC
    clock.advance(timedelta(days=1, seconds=1))
    assert clock.now() == datetime(2026, 5, 2, 10, 0, 1, tzinfo=UTC)


def test_a_frozen_clock_refuses_naive_times() -> None:
    with pytest.raises(ValueError, match="aware"):
        FrozenClock(datetime(2026, 5, 1))  # noqa: DTZ001 (the naive time is the point)
