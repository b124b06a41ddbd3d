"""Commands that carry patterns out and in: export, import."""

import errno
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import orjson
import typer

from engramia.cli.accounting import Accounts, accounting
from engramia.cli.command import command, fail
from engramia.cli.exit_codes import ExitCode
from engramia.cli.reading import STDIN, unreadable
from engramia.cli.records import RecordFile
from engramia.cli.session import Session
from engramia.cli.terminal import Bar, counted
from engramia.core.model import ImportResult
from engramia.errors import EngramiaError, StorageError, StorageFullError, ValidationError

SKIPPED_SHOWN = 20


class ExportFormat(StrEnum):
    """How exported records are written."""

    NDJSON = "ndjson"
    JSON = "json"


def export(
    session: Session,
    *,
    to: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write here, not to stdout.")
    ] = None,
    format: Annotated[
        ExportFormat | None,
        typer.Option("--format", help="One record a line, or one document (default: ndjson)."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it is there.")] = False,
) -> None:
    """Write all patterns as portable records.

    `import` takes them back, history included. A file appears only when it is complete, and only you can
    read it. With --json and no FILE, the document.
    """
    streamed = to is None or str(to) == STDIN
    chosen = format or (ExportFormat.JSON if session.json and streamed else ExportFormat.NDJSON)
    with session.memory() as memory, accounting(session, memory) as accounts:
        chunks = Chunks(memory.iter_export(), chosen)
        if streamed:
            for chunk in _told(accounts, chunks):
                session.terminal.write(chunk)
            return
        target = free_target(to or Path(STDIN), force=force)
        with whole_file(target) as file:
            file.writelines(_told(accounts, chunks))
    session.terminal.answer({"exported": chunks.count, "path": str(target), "format": chosen.value})
    session.terminal.say(f"Exported {counted(chunks.count, 'pattern')} to {target}.")


def import_(
    session: Session,
    *,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="An export in either format; - is standard input.")
    ],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace patterns whose key is there already.")
    ] = False,
) -> ExitCode:
    """Store exported records.

    A bad record is reported with its reason, and the rest goes in. Exit code 6 if records were skipped.
    Interrupted, it keeps what is in; running it again goes on.
    """
    with _opened(file) as opened, session.memory() as memory, accounting(session, memory) as accounts:
        source = RecordFile(opened)
        accounts.keep("import.begun", {"overwrite": overwrite})
        title, most = f"Importing {file}", _size(opened)
        done = 0
        with session.terminal.progress(title, most) as bar:

            def progress(count: int, _total: int) -> None:
                nonlocal done
                done = count
                _advance(bar, source, count, most)

            try:
                result = memory.import_data(source.records(), overwrite=overwrite, progress=progress)
            except (KeyboardInterrupt, EngramiaError) as stopped:
                accounts.failed("import.done", stopped, {"processed": done})
                return _stopped(session, stopped, done)
        accounts.keep("import.done", _counts(source, result))
    return _report(session, source, result)


def register(app: typer.Typer) -> None:
    """Add these commands to `app`."""
    command(
        app,
        "export",
        examples=(
            "engramia export -o patterns.ndjson",
            "engramia export | gzip > patterns.ndjson.gz",
            "engramia export --format json -o patterns.json --force",
        ),
    )(export)
    command(
        app,
        "import",
        examples=(
            "engramia import patterns.ndjson",
            "zcat patterns.ndjson.gz | engramia import - --overwrite",
            "engramia import patterns.json --project other --json",
        ),
    )(import_)


class Chunks:
    """Records as the bytes of a file, made as they are asked for; `count` is how many went by."""

    def __init__(self, records: Iterator[dict[str, Any]], format: ExportFormat) -> None:
        self._records = records
        self._format = format
        self.count = 0

    def __iter__(self) -> Iterator[bytes]:
        if self._format is ExportFormat.NDJSON:
            yield from (orjson.dumps(record) + b"\n" for record in self._counted())
            return
        yield b'{"records":['
        for record in self._counted():
            yield (b",\n" if self.count > 1 else b"\n") + orjson.dumps(record)
        yield b'\n],"count":%d}\n' % self.count

    def _counted(self) -> Iterator[dict[str, Any]]:
        for record in self._records:
            self.count += 1
            yield record


