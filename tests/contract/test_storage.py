"""The obligations of `ScopedStorage` and `Storage`: transactions, scopes, closing."""

import threading
from contextlib import suppress

import pytest

from engramia.core.model import Event, EventKind, Scope
from engramia.core.ports import ScopedStorage, Storage
from engramia.errors import StorageError
from tests.contract.conftest import Open
from tests.contract.samples import MODEL, NOW, dense, feedback, key, record, unit


def count(scope: ScopedStorage) -> int:
    with scope.reading() as stores:
        return stores.patterns.count()


def add(scope: ScopedStorage, *numbers: int) -> None:
    with scope.writing() as stores:
        for number in numbers:
            stores.patterns.add(record(number), None)


def test_a_scope_that_was_never_written_to_is_empty_and_unlisted(storage: Storage) -> None:
    assert count(storage.scoped(Scope("ghost", "town"))) == 0
    assert storage.scopes() == []


def test_reading_sees_what_others_committed(scope: ScopedStorage, elsewhere: ScopedStorage) -> None:
    assert count(elsewhere) == 0
    add(scope, 1, 2)
    assert count(elsewhere) == 2
    add(elsewhere, 3)
    assert count(scope) == 3


def test_a_transaction_sees_its_own_writes_and_others_see_them_when_it_ends(
    scope: ScopedStorage, elsewhere: ScopedStorage
) -> None:
    with scope.writing() as stores:
        stores.patterns.add(record(1), None)
        assert stores.patterns.count() == 1
        assert count(elsewhere) == 0
    assert count(elsewhere) == 1


def fail_half_way(scope: ScopedStorage) -> None:
    with scope.writing() as stores:
        stores.patterns.add(record(2), None)
        stores.patterns.delete([key(1)])
        raise RuntimeError("half way")


def test_a_transaction_that_fails_leaves_nothing(scope: ScopedStorage, elsewhere: ScopedStorage) -> None:
    add(scope, 1)
    with pytest.raises(RuntimeError, match="half way"):
        fail_half_way(scope)
    for view in (scope, elsewhere):
        with view.reading() as stores:
            assert stores.patterns.get(key(1)) == record(1)
            assert stores.patterns.get(key(2)) is None


def test_only_one_writer_is_at_work(scope: ScopedStorage, elsewhere: ScopedStorage) -> None:
    steps: list[str] = []
    inside = threading.Event()

    def second() -> None:
        inside.wait(10)
        with elsewhere.writing() as stores:
            steps.append(f"second sees {stores.patterns.count()}")

    other = threading.Thread(target=second)
    other.start()
    with scope.writing() as stores:
        inside.set()
        other.join(0.05)
        stores.patterns.add(record(1), None)
        steps.append("first ends")
    other.join(10)
    assert steps == ["first ends", "second sees 1"]


@pytest.mark.parametrize("durable", [True, False])
def test_what_was_written_is_there_after_reopening(open_storage: Open, *, durable: bool) -> None:
    first = open_storage()
    with first.scoped(Scope()).writing(durable=durable) as stores:
        stores.patterns.add(dense(1), unit(1, 0))
        stores.feedback.put(feedback("a", "no error handling"))
    first.close()
    with open_storage().scoped(Scope()).reading() as stores:
        assert stores.patterns.get(key(1)) == dense(1)
        assert stores.patterns.embedding_model() == MODEL
        assert [item.text for item in stores.feedback.overlapping("no error handling", 0.4)]


def test_writes_in_a_reading_block_raise(scope: ScopedStorage) -> None:
    with scope.reading() as stores, pytest.raises(StorageError, match="reading"):
        stores.patterns.add(record(1), None)
    assert count(scope) == 0


def test_stores_are_of_no_use_after_their_block(scope: ScopedStorage) -> None:
    with scope.writing() as stores:
        pass
    with pytest.raises(StorageError, match="left"):
        stores.patterns.count()
    with pytest.raises(StorageError, match="left"):
        stores.activity.record(Event(EventKind.RECALL, NOW))
    with pytest.raises(StorageError, match="left"):
        stores.patterns.add(record(2), None)
    with scope.reading() as now:
        assert now.activity.counts().recalls == now.patterns.count() == 0


def test_stores_are_of_no_use_after_a_block_that_was_abandoned(scope: ScopedStorage) -> None:
    with suppress(LookupError), scope.writing() as stores:
        stores.patterns.add(record(1), None)
        raise LookupError
    with pytest.raises(StorageError, match="left"):
        stores.patterns.count()
    assert count(scope) == 0


def test_a_block_inside_a_block_of_one_thread_raises_instead_of_waiting_for_itself(
    scope: ScopedStorage,
) -> None:
    with scope.writing(), pytest.raises(StorageError, match="already"), scope.reading():
        pass


def test_scopes_are_apart_and_listed_in_order(storage: Storage) -> None:
    names = [Scope("b", "a"), Scope("a", "b"), Scope("A", "b"), Scope("a", "a.b"), Scope("a.a", "b")]
    for number, name in enumerate(names):
        add(storage.scoped(name), *range(number + 1))
    assert [count(storage.scoped(name)) for name in names] == [1, 2, 3, 4, 5]
    assert storage.scopes() == sorted(names, key=lambda scope: (scope.tenant_id, scope.project_id))


def test_erasing_empties_a_scope_for_everybody_and_leaves_others(
    storage: Storage, open_storage: Open
) -> None:
    mine, other = storage.scoped(Scope("a", "x")), storage.scoped(Scope("a", "y"))
    elsewhere = open_storage().scoped(Scope("a", "x"))
    add(mine, 1)
    add(other, 1)
    assert count(elsewhere) == 1
    mine.erase()
    assert (count(mine), count(elsewhere), count(other)) == (0, 0, 1)
    assert storage.scopes() == [Scope("a", "y")]
    add(elsewhere, 5, 6)
    assert count(mine) == 2


def test_erasing_what_is_not_there_does_nothing(scope: ScopedStorage) -> None:
    scope.erase()
    assert count(scope) == 0


def test_a_closed_storage_raises(open_storage: Open) -> None:
    storage = open_storage()
    scope = storage.scoped(Scope())
    storage.close()
    with pytest.raises(StorageError, match="closed"), scope.reading():
        pass
    with pytest.raises(StorageError, match="closed"):
        storage.scoped(Scope())
    with pytest.raises(StorageError, match="closed"):
        storage.scopes()


def test_it_describes_itself(storage: Storage) -> None:
    add(storage.scoped(Scope()), 1, 2)
    facts = storage.describe()
    assert {"kind", "scopes", "patterns", "wrong"} <= facts.keys()
    assert facts["patterns"] == 2
    assert facts["wrong"] == []


def test_threads_lose_no_count(scope: ScopedStorage, elsewhere: ScopedStorage) -> None:
    add(scope, 1)

    def work(view: ScopedStorage, first: int) -> None:
        for number in range(first, first + 5):
            with view.writing() as stores:
                stores.patterns.add(record(number), None)
                stores.patterns.count_reuse([key(1)])

    threads = [
        threading.Thread(target=work, args=((scope, elsewhere)[place % 2], 10 * place + 10))
        for place in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with scope.reading() as stores:
        found = stores.patterns.get(key(1))
        assert stores.patterns.count() == 41
        assert found is not None
        assert found.pattern.reuse_count == 40
