"""What is particular to storage in files: where they lie, who may read them, how they grow and shrink."""

import contextlib
import json
import os
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from engramia.core.model import Event, EventKind, Scope
from engramia.core.query import DecayPolicy, Filter
from engramia.errors import (
    StorageCorruptError,
    StorageError,
    StorageFullError,
    StorageUnavailableError,
    ValidationError,
)
from engramia.providers.json.attached import AttachedFile
from engramia.providers.json.lines import frame
from engramia.providers.json.lock import ProcessLock
from engramia.providers.json.pattern_store import JSONPatternStore
from engramia.providers.json.storage import JSONScopedStorage, JSONStorage
from tests.contract.samples import NOW, at_cosine, dense, feedback, key, record, unit
from tests.faults.steps import PAGE_MAX, STEPS, contents, opened


def add(scope: JSONScopedStorage, number: int) -> None:
    with scope.writing() as stores:
        stores.patterns.add(dense(number), at_cosine(0.5))


def journal_of(path: Path) -> Path:
    return path / "default@default" / "journal.jsonl"


def said(path: Path) -> bytes:
    """Return what the journal says, without the room behind it."""
    return journal_of(path).read_bytes().rstrip(b"\0")


def test_every_line_is_json_with_readable_text(tmp_path: Path) -> None:
    with opened(tmp_path) as scope:
        for step in STEPS[:5]:
            step(scope)
    lines = [json.loads(line) for line in journal_of(tmp_path).read_text().splitlines()]
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
    assert lines[1]["events"][0]["record"]["task"] == "task number 1"
    assert lines[1]["events"][0]["record"]["created_at"] == "2026-05-04T12:30:16.123456Z"


def go_on_after_a_failed_write(scope: JSONScopedStorage, *, looked_at: bool) -> None:
    with scope.writing() as stores:
        stores.patterns.add(record(2), None)
        patterns = stores.patterns
        assert isinstance(patterns, JSONPatternStore)
        patterns._transaction.emit({"kind": "add", "record": {}})
        if looked_at:
            with contextlib.suppress(StorageError):
                patterns.count()


def test_a_value_of_another_type_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with opened(tmp_path) as scope, scope.writing() as stores:
        with pytest.raises(ValidationError, match="reuse_count must be a whole number"):
            stores.patterns.add(record(3, reuse_count="many"), None)
        stores.patterns.add(record(4), None)
    with opened(tmp_path) as scope, scope.reading() as stores:
        assert [one.pattern.key for one in stores.patterns.records(Filter())] == [key(4)]


def test_a_pattern_in_the_journal_that_lacks_what_it_needs_is_told_of_at_every_reading(
    tmp_path: Path,
) -> None:
    with opened(tmp_path) as scope:
        add(scope, 1)
    (line,) = [one for one in said(tmp_path).splitlines() if b"task number 1" in one]
    (event,) = json.loads(line)["events"]
    event["record"]["reuse_count"] = "many"
    with journal_of(tmp_path).open("ab") as journal:
        journal.write(frame(json.loads(line)["seq"] + 1, [json.dumps(event).encode()]))
    with opened(tmp_path) as scope:
        for _ in range(2):
            with pytest.raises(StorageCorruptError, match="lacks what it needs"), scope.reading() as stores:
                stores.patterns.list(Filter(), limit=1, offset=0)


def test_of_events_that_belong_together_none_is_kept_if_one_cannot_be_written(tmp_path: Path) -> None:
    good, bad = Event(EventKind.LEARN, NOW), Event(EventKind.LEARN, NOW, pattern_key="\ud800")
    with opened(tmp_path) as scope:
        with scope.writing() as stores, pytest.raises(ValidationError, match="cannot be stored"):
            stores.activity.record(good, bad)
        with scope.reading() as stores:
            assert stores.activity.counts().runs == 0


@pytest.mark.parametrize("looked_at", [True, False])
def test_a_transaction_with_a_write_that_cannot_be_applied_keeps_nothing(
    tmp_path: Path, looked_at: bool
) -> None:
    with opened(tmp_path) as scope, opened(tmp_path) as other:
        add(scope, 1)
        with pytest.raises(StorageError, match="nothing of it was kept"):
            go_on_after_a_failed_write(scope, looked_at=looked_at)
        for one in (scope, other):
            with one.reading() as stores:
                assert [one.pattern.key for one in stores.patterns.records(Filter())] == [key(1)]
        add(scope, 4)
        add(other, 5)
    with opened(tmp_path) as scope, scope.reading() as stores:
        assert [one.pattern.key for one in stores.patterns.records(Filter())] == [key(1), key(4), key(5)]


