"""One transaction for all that one piece of work writes."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engramia.core.model import Scope
from engramia.core.ports import ScopedStorage, Stores
from engramia.errors import StorageError
from engramia.providers.json.storage import JSONStorage
from engramia.server.kit.one_transaction import OneTransaction
from tests.contract.samples import record


@pytest.fixture
def scope(tmp_path: Path) -> Iterator[ScopedStorage]:
    storage = JSONStorage(tmp_path)
    yield storage.scoped(Scope())
    storage.close()


def add(number: int) -> Callable[[Stores], None]:
    return lambda stores: stores.patterns.add(record(number), None)


def count(storage: ScopedStorage) -> int:
    with storage.reading() as stores:
        return stores.patterns.count()


class Boom(Exception):
    pass


def test_what_comes_at_the_end_is_written_in_order_and_kept_with_the_rest(scope: ScopedStorage) -> None:
    unit, seen = OneTransaction(scope), list[int]()
    with unit.transaction():
        for number in (2, 3):
            unit.at_end(lambda stores: seen.append(stores.patterns.count()))
            unit.at_end(add(number))
        with unit.writing() as stores:
            add(1)(stores)
        assert seen == []
    assert seen == [1, 2]
    assert count(scope) == 3


def test_it_is_kept_also_when_nothing_else_was_written(scope: ScopedStorage) -> None:
    unit = OneTransaction(scope)
    with unit.transaction():
        assert count(unit) == 0
        unit.at_end(add(1))
        assert not unit.is_open
    assert count(scope) == 1


def fail_at_the_end(unit: OneTransaction) -> None:
    def fail(_: Stores) -> None:
        raise Boom

    with unit.transaction():
        with unit.writing() as stores:
            add(1)(stores)
        unit.at_end(fail)


def fail_in_between(unit: OneTransaction) -> None:
    with unit.transaction():
        with unit.writing() as stores:
            add(1)(stores)
        unit.at_end(add(2))
        raise Boom


@pytest.mark.parametrize("fail", [fail_at_the_end, fail_in_between])
def test_a_failure_leaves_nothing_and_tells_nobody(
    scope: ScopedStorage, fail: Callable[[OneTransaction], None]
) -> None:
    unit, told = OneTransaction(scope), list[int]()
    unit.after_commit(lambda: told.append(count(scope)))
    with pytest.raises(Boom):
        fail(unit)
    assert count(scope) == 0
    assert told == []


def test_who_waits_for_it_is_told_once_it_is_kept(scope: ScopedStorage) -> None:
    unit, told = OneTransaction(scope), list[int]()
    with unit.transaction():
        unit.after_commit(lambda: told.append(count(scope)))
        with unit.writing() as stores:
            add(1)(stores)
        assert told == []
    assert told == [1]


def test_a_block_that_failed_spoils_the_rest(scope: ScopedStorage) -> None:
    unit = OneTransaction(scope)
    with pytest.raises(StorageError, match="nothing of it is kept"):
        go_on_after_a_failure(unit)
    assert count(scope) == 0


def go_on_after_a_failure(unit: OneTransaction) -> None:
    with unit.transaction():
        with pytest.raises(Boom):
            fail_inside(unit)
        with unit.writing() as stores:
            add(2)(stores)


def fail_inside(unit: OneTransaction) -> None:
    with unit.writing() as stores:
        add(1)(stores)
        raise Boom


def test_it_may_be_refused_before_it_is_opened_and_when_it_is(scope: ScopedStorage) -> None:
    def refuse(*_: object) -> None:
        raise Boom

    for unit in (OneTransaction(scope, before_opening=refuse), OneTransaction(scope, on_opened=refuse)):
        with pytest.raises(Boom), unit.transaction():
            unit.at_end(add(1))
    assert count(scope) == 0


def test_who_may_refuse_sees_what_is_there(scope: ScopedStorage) -> None:
    with scope.writing() as stores:
        add(1)(stores)
    seen = list[int]()
    unit = OneTransaction(scope, on_opened=lambda stores: seen.append(stores.patterns.count()))
    with unit.transaction():
        for number in (2, 3):
            with unit.writing() as stores:
                add(number)(stores)
    assert seen == [1]
