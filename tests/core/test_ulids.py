import re
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from engramia.core.ulids import RANDOM_BYTES, ulid

# Up to when ULIDs of 48 bits and Python's moments both reach.
MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
RANDOM = st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES)


def test_the_time_is_written_as_the_specification_does() -> None:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=1469918176385)
    assert ulid(moment, bytes(16)) == "01aryz6s41" + "0" * 16


def test_five_bits_of_each_random_byte_are_one_character() -> None:
    assert ulid(datetime(1970, 1, 1, tzinfo=UTC), bytes(range(16, 32))) == "0" * 10 + "ghjkmnpqrstvwxyz"
    assert {ulid(datetime(1970, 1, 1, tzinfo=UTC), bytes([byte] * 16))[-1] for byte in range(256)} == set(
        "0123456789abcdefghjkmnpqrstvwxyz"
    )


@given(MOMENTS, MOMENTS, RANDOM, RANDOM)
def test_ulids_sort_by_their_milliseconds(one: datetime, other: datetime, some: bytes, more: bytes) -> None:
    first, second = ulid(one, some), ulid(other, more)
    assert re.fullmatch("[0-7][0-9a-hjkmnp-tv-z]{25}", first)
    if abs(one - other) > timedelta(milliseconds=1):
        assert (first < second) == (one < other)