def test_files_are_the_owners_alone(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        with opened(tmp_path / "deep" / "data") as scope:
            add(scope, 1)
            scope.compact()
    finally:
        os.umask(old)
    for path in (tmp_path / "deep").rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


def test_reading_makes_nothing(tmp_path: Path) -> None:
    with opened(tmp_path / "data") as scope, scope.reading() as stores:
        assert stores.patterns.count() == 0
    assert not (tmp_path / "data").exists()


def test_a_symlinked_data_path_works(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with opened(tmp_path / "link") as scope:
        add(scope, 1)
    with opened(tmp_path / "real") as scope, scope.reading() as stores:
        assert stores.patterns.count() == 1


def test_a_path_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="is a file"):
        JSONStorage(tmp_path / "file")
    with opened(tmp_path / "file" / "below") as scope, pytest.raises(StorageError, match="Not a directory"):
        add(scope, 1)


def test_foreign_folders_and_files_are_left_alone(tmp_path: Path) -> None:
    with opened(tmp_path) as scope:
        add(scope, 1)
    for name in ("notes", "Default@default", "a@b.txt"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "journal.jsonl").write_text("mine")
    (tmp_path / "readme@txt").write_text("mine")
    storage = JSONStorage(tmp_path)
    assert storage.scopes() == [Scope()]
    assert storage.describe()["wrong"] == []


def test_a_half_erased_folder_is_finished_when_a_storage_is_opened(tmp_path: Path) -> None:
    with opened(tmp_path) as scope:
        add(scope, 1)
    (tmp_path / "default@default").rename(tmp_path / "default@default.erased-0123456789abcdef")
    JSONStorage(tmp_path)
    assert not list(tmp_path.iterdir())


def test_erasing_leaves_no_byte(tmp_path: Path) -> None:
    with opened(tmp_path) as scope:
        add(scope, 1)
        scope.compact()
        add(scope, 2)
        scope.erase()
    assert not list(tmp_path.iterdir())


def test_compaction_keeps_everything_and_sheds_history(tmp_path: Path) -> None:
    with opened(tmp_path) as scope, opened(tmp_path) as other:
        for step in STEPS[:6]:
            step(scope)
        before = contents(other)
        with scope.writing() as stores:
            for _ in range(50):
                stores.patterns.count_reuse([key(1)])
            stores.patterns.use_embedding_model("new")
            stores.patterns.set_vectors("new", [(key(1), unit(1, 0, 0))])
        long = journal_of(tmp_path).stat().st_size
        expected = contents(scope)
        scope.compact()
        assert journal_of(tmp_path).stat().st_size < long / 2
        assert contents(scope) == contents(other) == expected != before
        add_to_both(scope, other)
    with opened(tmp_path) as scope:
        assert contents(scope)[0][:2] == expected[0][:2]


def add_to_both(scope: JSONScopedStorage, other: JSONScopedStorage) -> None:
    for number, view in enumerate((scope, other, scope), 500):
        with view.writing() as stores:
            stores.patterns.add(record(number), None)
    assert contents(scope) == contents(other)


def test_a_process_that_was_up_to_date_goes_on_after_a_compaction_without_reading_all(tmp_path: Path) -> None:
    with opened(tmp_path) as scope, opened(tmp_path) as other:
        add(scope, 1)
        contents(other)
        table = other._state.patterns
        scope.compact()
        add(scope, 2)
        assert len(contents(other)[0]) == 2
        assert other._state.patterns is table
        add(scope, 3)
        scope.compact()  # this one finds it behind
        scope.compact()
        assert len(contents(other)[0]) == 3
        assert other._state.patterns is not table


def test_a_journal_of_mostly_history_is_compacted_by_itself(tmp_path: Path) -> None:
    storage = JSONStorage(tmp_path, sync=False)
    scope = storage.scoped(Scope())
    add(scope, 1)
    sizes = []
    for _ in range(60):
        with scope.writing() as stores:
            stores.patterns.add(dense(1, code="z" * 100_000), at_cosine(0.5))
        sizes.append(journal_of(tmp_path).stat().st_size)
    assert max(sizes) < 2_000_000
    assert scope.describe()["generation"] > 3
    storage.close()


def test_recall_accounting_does_not_let_the_journal_grow_without_bound(tmp_path: Path) -> None:
    storage = JSONStorage(tmp_path, sync=False)
    scope = storage.scoped(Scope())
    add(scope, 1)
    for _ in range(40):
        with scope.writing(durable=False) as stores:
            for _ in range(1000):
                stores.patterns.count_reuse([key(1)])
    assert journal_of(tmp_path).stat().st_size < 1_500_000
    with scope.reading() as stores:
        found = stores.patterns.get(key(1))
    assert found is not None
    assert found.pattern.reuse_count == 40_000
    storage.close()


def test_a_growing_journal_without_history_is_left_as_it_is(tmp_path: Path) -> None:
    storage = JSONStorage(tmp_path, sync=False)
    scope = storage.scoped(Scope())
    for number in range(40):
        with scope.writing() as stores:
            stores.patterns.add(dense(number, code="z" * 100_000), at_cosine(0.5))
    assert scope.describe()["generation"] == 1
    storage.close()


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Let no file grow beyond `size`: the write that would fails in the middle, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_write_that_finds_no_room_leaves_nothing_and_reads_go_on(tmp_path: Path) -> None:
    with opened(tmp_path) as scope:
        add(scope, 1)
        before = said(tmp_path)
        with file_size_limit(len(before) + 100):
            with pytest.raises(StorageFullError, match="free some space"):
                add(scope, 2)
            assert journal_of(tmp_path).read_bytes() == before
            assert len(contents(scope)[0]) == 1
        add(scope, 3)
        assert [one.pattern.key for one in contents(scope)[0]] == [key(1), key(3)]


def test_a_compaction_that_finds_no_room_changes_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as scope:
        for number in range(20):
            add(scope, number)
        expected = contents(scope)
        with file_size_limit(2000), pytest.raises(StorageFullError):
            scope.compact()
        assert contents(scope) == expected
        assert not list(tmp_path.rglob("*.new"))
        add(scope, 21)


def test_a_writer_that_waits_too_long_says_so(tmp_path: Path) -> None:
    storage = JSONStorage(tmp_path, lock_timeout=0.05)
    scope = storage.scoped(Scope())
    add(scope, 1)
    with ProcessLock(tmp_path / "default@default" / "lock", 1.0):
        with pytest.raises(StorageUnavailableError, match="Another process"):
            add(scope, 2)
        with scope.reading() as stores:
            assert stores.patterns.count() == 1
    add(scope, 2)


def synced_length(path: Path) -> int:
    known: dict[str, int] = json.loads((path / "default@default" / "manifest.json").read_text())
    return known["length"]


def test_a_durable_block_that_wrote_nothing_waits_for_what_it_read(tmp_path: Path) -> None:
    with opened(tmp_path) as scope, opened(tmp_path) as other:
        with scope.writing(durable=False) as stores:
            stores.patterns.add(record(1), None)
        assert synced_length(tmp_path) < len(said(tmp_path))
        with other.writing() as stores:
            assert stores.patterns.count() == 1
        assert synced_length(tmp_path) == len(said(tmp_path))


def test_a_reader_is_not_kept_waiting_by_a_sync(tmp_path: Path) -> None:
    with opened(tmp_path) as scope:
        add(scope, 1)
        done = threading.Event()

        def read() -> None:
            for _ in range(50):
                contents(scope)
            done.set()

        reader = threading.Thread(target=read)
        reader.start()
        written = 1
        while not done.is_set() and written < PAGE_MAX:
            written += 1
            add(scope, written)
        reader.join()
        assert done.is_set()
        assert len(contents(scope)[0]) == written


def test_aging_replays_to_the_same_numbers(tmp_path: Path) -> None:
    with opened(tmp_path) as scope:
        with scope.writing() as stores:
            for number in range(50):
                stores.patterns.add(record(number, success_score=number / 7), None)
                stores.feedback.put(feedback(str(number), f"issue {number}"))
        for week in range(1, 5):
            with scope.writing() as stores:
                stores.patterns.age(DecayPolicy(0.98, 0.1), NOW + timedelta(weeks=week, minutes=7))
                stores.feedback.decay(DecayPolicy(0.9, 0.15), NOW + timedelta(weeks=week, minutes=7))
        expected = contents(scope)
    with opened(tmp_path) as scope:
        assert contents(scope) == expected
        scope.compact()
    with opened(tmp_path) as scope:
        assert contents(scope) == expected


def test_many_patterns_come_back_across_blocks_and_free_rows(tmp_path: Path) -> None:
    storage = JSONStorage(tmp_path, sync=False)
    scope = storage.scoped(Scope())
    with scope.writing() as stores:
        for number in range(4200):
            stores.patterns.add(dense(number, f"w{number}"), at_cosine(0.1 + number / 5000))
    with scope.writing() as stores:
        stores.patterns.delete([key(number) for number in range(0, 4200, 3)])
        for number in range(5000, 5600):
            stores.patterns.add(dense(number, f"w{number}"), at_cosine(0.05))
        stores.activity.record(Event(EventKind.LEARN, NOW))
    expected = contents_with_vectors(scope)
    storage.close()
    with opened(tmp_path) as scope:
        assert contents_with_vectors(scope) == expected


def contents_with_vectors(scope: JSONScopedStorage) -> list[tuple[str, list[float]]]:
    with scope.reading() as stores:
        records = list(stores.patterns.records(Filter()))
    table = scope._state.patterns
    rows = [table.rows[record.pattern.key] for record in records]
    return [
        (record.pattern.task, table.vectors.take_one(row).tolist())
        for record, row in zip(records, rows, strict=True)
    ]


def test_a_file_that_is_replaced_while_it_is_being_synced_stays_open_for_that(tmp_path: Path) -> None:
    with opened(tmp_path) as scope:
        add(scope, 1)
    file = AttachedFile.open(tmp_path / "default@default", journal_of(tmp_path))
    file.keep_open()
    file.close()
    assert os.fstat(file.fd).st_size == journal_of(tmp_path).stat().st_size
    file.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(file.fd)
