"""The corpus itself, and a small app under it."""

from collections import Counter
from itertools import islice

import pytest

from tests.server.kit.edge_app import AUTHORIZED, edge
from tests.server.malformed import COUNT, Malformed, fire, malformed

pytestmark = pytest.mark.slow


def frozen(one: Malformed) -> tuple[object, ...]:
    return (one.headers, one.body if isinstance(one.body, bytes) else "chunks", one.what)


def test_it_is_the_same_every_time_and_of_many_kinds() -> None:
    first, second = ([frozen(one) for one in islice(malformed(), 900)] for _ in range(2))
    assert first == second
    assert len({what for _, _, what in first}) > 150
    assert any("bomb" in str(what) for _, _, what in first)
    assert any("100 MB" in str(what) for _, _, what in first)


def test_a_small_app_refuses_each_without_a_5xx() -> None:
    statuses = Counter[int]()
    with edge() as address:
        for one in islice(malformed(), 850):
            answer = fire(address, "/v1/learn", one, headers=AUTHORIZED)
            assert answer.status < 500, one.what
            assert answer.status == 200 or answer.json()["detail"], one.what
            statuses[answer.status] += 1
    assert statuses.keys() == {200, 400, 413, 415}


@pytest.mark.slow
def test_there_are_ten_thousand() -> None:
    assert sum(1 for _ in malformed()) == COUNT
