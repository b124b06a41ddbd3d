from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engramia.providers.json import codec

ANYWHERE = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=ANYWHERE)  # noqa: DTZ001 - hypothesis wants it


@given(MOMENTS, MOMENTS)
@example(datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 2, 0, 0, 0, 1, tzinfo=UTC))
def test_moments_come_back_and_sort_as_their_texts_do(one: datetime, other: datetime) -> None:
    texts = [codec.time_text(one), codec.time_text(other)]
    assert [codec.time_of(text) for text in texts] == [one, other]
    assert {len(text) for text in texts} == {27}
    assert (texts[0] < texts[1]) == (one < other)


def test_vectors_come_back_bit_by_bit() -> None:
    vectors = np.random.default_rng(3).standard_normal((3, 5), dtype=np.float32)
    texts = [codec.vector_text(vector) for vector in vectors]
    assert codec.vectors_of(texts).tobytes() == vectors.tobytes()
    assert {codec.dimension_of(text) for text in texts} == {5}


def test_a_vector_in_columns_is_stored_in_order() -> None:
    across = np.arange(12, dtype=np.float32).reshape(3, 4)[:, 1]
    assert codec.vectors_of([codec.vector_text(across)]).tolist() == [[1.0, 5.0, 9.0]]


@pytest.mark.parametrize("text", ["AAAA*AAA", "AAAAA", "AAAA AAAA"])
def test_what_is_no_base64_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"base64|padding|Invalid"):
        codec.vectors_of([text])
