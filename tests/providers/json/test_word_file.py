"""The copy of the word indexes: it saves cutting every text again, and is never believed over the journal."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from engramia.core.model import Classification, Scope
from engramia.core.query import SearchPage
from engramia.providers.json.patterns import PatternTable
from engramia.providers.json.storage import JSONScopedStorage, JSONStorage
from engramia.providers.json.word_file import FILE
from tests.contract.samples import key, record, search, version

_ENOUGH = 1_000
"""How many patterns are worth a file."""

_QUESTIONS = [search(task, limit=50) for task in ("lichen 3", "moss w7 fern", "print 12 pebble", "zebra")]


def _task(number: int) -> str:
    return f"lichen {number % 9} moss w{number % 70} fern {number}"


@contextmanager
def _opened(place: Path) -> Iterator[JSONScopedStorage]:
    with closing(JSONStorage(place)) as storage:
        yield storage.scoped(Scope())


def _answers(scope: JSONScopedStorage) -> list[SearchPage]:
    with scope.reading() as stores:
        return [stores.patterns.search(question) for question in _QUESTIONS]


def _touch(scope: JSONScopedStorage) -> None:
    """Write what a recall writes: the copy is kept beside it."""
    with scope.writing(durable=False) as stores:
        stores.patterns.count_reuse([key(1)])


def _table(scope: JSONScopedStorage) -> PatternTable:
    return scope._state.patterns


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A scope whose words have been copied to its folder."""
    place = tmp_path / "data"
    with _opened(place) as scope:
        with scope.writing() as stores:
            for number in range(_ENOUGH + 50):
                stores.patterns.add(record(number, _task(number), code=f"print({number}) # pebble"), None)
        _answers(scope)
        _touch(scope)
    return place


@pytest.fixture
def file(place: Path) -> Path:
    return next(place.glob(f"*/{FILE}"))


def _expected(place: Path) -> list[SearchPage]:
    """Return the answers without the copy."""
    next(place.glob(f"*/{FILE}")).unlink()
    with _opened(place) as scope:
        return _answers(scope)


def test_a_second_process_cuts_nothing_and_answers_the_same(place: Path) -> None:
    with _opened(place) as scope:
        found = _answers(scope)
        assert _table(scope).cut == 0
    assert found == _expected(place)
    assert any(page.items for page in found)


def test_what_changed_since_is_cut_anew(place: Path, file: Path) -> None:
    before = file.read_bytes()
    with _opened(place) as scope, scope.writing() as stores:
        stores.patterns.delete([key(3), key(4)])
        old = stores.patterns.get(key(7))
        assert old is not None
        changed = replace(old.pattern, task="zebra crossing", code="stripes()")
        stores.patterns.replace(changed, version(1))
        stores.patterns.add(record(5_000, "zebra 12"), None)
        stores.patterns.add(record(8, "pebble w7"), None)
        stores.patterns.classify(key(9), Classification.PUBLIC)
    assert file.read_bytes() == before
    with _opened(place) as scope:
        found = _answers(scope)
        assert _table(scope).cut == 3
    assert {hit.pattern.key for hit in found[3]} == {key(7), key(5_000)}
    assert found == _expected(place)


def test_a_table_that_took_the_copy_changes_like_any_other(place: Path) -> None:
    with _opened(place) as scope:
        _answers(scope)
        with scope.writing() as stores:
            stores.patterns.delete([key(number) for number in range(0, 900, 2)])
            stores.patterns.add(record(6_000, "zebra moss w7"), None)
        found = _answers(scope)
    assert found == _expected(place)


@pytest.mark.parametrize("part", [0.0, 0.0001, 0.002, 0.05, 0.3, 0.5, 0.75, 0.999])
def test_a_flipped_bit_anywhere_makes_it_void(place: Path, file: Path, part: float) -> None:
    data = bytearray(file.read_bytes())
    data[int(part * len(data))] ^= 0x10
    file.write_bytes(data)
    with _opened(place) as scope:
        found = _answers(scope)
        assert _table(scope).cut == _ENOUGH + 50
    assert found == _expected(place)


