"""One scope's journal: what is in it is durable, in order, and the same for every process.

Every method but `wait_durable` is called with the scope's thread lock held. What is promised and why is in
`docs/decisions/0002-json-journal.md`.
"""

import contextlib
import gc
import logging
import os
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from engramia.errors import StorageCorruptError, StorageError, StorageUnavailableError
from engramia.providers.json import disk, snapshot
from engramia.providers.json.attached import AttachedFile, ContradictionError
from engramia.providers.json.commit import GroupCommit
from engramia.providers.json.erasing import erased_name, remove_erased
from engramia.providers.json.lines import frame_transaction
from engramia.providers.json.lock import ProcessLock
from engramia.providers.json.manifest import FILE as MANIFEST
from engramia.providers.json.manifest import open_manifest
from engramia.providers.json.quarantine import Quarantine
from engramia.providers.json.tail import UNKNOWN, Batch, Cursor, Damage, Scan
from engramia.providers.json.word_file import JournalState

JOURNAL = "journal.jsonl"
LOCK = "lock"
_NEW = "journal.jsonl.new"
_COMPACT_MIN = 1 << 20

_log = logging.getLogger(__name__)


class Replica(Protocol):
    """The state in memory that a journal keeps up to date."""

    def reset(self) -> None:
        """Forget everything."""
        ...

    def apply(self, events: Sequence[dict[str, Any]]) -> None:
        """Apply events in order; raise `StorageError` for one that is not understood."""
        ...

    def snapshot(self) -> Iterator[list[bytes]]:
        """Yield, line by line, events that make this state out of an empty one."""
        ...

    def live_bytes(self) -> int:
        """Return about how long a journal of nothing but this state is."""
        ...


class _SuspicionError(Exception):
    """What was read looks wrong, maybe for a writer at work: to be read again with writers shut out."""


