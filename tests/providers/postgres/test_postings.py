"""Rows of postings: wide blocks for rare roots, narrow ones for those that many patterns have."""

from collections.abc import Iterator

import numpy as np
import psycopg
import pytest

from engramia.core.model import Scope
from engramia.core.query import Filter
from engramia.providers.postgres.storage import PostgresStorage
from engramia.providers.postgres.words import BLOCK, MEMBER_BYTES, NARROW, first_numbers, unpack_members
from tests.contract.samples import key, record

pytestmark = pytest.mark.slow  # a database server

_ROWS = "SELECT field, root, block, members FROM word_postings"
_COMMON = "read the ledger"


@pytest.fixture
def storage(postgres_url: str) -> Iterator[PostgresStorage]:
    opened = PostgresStorage(database_url=postgres_url)
    yield opened
    opened.close()


def store(storage: PostgresStorage, first: int, count: int) -> None:
    with storage.scoped(Scope()).writing() as stores:
        for number in range(first, first + count):
            stores.patterns.add(record(number, f"{_COMMON} of week{number}"), None)


def postings(url: str) -> dict[tuple[int, int], dict[int, bytes]]:
    """Return by root, with its field, the members of each of its blocks."""
    found: dict[tuple[int, int], dict[int, bytes]] = {}
    with psycopg.connect(url) as connection:
        for field, root, block, members in connection.execute(_ROWS):
            found.setdefault((field, root), {})[block] = members
    return found


def numbers_of(blocks: dict[int, bytes]) -> list[int]:
    return sorted(
        number for block, members in blocks.items() for number in unpack_members(block, members).tolist()
    )


def test_no_row_grows_with_the_scope_and_none_loses_a_pattern(
    storage: PostgresStorage, postgres_url: str
) -> None:
    for first in range(0, 700, 100):
        store(storage, first, 100)
    found = postings(postgres_url)
    assert (
        max(len(members) for blocks in found.values() for members in blocks.values()) <= NARROW * MEMBER_BYTES
    )
    common = [blocks for blocks in found.values() if len(numbers_of(blocks)) == 700]
    assert common
    for blocks in common:
        assert numbers_of(blocks) == list(range(700))
        assert {block for block in blocks if block >= 0} == {0}  # from when it was rare
        assert {block for block in blocks if block < 0} == {-1, -2, -3}
    rare = [blocks for blocks in found.values() if len(numbers_of(blocks)) == 1]
    assert rare
    assert {block for blocks in rare for block in blocks} == {0}


def test_patterns_are_taken_out_of_wide_and_of_narrow_blocks(
    storage: PostgresStorage, postgres_url: str
) -> None:
    store(storage, 0, 200)
    store(storage, 200, 200)
    scope, left = storage.scoped(Scope()), [3, 250, 399]
    with scope.writing() as stores:
        stores.patterns.delete([key(number) for number in range(400) if number not in left])
    assert set(map(tuple, map(numbers_of, postings(postgres_url).values()))) >= {(3, 250, 399)}
    with scope.reading() as stores:
        near = stores.patterns.near_identical(f"{_COMMON} of week250", 0.9)
        assert [pattern.key for pattern in near] == [key(250)]
        assert [one.pattern.key for one in stores.patterns.records(Filter())] == [key(n) for n in left]
    with scope.writing() as stores:
        stores.patterns.delete([key(number) for number in left])
    assert postings(postgres_url) == {}


def test_a_block_says_from_which_number_its_members_are_counted() -> None:
    narrow = [-1 - number // NARROW for number in (0, NARROW, BLOCK - 1, BLOCK, 3 * BLOCK + NARROW)]
    assert first_numbers(np.array(narrow)).tolist() == [0, 0, 0, BLOCK, 3 * BLOCK]
    assert first_numbers(np.array([0, 1, 7])).tolist() == [0, BLOCK, 7 * BLOCK]