@pytest.mark.parametrize("length", [0, 7, 40, 300, -1])
def test_a_cut_off_file_is_void(place: Path, file: Path, length: int) -> None:
    file.write_bytes(file.read_bytes()[:length])
    with _opened(place) as scope:
        assert _answers(scope)[0].items
        assert _table(scope).cut == _ENOUGH + 50


def test_compaction_takes_the_words_of_deleted_patterns_away(place: Path, file: Path) -> None:
    with _opened(place) as scope:
        with scope.writing() as stores:
            stores.patterns.add(record(7_000, "zebra"), None)
            for number in range(8_000, 8_000 + _ENOUGH):
                stores.patterns.add(record(number, _task(number)), None)
        _answers(scope)
        _touch(scope)
        assert b"zebra" in file.read_bytes()
        with scope.writing() as stores:
            stores.patterns.delete([key(7_000)])
        scope.compact()
        assert not any(b"zebra" in path.read_bytes() for path in file.parent.iterdir())
        _answers(scope)
        _touch(scope)
        assert file.exists()
        assert b"zebra" not in file.read_bytes()


def test_a_copy_of_before_a_compaction_is_void_and_goes_at_the_next_write(place: Path, file: Path) -> None:
    old = file.read_bytes()
    with _opened(place) as scope:
        scope.compact()
    file.write_bytes(old)  # a process that died right after compacting
    with _opened(place) as scope:
        assert _answers(scope)[0].items
        assert _table(scope).cut == _ENOUGH + 50
    with _opened(place) as scope:
        _touch(scope)
        assert not file.exists()


def test_erasing_takes_it_along(place: Path, file: Path) -> None:
    with _opened(place) as scope:
        _answers(scope)
        scope.erase()
        assert not file.parent.exists()
        _touch(scope)
        assert _answers(scope)[0].items == ()


def test_what_a_dead_process_left_of_one_is_in_nobodys_way(place: Path, file: Path) -> None:
    (file.parent / f"{FILE}.new").write_bytes(b"half")
    file.unlink()
    with _opened(place) as scope:
        _answers(scope)
        _touch(scope)
    assert file.exists()
    assert not (file.parent / f"{FILE}.new").exists()


def test_a_copy_that_cannot_be_written_harms_nothing(place: Path, file: Path) -> None:
    file.unlink()
    (file.parent / f"{FILE}.new").mkdir()
    with _opened(place) as scope:
        found = _answers(scope)
        _touch(scope)
        assert _answers(scope) != []
        assert not file.exists()
    (file.parent / f"{FILE}.new").rmdir()
    assert any(page.items for page in found)


def test_few_patterns_have_no_copy(tmp_path: Path) -> None:
    with _opened(tmp_path / "data") as scope:
        with scope.writing() as stores:
            stores.patterns.add(record(1, "moss"), None)
        _answers(scope)
        _touch(scope)
    assert not list(tmp_path.rglob(FILE))


_KILLED = """
import os, signal, sys
from engramia.core.model import Scope
from engramia.providers.json import word_file
from engramia.providers.json.storage import JSONStorage
from tests.providers.json.test_word_file import _answers, _touch
scope = JSONStorage(sys.argv[1]).scoped(Scope())
_answers(scope)
sys.addaudithook(lambda event, _: event == "os.rename" and os.kill(os.getpid(), signal.SIGKILL))
_touch(scope)
"""


def test_a_process_killed_while_it_writes_one_leaves_the_journal_whole(place: Path, file: Path) -> None:
    file.unlink()
    command = [sys.executable, "-c", _KILLED, str(place)]
    assert subprocess.run(command, check=False, timeout=60).returncode == -9
    assert not file.exists()
    with _opened(place) as scope:
        with scope.reading() as stores:
            one = stores.patterns.get(key(1))
            assert one is not None
            assert one.pattern.reuse_count == 2
        _answers(scope)
        _touch(scope)
    assert file.exists()
