"""Keyed requests in the journal: what compaction keeps, and that there are never too many."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from engramia.core.idempotency import Answer, KeyedRequest
from engramia.core.model import Scope
from engramia.providers.json import codec
from engramia.providers.json.idempotency import IdempotencyTable, encode_keyed
from engramia.providers.json.storage import JSONStorage
from tests.contract.samples import NOW

DAY = timedelta(days=1)


def keyed(number: int) -> KeyedRequest:
    answer = Answer(200, f'{{"n":"answer {number}"}}')
    return KeyedRequest(f"{number:032x}", "f" * 32, "t" * 16, NOW + DAY + timedelta(seconds=number), answer)


def test_compaction_keeps_the_live_and_leaves_out_the_expired(tmp_path: Path) -> None:
    storage = JSONStorage(tmp_path)
    scope = storage.scoped(Scope())
    with scope.writing() as stores:
        for number in range(4):
            stores.idempotency.put(keyed(number), NOW)
        stores.idempotency.put(keyed(4), NOW + DAY + timedelta(seconds=1))
    scope.compact()
    storage.close()
    journal = (tmp_path / "default@default" / "journal.jsonl").read_text()
    assert [f"answer {number}" in journal for number in range(5)] == [False, False, True, True, True]
    storage = JSONStorage(tmp_path)
    with storage.scoped(Scope()).reading() as stores:
        assert [stores.idempotency.get(keyed(number).id, NOW) for number in range(5)] == [
            None,
            None,
            keyed(2),
            keyed(3),
            keyed(4),
        ]
    storage.close()


def event(request: KeyedRequest) -> codec.Json:
    return codec.loads(codec.dumps(encode_keyed(request, NOW)))


def test_the_first_to_expire_go_when_there_are_too_many() -> None:
    table = IdempotencyTable(most=3)
    put = table.handlers["keyed"]
    put([event(keyed(number)) for number in range(3)])
    put([event(replace(keyed(0), expires_at=keyed(9).expires_at))])
    assert len(table.rows) == 3
    put([event(keyed(3))])
    assert set(table.rows) == {keyed(number).id for number in (0, 2, 3)}


def test_its_size_is_told_about_right() -> None:
    table = IdempotencyTable()
    table.handlers["keyed"]([event(keyed(number)) for number in range(100)])
    truly = sum(len(line) for lines in table.snapshot() for line in lines)
    assert 0.8 * truly < table.live_bytes() < 1.25 * truly
