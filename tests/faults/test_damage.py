"""Torn ends, flipped bits, emptied and vanished files: a clear error, and the rest is there."""

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from engramia.core.model import Scope
from engramia.core.query import Filter
from engramia.errors import StorageCorruptError, StorageError
from engramia.providers.json.storage import JSONScopedStorage, JSONStorage
from tests.contract.samples import at_cosine, dense, key, record
from tests.faults.steps import opened

pytestmark = pytest.mark.slow

_COUNT = 6


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A storage of `_COUNT` patterns, one transaction each, closed."""
    path = tmp_path / "data"
    with opened(path) as scope:
        for number in range(_COUNT):
            add(scope, number)
    return path


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


def add(scope: JSONScopedStorage, number: int, *, durable: bool = True) -> None:
    with scope.writing(durable=durable) as stores:
        stores.patterns.add(dense(number), at_cosine(0.5))


def folder_of(path: Path) -> Path:
    return path / "default@default"


def journal_of(path: Path) -> Path:
    return folder_of(path) / "journal.jsonl"


def keys(scope: JSONScopedStorage) -> set[str]:
    with scope.reading() as stores:
        found = list(stores.patterns.records(Filter()))
    for one in found:
        number = next(n for n in range(100) if key(n) == one.pattern.key)
        assert one == dense(number), "what is left is as it was written"
    return {one.pattern.key for one in found}


def numbered(*numbers: int) -> set[str]:
    return {key(number) for number in numbers}


def check_torn(data: Path, path: Path, length: int) -> None:
    """Cut the last line short: nobody sees it, the next writer takes it away, and it goes on."""
    shutil.copytree(data, path)
    (folder_of(path) / "manifest.json").unlink()  # the line had not been acknowledged
    with journal_of(path).open("r+b") as file:
        file.truncate(length)
    with opened(path) as reader, opened(path) as writer:
        assert keys(reader) == numbered(*range(_COUNT - 1))
        add(writer, 9, durable=False)
        assert keys(reader) == numbered(*range(_COUNT - 1), 9)
        assert writer.describe()["wrong"] == []
    shutil.rmtree(path)


def last_line(data: Path) -> range:
    whole = journal_of(data).read_bytes()
    return range(whole.rindex(b"\n", 0, -1) + 1, len(whole))


def test_a_torn_end_is_cut(data: Path, tmp_path: Path) -> None:
    cuts = last_line(data)
    for length in {*cuts[::17], *cuts[:3], *cuts[-3:]}:
        check_torn(data, tmp_path / "torn", length)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_a_torn_end_is_cut_at_every_byte(data: Path, tmp_path: Path) -> None:
    for length in last_line(data):
        check_torn(data, tmp_path / "torn", length)


def flip(path: Path, offset: int, bit: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1 << bit]))


def check_flip(data: Path, path: Path, offset: int, bit: int) -> None:
    """Flip one bit: at most one pattern is lost, that is said, its bytes are kept, and it goes on."""
    shutil.copytree(data, path)
    flip(journal_of(path), offset, bit)
    with opened(path) as scope:
        left = keys(scope)
        wrong = scope.describe()["wrong"]
        assert len(left) >= _COUNT - 1
        if len(left) < _COUNT:
            assert len(wrong) == 1
            assert str(journal_of(path)) in wrong[0]
            assert "line" in wrong[0]
        if wrong:
            assert scope.describe()["quarantined"]
        add(scope, 9)
        scope.compact()
    with opened(path) as scope:
        assert keys(scope) == left | numbered(9)
        assert bool(scope.describe()["quarantined"]) == bool(wrong)
    shutil.rmtree(path)


def test_a_flipped_bit_costs_one_line_at_most_and_is_told(data: Path, tmp_path: Path) -> None:
    size = journal_of(data).stat().st_size
    for offset in [*range(0, size, 23), *range(size - 3, size)]:
        check_flip(data, tmp_path / "flipped", offset, offset % 8)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_any_flipped_byte_costs_one_line_at_most(data: Path, tmp_path: Path) -> None:
    for offset in range(journal_of(data).stat().st_size):
        check_flip(data, tmp_path / "flipped", offset, (offset * 5) % 8)


def test_a_flipped_newline_costs_nothing(data: Path, tmp_path: Path) -> None:
    whole = journal_of(data).read_bytes()
    for offset in [place for place, byte in enumerate(whole) if byte == 10]:
        path = tmp_path / "flipped"
        shutil.copytree(data, path)
        flip(journal_of(path), offset, 0)
        with opened(path) as scope:
            assert keys(scope) == numbered(*range(_COUNT))
            add(scope, 9)
        with opened(path) as scope:
            assert keys(scope) == numbered(*range(_COUNT), 9)
        shutil.rmtree(path)


def test_damage_is_logged_and_kept_word_for_word(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    logging.disable(logging.NOTSET)
    lines = journal_of(data).read_bytes().splitlines()
    damaged = lines[3].replace(b"task number 2", b"task number 7")
    journal_of(data).write_bytes(b"\n".join([*lines[:3], damaged, *lines[4:], b""]))
    with caplog.at_level(logging.WARNING), opened(data) as scope:
        assert keys(scope) == numbered(0, 1, 3, 4, 5)
        (name,) = scope.describe()["quarantined"]
    assert "line 4 is damaged" in caplog.text
    assert (folder_of(data) / name).read_bytes() == damaged + b"\n"


def test_missing_lines_are_told(data: Path) -> None:
    lines = journal_of(data).read_bytes().splitlines(keepends=True)
    (folder_of(data) / "manifest.json").unlink()
    journal_of(data).write_bytes(b"".join(lines[:2] + lines[4:]))
    with opened(data) as scope:
        assert keys(scope) == numbered(0, 3, 4, 5)
        assert "2 line(s) are missing before line 3" in scope.describe()["wrong"][0]


def test_a_line_that_stands_twice_counts_once(data: Path) -> None:
    with opened(data) as scope, scope.writing() as stores:
        stores.patterns.count_reuse([key(0)])
    lines = journal_of(data).read_bytes().splitlines(keepends=True)
    journal_of(data).write_bytes(b"".join([*lines, lines[-1]]))
    with opened(data) as scope:
        add(scope, 9)
        with scope.reading() as stores:
            found = stores.patterns.get(key(0))
    assert found is not None
    assert found.pattern.reuse_count == 1


@pytest.mark.parametrize("length", [0, 100, 1000])
def test_a_journal_shorter_than_was_known_is_an_error_for_reading_and_writing(
    data: Path, length: int
) -> None:
    with journal_of(data).open("r+b") as file:
        file.truncate(length)
    with opened(data) as scope:
        with pytest.raises(StorageCorruptError, match="backup"):
            keys(scope)
        with pytest.raises(StorageCorruptError, match=r"manifest\.json"):
            add(scope, 9)
    assert journal_of(data).stat().st_size == length, "nothing was written over it"


def test_a_journal_emptied_under_an_open_storage_is_an_error(data: Path) -> None:
    with opened(data) as scope:
        assert len(keys(scope)) == _COUNT
        journal_of(data).write_bytes(b"")
        for _ in range(2):
            with pytest.raises(StorageCorruptError):
                keys(scope)


def test_a_vanished_journal_is_an_error(data: Path) -> None:
    journal_of(data).unlink()
    with opened(data) as scope, pytest.raises(StorageCorruptError, match="missing"):
        keys(scope)
    storage = JSONStorage(data)
    assert storage.scopes() == [Scope()]
    assert "missing" in storage.describe()["wrong"][0]


def test_a_corrupt_scope_can_be_erased(data: Path) -> None:
    journal_of(data).write_bytes(b"")
    with opened(data) as scope:
        scope.erase()
        assert keys(scope) == set()
        add(scope, 1)
        assert keys(scope) == numbered(1)


def test_what_is_left_can_be_accepted_as_the_message_says(data: Path) -> None:
    whole = journal_of(data).read_bytes()
    journal_of(data).write_bytes(whole[: len(whole) // 2])
    with opened(data) as scope, pytest.raises(StorageCorruptError):
        keys(scope)
    (folder_of(data) / "manifest.json").unlink()
    with opened(data) as scope:
        assert keys(scope) == numbered(0, 1)
        add(scope, 9)
        assert keys(scope) == numbered(0, 1, 9)


def test_the_journal_of_another_scope_or_an_older_one_is_refused(data: Path, tmp_path: Path) -> None:
    older = journal_of(data).read_bytes()
    with opened(data) as scope:
        scope.compact()
    journal_of(data).write_bytes(older)
    with opened(data) as scope, pytest.raises(StorageCorruptError, match="older"):
        keys(scope)
    with opened(tmp_path / "other") as scope:
        add(scope, 1)
    shutil.copy(journal_of(tmp_path / "other"), journal_of(data))
    with opened(data) as scope, pytest.raises(StorageCorruptError, match="not the journal"):
        keys(scope)


def test_a_file_of_something_else_is_refused(data: Path) -> None:
    (folder_of(data) / "manifest.json").unlink()
    journal_of(data).write_bytes(b"dear diary\n" * 50)
    with opened(data) as scope, pytest.raises(StorageCorruptError, match="no line of a journal"):
        keys(scope)


def test_a_damaged_manifest_is_done_without_and_written_anew(data: Path) -> None:
    flip(folder_of(data) / "manifest.json", 20, 3)
    with opened(data) as scope:
        assert len(keys(scope)) == _COUNT
        add(scope, 9)
    journal_of(data).write_bytes(b"")
    with opened(data) as scope, pytest.raises(StorageCorruptError):
        keys(scope)


@pytest.mark.parametrize(
    "event",
    [b'{"kind":"teleport","to":"mars"}', b'{"kind":"format","format":2,"needs":"9.9.0"}'],
)
def test_events_of_a_newer_release_are_refused_not_dropped(data: Path, event: bytes) -> None:
    from engramia.providers.json.lines import frame

    lines = journal_of(data).read_bytes().splitlines(keepends=True)
    journal_of(data).write_bytes(b"".join([*lines, frame(len(lines) + 1, [event])]))
    length = journal_of(data).stat().st_size
    with opened(data) as scope:
        with pytest.raises(StorageError, match="Upgrade"):
            keys(scope)
        with pytest.raises(StorageError, match="Upgrade"):
            add(scope, 9)
    assert journal_of(data).stat().st_size == length


def test_an_unsynced_transaction_with_a_damaged_line_is_kept_aside(data: Path) -> None:
    with opened(data) as scope:
        add(scope, 9, durable=False)
        flip(journal_of(data), len(journal_of(data).read_bytes().rstrip(b"\0")) - 40, 2)
        with opened(data) as other:
            add(other, 10)
            assert keys(other) == numbered(*range(_COUNT), 10)
            assert other.describe()["quarantined"]


def zero(path: Path, start: int, end: int) -> None:
    with path.open("r+b") as file:
        file.seek(start)
        file.write(bytes(end - start))


def test_zeros_where_synced_lines_were_are_damage_not_room(data: Path) -> None:
    place, end = last_line(data).start, last_line(data).stop
    zero(journal_of(data), place - 100, end)
    with opened(data) as scope:
        assert keys(scope) == numbered(*range(_COUNT - 2))
        assert scope.describe()["wrong"]
        add(scope, 9)
    with opened(data) as scope:
        assert keys(scope) == numbered(*range(_COUNT - 2), 9)
        assert scope.describe()["quarantined"]


def test_what_a_power_cut_left_behind_a_hole_is_cut_before_the_next_write(data: Path) -> None:
    """The first pages of what was not synced were lost, the last were kept: they must not come back later."""
    (folder_of(data) / "manifest.json").unlink()
    line = last_line(data)
    end = journal_of(data).read_bytes()[line.stop - 50 :]
    zero(journal_of(data), line.start, line.stop + 5000)
    with journal_of(data).open("ab") as file:
        file.write(end)
    with opened(data) as reader, opened(data) as writer:
        for either in (reader, writer):
            assert keys(either) == numbered(*range(_COUNT - 1))
        add(writer, 9, durable=False)
        assert keys(reader) == numbered(*range(_COUNT - 1), 9)
        left = journal_of(data).read_bytes()
        assert left.rstrip(b"\0").endswith(b"}\n")
        assert left.count(b"\n") == _COUNT + 1


def test_a_dead_writers_half_transaction_of_several_lines_is_not_seen(data: Path) -> None:
    from engramia.providers.json.lines import frame

    event = journal_of(data).read_bytes().splitlines()[1]
    half = frame(_COUNT + 2, [event[event.index(b"[") + 1 : -2]], more=True)
    with journal_of(data).open("ab") as file:
        file.write(half)
    with opened(data) as scope:
        assert keys(scope) == numbered(*range(_COUNT))
        with scope.writing() as stores:
            stores.patterns.add(record(50), None)
        assert scope.describe()["wrong"] == []
    assert half not in journal_of(data).read_bytes()