def _told(accounts: Accounts, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the chunks; that somebody takes them is kept before the first goes out."""
    rest = iter(chunks)
    try:
        first = next(rest, b"")
    except EngramiaError as error:
        accounts.failed("export.begun", error, {})
        raise
    accounts.keep("export.begun", {})
    yield first
    yield from rest


@contextmanager
def whole_file(target: Path) -> Iterator[BinaryIO]:
    """Write a file that is there complete, under its name, or not at all."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    except OSError as error:
        raise _unwritable(target, error) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(target)
    except OSError as error:
        raise _unwritable(target, error) from error
    finally:
        Path(name).unlink(missing_ok=True)


def free_target(path: Path, *, force: bool) -> Path:
    """Return `path` if a file may be written there; one that is there is replaced only by `force`."""
    if path.exists() and not path.is_file():
        raise ValidationError(f"{path} is there and is not a regular file.", field="output")
    if path.exists() and not force:
        raise ValidationError(f"{path} is there already; --force replaces it.", field="output")
    return path


def _unwritable(target: Path, error: OSError) -> StorageError:
    kind = StorageFullError if error.errno in (errno.ENOSPC, errno.EDQUOT) else StorageError
    return kind(f"Cannot write {target}: {error.strerror or error}.")


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    if str(path) == STDIN:
        yield sys.stdin.buffer
        return
    try:
        file = path.open("rb")
    except OSError as error:
        raise unreadable(path, error, field="file") from error
    with file:
        yield file


def _size(file: BinaryIO) -> int | None:
    """Return how many bytes a regular file has; None for a pipe."""
    try:
        status = os.fstat(file.fileno())
    except OSError:  # Not backed by the operating system, as standard input in a test.
        return None
    return status.st_size or None


def _advance(bar: Bar, source: RecordFile, count: int, most: int | None) -> None:
    """Show records where their number is known, else how far into the file the reading is."""
    note = f"{count:,} records"
    if source.total is not None:
        bar.update(count, source.total, note=note)
    else:
        bar.update(source.read_bytes, most, note=note)


def _stopped(session: Session, stopped: BaseException, done: int) -> ExitCode:
    detail = str(stopped).rstrip(".") if isinstance(stopped, EngramiaError) else "Interrupted"
    return fail(
        session,
        stopped,
        detail=f"{detail}. The first {done:,} records are done and kept; run the same import again to go on.",
        processed=done,
    )


def _report(session: Session, source: RecordFile, result: ImportResult) -> ExitCode:
    skipped = sorted(_skipped(source, result), key=lambda entry: entry["line"] or entry["index"] or 0)
    document = {**_counts(source, result), "reasons": skipped}
    session.terminal.answer(document)
    if not session.json:
        _show(session, document)
    return ExitCode.PARTLY if skipped else ExitCode.OK


def _counts(source: RecordFile, result: ImportResult) -> dict[str, int]:
    bad = len(source.bad)
    return {"imported": result.imported, "skipped": result.skipped + bad, "total": result.total + bad}


def _skipped(source: RecordFile, result: ImportResult) -> Iterator[dict[str, Any]]:
    for bad in source.bad:
        yield {"line": bad.line, "index": None, "key": None, "reason": bad.reason}
    for skip in result.reasons:
        yield {
            "line": source.line_of(skip.index),
            "index": skip.index,
            "key": skip.key,
            "reason": skip.reason,
        }


def _show(session: Session, document: dict[str, Any]) -> None:
    session.terminal.say(f"Imported {document['imported']:,} of {counted(document['total'], 'record')}.")
    skipped = document["reasons"]
    if not skipped:
        return
    from rich.text import Text

    from engramia.cli.tables import table
    from engramia.cli.terminal import plain

    drawn = table("Where", "Key", "Why it was skipped", right=("Where",))
    for entry in skipped[:SKIPPED_SHOWN]:
        where = f"line {entry['line']}" if entry["line"] else f"record {entry['index'] + 1}"
        drawn.add_row(where, Text(plain(entry["key"] or "-")), Text(plain(entry["reason"])))
    session.terminal.out.print(drawn)
    if len(skipped) > SKIPPED_SHOWN:
        session.terminal.say(f"… and {len(skipped) - SKIPPED_SHOWN:,} more; --json lists all.")
