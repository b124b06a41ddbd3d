"""The room behind a journal's last line: lines are written into it, and nobody takes it for anything else."""

from contextlib import suppress
from pathlib import Path

from engramia.core.model import Scope
from engramia.providers.json.storage import JSONScopedStorage, JSONStorage
from tests.contract.samples import at_cosine, dense, key
from tests.faults.steps import contents, opened
from tests.providers.json.test_storage import file_size_limit, journal_of, said


def add(scope: JSONScopedStorage, number: int) -> None:
    with scope.writing() as stores:
        stores.patterns.add(dense(number), at_cosine(0.5))


def keys(scope: JSONScopedStorage) -> set[str]:
    return {record.pattern.key for record in contents(scope)[0]}


def numbered(*numbers: int) -> set[str]:
    return {key(number) for number in numbers}


def test_most_writes_leave_the_length_of_the_file_as_it_is(tmp_path: Path) -> None:
    """That is what spares the disk half of a sync."""
    with opened(tmp_path) as scope:
        lengths = []
        for number in range(200):
            add(scope, number)
            lengths.append(journal_of(tmp_path).stat().st_size)
        assert len(set(lengths)) <= 10
        assert lengths[-1] - len(said(tmp_path)) <= 64 << 10


def test_a_closed_journal_ends_with_its_last_line(tmp_path: Path) -> None:
    with opened(tmp_path) as scope:
        for number in range(5):
            add(scope, number)
        written = said(tmp_path)
        assert journal_of(tmp_path).stat().st_size > len(written)
    assert journal_of(tmp_path).read_bytes() == written


def test_closing_leaves_what_others_wrote_and_their_room(tmp_path: Path) -> None:
    with opened(tmp_path) as other:
        with opened(tmp_path) as scope:
            add(scope, 1)
            add(scope, 2)
            add(other, 3)  # behind what the first has read
        assert keys(other) == numbered(1, 2, 3)
        with opened(tmp_path) as scope:
            assert keys(scope) == numbered(1, 2, 3)
            add(other, 4)
            add(scope, 5)
        add(other, 6)  # into a file that has become shorter
        assert keys(other) == numbered(1, 2, 3, 4, 5, 6)
    with opened(tmp_path) as scope:
        assert keys(scope) == numbered(1, 2, 3, 4, 5, 6)
        assert scope.describe()["wrong"] == []


def test_closing_does_not_wait_for_a_writer_and_leaves_it_the_room(tmp_path: Path) -> None:
    first, second = JSONStorage(tmp_path), JSONStorage(tmp_path)
    for number in range(3):
        add(first.scoped(Scope()), number)
    length = journal_of(tmp_path).stat().st_size
    with second.scoped(Scope()).writing() as stores:
        first.close()
        assert journal_of(tmp_path).stat().st_size == length
        stores.patterns.add(dense(9), at_cosine(0.5))
    assert keys(second.scoped(Scope())) == numbered(0, 1, 2, 9)
    second.close()


def test_closing_a_scope_that_somebody_erased_does_not_bring_it_back(tmp_path: Path) -> None:
    with opened(tmp_path) as scope:
        add(scope, 1)
        add(scope, 2)
        with opened(tmp_path) as other:
            other.erase()
    assert list(tmp_path.iterdir()) == []


def test_closing_cuts_nothing_of_a_file_that_was_not_read(tmp_path: Path) -> None:
    with opened(tmp_path) as scope:
        add(scope, 1)
        with suppress(RuntimeError), scope.writing() as stores:  # what is in memory is forgotten
            stores.patterns.delete([key(1)])
            assert stores.patterns.count() == 0
            raise RuntimeError
        with journal_of(tmp_path).open("r+b") as file:
            file.write(bytes(10))
        before = journal_of(tmp_path).read_bytes()
    assert journal_of(tmp_path).read_bytes() == before


def test_the_room_that_a_killed_process_left_is_used_by_the_next(tmp_path: Path) -> None:
    with opened(tmp_path) as scope:
        for number in range(3):
            add(scope, number)
        left = said(tmp_path) + bytes(4096)
    journal_of(tmp_path).write_bytes(left)
    with opened(tmp_path) as scope:
        assert keys(scope) == numbered(0, 1, 2)
    assert journal_of(tmp_path).read_bytes() == left, "who only reads changes nothing"
    with opened(tmp_path) as scope:
        add(scope, 3)
        assert journal_of(tmp_path).stat().st_size == len(left)
        assert keys(scope) == numbered(0, 1, 2, 3)
        assert scope.describe()["wrong"] == []
    assert journal_of(tmp_path).read_bytes() == said(tmp_path)


def test_a_disk_with_space_for_a_line_but_none_for_room_takes_the_line(tmp_path: Path) -> None:
    with opened(tmp_path) as scope:
        for number in range(3):
            add(scope, number)
    with opened(tmp_path) as scope:
        with file_size_limit(len(said(tmp_path)) + 1000):
            add(scope, 3)
            assert journal_of(tmp_path).read_bytes() == said(tmp_path)
        add(scope, 4)
        assert keys(scope) == numbered(0, 1, 2, 3, 4)
