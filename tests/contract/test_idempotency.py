"""The obligations of `IdempotencyStore`."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from engramia.core.idempotency import Answer, KeyedRequest
from engramia.core.model import Scope
from engramia.core.ports import ScopedStorage, Storage
from tests.contract.conftest import Open
from tests.contract.samples import NOW, record

DAY = timedelta(days=1)
ANSWER = Answer(200, '{"stored":true,"said":"\\u0000 \\"ü\\" \\n {}"}')


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def keyed(number: int, answer: Answer | None = ANSWER, **fields: object) -> KeyedRequest:
    plain = KeyedRequest(f"{number:032x}", f"{number + 1:032x}", f"token {number}", NOW + DAY, answer)
    return replace(plain, **fields)  # type: ignore[arg-type]  # fields of a KeyedRequest


@pytest.mark.parametrize("answer", [ANSWER, None])
def test_what_is_put_is_got_until_it_expires(
    scope: ScopedStorage, elsewhere: ScopedStorage, answer: Answer | None
) -> None:
    mine = keyed(1, answer)
    with scope.writing() as stores:
        assert stores.idempotency.get(mine.id, NOW) is None
        stores.idempotency.put(mine, NOW)
        assert stores.idempotency.get(mine.id, NOW) == mine
    with elsewhere.reading() as stores:
        assert stores.idempotency.get(mine.id, at(86_399.999)) == mine
        assert stores.idempotency.get(mine.id, NOW + DAY) is None
        assert stores.idempotency.get(keyed(2).id, NOW) is None


def test_put_takes_the_place_of_what_has_the_id(scope: ScopedStorage, elsewhere: ScopedStorage) -> None:
    begun = keyed(1, None, expires_at=at(60))
    done = keyed(9, id=begun.id)
    with scope.writing() as stores:
        stores.idempotency.put(begun, NOW)
        stores.idempotency.put(done, at(1))
        stores.idempotency.put(keyed(2), at(61))
    with elsewhere.reading() as stores:
        assert stores.idempotency.get(done.id, at(61)) == done, "the lease of what was there is over, not its"


@pytest.mark.parametrize(
    ("known", "token", "goes"),
    [
        (keyed(1, None), "token 1", True),
        (keyed(1, None), "token 2", False),
        (keyed(1), "token 1", False),
        (None, "token 1", False),
    ],
)
def test_drop_forgets_the_attempt_of_the_token_that_was_not_answered(
    scope: ScopedStorage, known: KeyedRequest | None, token: str, goes: bool
) -> None:
    with scope.writing() as stores:
        if known is not None:
            stores.idempotency.put(known, NOW)
        assert stores.idempotency.drop(keyed(1).id, token) is goes
        assert stores.idempotency.get(keyed(1).id, NOW) == (None if goes else known)


class Boom(Exception):
    pass


def put_and_fail(scope: ScopedStorage) -> None:
    with scope.writing() as stores:
        stores.patterns.add(record(1), None)
        stores.idempotency.put(keyed(1), NOW)
        raise Boom


def test_it_is_kept_with_the_effects_or_not_at_all(scope: ScopedStorage) -> None:
    with pytest.raises(Boom):
        put_and_fail(scope)
    with scope.reading() as stores:
        assert stores.patterns.count() == 0
        assert stores.idempotency.get(keyed(1).id, NOW) is None


def test_scopes_do_not_see_one_anothers(storage: Storage) -> None:
    scopes = [Scope("acme", "a"), Scope("acme", "b"), Scope("zeta", "a")]
    for number, scope in enumerate(scopes):
        with storage.scoped(scope).writing() as stores:
            assert stores.idempotency.get(keyed(1).id, NOW) is None
            stores.idempotency.put(keyed(1, Answer(200, f'"{number}"')), NOW)
    for number, scope in enumerate(scopes):
        with storage.scoped(scope).reading() as stores:
            assert stores.idempotency.get(keyed(1).id, NOW) == keyed(1, Answer(200, f'"{number}"'))


def test_an_erased_scope_forgets_them(scope: ScopedStorage, open_storage: Open) -> None:
    with scope.writing() as stores:
        stores.idempotency.put(keyed(1), NOW)
    scope.erase()
    with open_storage().scoped(Scope()).reading() as stores:
        assert stores.idempotency.get(keyed(1).id, NOW) is None