class Journal:
    """The journal in `folder`, replayed into `replica`."""

    def __init__(self, folder: Path, replica: Replica, *, sync: bool, lock_timeout: float) -> None:
        self._folder = folder
        self._path = folder / JOURNAL
        self._name = os.fspath(self._path)
        self.lock = ProcessLock(folder / LOCK, lock_timeout)
        """What to hold while writing."""
        self._replica = replica
        self._sync = sync
        self._commit = GroupCommit()
        self._descriptors = threading.Lock()  # held while the file is replaced, or is kept open
        self._file: AttachedFile | None = None
        self._id: str | None = None
        self._quarantine = Quarantine(folder, self._path)

    def follow(self) -> None:
        """Bring the replica up to date with everything that any process has written."""
        try:
            self._follow(shut_out=False)
        except _SuspicionError:
            with contextlib.ExitStack() as stack:
                try:
                    stack.enter_context(self.lock)
                except StorageUnavailableError:
                    raise
                except StorageError as error:  # a read-only mount: no writer can be at work
                    _log.info("%s is read without a lock: %s", self._path, error)
                self._follow(shut_out=True)

    def forget(self) -> None:
        """Drop the replica, which no longer equals the journal; the next `follow` reads it all again."""
        self._replica.reset()
        if self._file is not None:
            self._file.cursor = Cursor()

    def _follow(self, *, shut_out: bool) -> Scan | None:
        """Read what is new and return how that went, None if nothing was."""
        try:
            return self._catch_up(shut_out=shut_out)
        except OSError as error:
            self._drop()
            raise disk.translate(error, f"Cannot read {self._path}") from error
        except ContradictionError as error:
            self._drop()
            if shut_out:
                raise self._corrupt(str(error)) from error
            raise _SuspicionError from error
        except StorageError:
            self._drop()
            raise

    def _catch_up(self, *, shut_out: bool) -> Scan | None:
        found, file = disk.status(self._name), self._file
        if file is None or found is None or not file.is_at(found):
            self._attach(found, shut_out=shut_out)
            file = self._file
        if file is not None and file.goes_on:
            return self._read_on(file, shut_out=shut_out)
        return None

    def _corrupt(self, wrong: str) -> StorageCorruptError:
        return StorageCorruptError(
            f"{self._path} {wrong}. Put the file back from a backup; or, to go on with what is left of it, "
            f"delete {self._folder / MANIFEST} (and {JOURNAL} beside it if that is empty)."
        )

    def _attach(self, found: os.stat_result | None, *, shut_out: bool) -> None:
        """Make `self._file` the file that was `found` at the journal's path."""
        old = self._file
        if old is not None:
            self._read_on(old, shut_out=shut_out)  # what was written before it was replaced
        if found is None:
            self._drop()
            if (self._folder / MANIFEST).exists():
                raise ContradictionError(f"is missing although its {MANIFEST} is there")
            return
        try:
            new = AttachedFile.open(self._folder, self._path)
        except FileNotFoundError as error:
            raise ContradictionError("has vanished") from error
        self._go_over(old, new)

    def _go_over(self, old: AttachedFile | None, new: AttachedFile) -> None:
        if new.id != self._id:
            self._id = new.id
            self._commit.restart()
        place = new.goes_on_from(old) if old is not None else None
        if place is None:
            self._replica.reset()
        else:
            new.cursor = place
        self._swap(new)
        if old is not None:
            disk.sync_folder(self._folder)  # the process that renamed it may have died before it could

    def _read_on(self, file: AttachedFile, *, shut_out: bool) -> Scan:
        scan, batches = file.scan()
        with _garbage_collector_paused():
            for batch in batches:
                self._accept(file, batch, shut_out=shut_out)
        file.torn = scan.end > file.cursor.offset
        if file.cursor.seq == UNKNOWN:
            raise ContradictionError("holds no line of a journal")
        return scan

    def _accept(self, file: AttachedFile, batch: Batch, *, shut_out: bool) -> None:
        if batch.damage and not shut_out:
            raise _SuspicionError
        for damage in batch.damage:
            self._quarantine.keep(file.generation, damage)
        events = batch.events
        if file.cursor.offset == 0:
            events = [event for event in events if event.get("kind") != snapshot.KIND]
        self._replica.apply(events)
        file.cursor = batch.cursor

    def begin_writing(self) -> None:
        """Be up to date and ready to append, inside `lock`, which shuts out every other writer."""
        self._commit.check()
        scan, file = self._follow(shut_out=True), self._file
        if file is not None and not file.writable:
            raise StorageError(f"{self._path} is not writable. Check its owner and mode.")
        if file is not None and scan is not None and file.torn:
            with disk.translated(f"Cannot repair the end of {self._path}"):
                self._cut_tail(file, scan)

    def _cut_tail(self, file: AttachedFile, scan: Scan) -> None:
        """Take away the end of a transaction whose writer died; a damaged whole line is kept aside first."""
        cursor = file.cursor
        if scan.tail_is_damaged:
            tail = disk.read_at(file.fd, scan.end - cursor.offset, cursor.offset)
            self._quarantine.keep(file.generation, Damage(cursor.line + 1, cursor.offset, tail))
        file.cut()

    def append(self, events: Sequence[bytes], apply: Callable[[], None], *, hurry: bool) -> None:
        """Write one transaction, if it has events, inside `lock`, and `apply` it to the replica.

        If this raises a `StorageError`, also by `apply`, nothing of it was kept. With `hurry`, since somebody
        will wait for the disk, that takes the bytes while they are applied.
        """
        if not events:
            return
        try:
            file = self._file or self._install(iter(()), secrets.token_hex(8), 1, 0)
            cursor = file.cursor
            data, last = frame_transaction(cursor.seq + 1, events)
            data = b"\n" + data if cursor.ragged else data
            file.write(data)
        except OSError as error:
            raise disk.translate(error, f"Cannot write to {self._path}") from error
        if hurry and self._sync and not self._commit.syncing:
            disk.begin_sync(file.fd, cursor.offset, len(data))
        try:
            apply()
        except StorageError as error:  # nobody else could apply it either
            self._take_back(file)
            raise StorageError(f"This transaction failed and nothing of it was kept. {error}") from error
        file.cursor = Cursor(cursor.offset + len(data), last, cursor.line + last - cursor.seq)

    def _take_back(self, file: AttachedFile) -> None:
        """Take away, durably, what was written behind the cursor."""
        with disk.translated(f"Cannot repair the end of {self._path}"):
            file.cut()
            disk.sync_file(file.fd)

    @property
    def state(self) -> JournalState | None:
        """Which journal this is and how often it was compacted; None without one that says so."""
        return JournalState(self._file.id, self._file.generation) if self._file and self._file.id else None

    def ticket(self) -> int:
        """Return the number of the last line, to wait for."""
        return self._file.cursor.seq if self._file is not None else 0

    def wait_durable(self, ticket: int) -> None:
        """Return once every line up to `ticket` is on the disk. Called without the scope's lock."""
        if self._sync:
            self._commit.wait(ticket, self._sync_file)

    def _sync_file(self) -> int:
        with self._descriptors:
            file = self._file
            if file is None:
                raise StorageError(f"{self._folder} was erased or closed while a write to it was under way.")
            cursor = file.cursor
            file.keep_open()
        try:
            disk.sync_file(file.fd)
        except BaseException:
            self._release(file)
            raise
        self._release(file, synced=cursor)
        return cursor.seq

    def _release(self, file: AttachedFile, *, synced: Cursor | None = None) -> None:
        with self._descriptors:
            if synced is not None and self._file is file:
                file.note_synced(synced)
            file.close()

    def compact_if_worth(self) -> None:
        """Rewrite the journal when it is mostly history, inside `lock`; a failure changes nothing."""
        file = self._file
        if file is None:
            return
        length = file.cursor.offset
        if length - file.weighed < max(_COMPACT_MIN, file.weighed // 2):
            return
        file.weighed = length  # whatever comes of it, not again before it has grown by half
        if length < 2 * self._replica.live_bytes():
            return
        try:
            self.compact()
        except StorageError as error:
            self._commit.check()
            _log.warning("%s could not be compacted: %s", self._path, error)

    def compact(self) -> None:
        """Replace the journal by one that holds the present state and no history, inside `lock`."""
        file = self._file
        if file is not None:
            self._quarantine.check()
            with disk.translated(f"Cannot compact {self._path}"):
                self._install(self._replica.snapshot(), file.id, file.generation + 1, file.cursor.seq)

    def replace(self, lines: Iterator[list[bytes]]) -> None:
        """Replace the journal by one that holds `lines` (each a list of events), inside `lock`.

        All or nothing of them is kept; the replica reads them when it is used next.
        """
        file = self._file
        self._quarantine.check()
        with disk.translated(f"Cannot write {self._path}"):
            if file is None:
                self._install(lines, secrets.token_hex(8), 1, 0)
            else:
                # A number that no line had: nobody takes this for what they have read already, rewritten.
                self._install(lines, file.id, file.generation + 1, file.cursor.seq + 1)
        self.forget()

    def _install(self, lines: Iterator[list[bytes]], id: str, generation: int, base: int) -> AttachedFile:
        """Write a journal, put it in place of the present one, durably, and go on with it."""
        fd = self._write_new(lines, snapshot.Header(id, generation, base))
        try:
            disk.sync_folder(self._folder)
        except OSError as error:
            os.close(fd)
            self._commit.fail(f"{self._folder} cannot be synced ({error.strerror}); open the storage again.")
            raise
        # Until the manifest is noted below it may know the generation before, which contradicts nothing.
        manifest_fd = None
        with contextlib.suppress(OSError):  # a guard: without it an emptied journal is noticed less well
            manifest_fd = open_manifest(self._folder, create=True)
        file = AttachedFile(fd, manifest_fd)
        header = file.header
        if header is None:
            raise self._corrupt("does not hold what was just written")
        file.cursor = Cursor(header.length, header.last, header.last - base)
        self._id = id
        self._swap(file)
        file.note_synced(file.cursor)
        self._commit.reached(header.last)
        return file

    def _write_new(self, lines: Iterator[list[bytes]], header: snapshot.Header) -> int:
        """Return a descriptor of the new journal, whole, synced and renamed into its place."""
        path = self._folder / _NEW
        path.unlink(missing_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, disk.FILE_MODE)
        try:
            snapshot.write_snapshot(fd, lines, header)
            os.fsync(fd)
            path.rename(self._path)
        except BaseException:
            os.close(fd)
            path.unlink(missing_ok=True)
            raise
        return fd

    def erase(self) -> None:
        """Delete the folder, every byte; what a dying process leaves of it goes when a storage is opened."""
        if self._folder.is_dir():
            gone = erased_name(self._folder)
            with self.lock, disk.translated(f"Cannot erase {self._folder}"):
                self._folder.rename(gone)
                disk.sync_folder(gone.parent)
            remove_erased(gone)
        self._drop()
        self.lock.close()
        self._id = None
        self._commit.restart()

    def close(self) -> None:
        """Sync what is not yet on the disk and release the files."""
        try:
            if self._file is not None:
                self.wait_durable(self.ticket())
                self._give_back_room(self._file)
        finally:
            self._drop()
            self.lock.close()

    def _give_back_room(self, file: AttachedFile) -> None:
        """Let the file end with its last line, for people who look at it, unless somebody is writing.

        Who only read it leaves it as it is.
        """
        found = disk.status(self._name)
        if found is None or not (file.written and file.is_at(found)):
            return
        with (
            contextlib.suppress(OSError, StorageError),
            contextlib.closing(ProcessLock(self._folder / LOCK, 0)) as lock,
            lock,
        ):
            if not file.goes_on:
                file.cut()

    def describe(self) -> dict[str, Any]:
        """Return the journal's length in bytes, its generation and everything that is wrong with it."""
        file = self._file
        return {
            "bytes": file.cursor.offset if file else 0,
            "generation": file.generation if file else 0,
            "quarantined": self._quarantine.files(),
            "wrong": self._quarantine.messages(),
        }

    def _drop(self) -> None:
        """Forget the state and let go of the file."""
        self._replica.reset()
        self._swap(None)

    def _swap(self, file: AttachedFile | None) -> None:
        with self._descriptors:
            old, self._file = self._file, file
            if old is not None:
                old.close()


@contextlib.contextmanager
def _garbage_collector_paused() -> Iterator[None]:
    """Spare a long replay, which makes no garbage cycles, a fifth of its time."""
    paused = gc.isenabled()
    if paused:
        gc.disable()
    try:
        yield
    finally:
        if paused:
            gc.enable()
