"""Where output goes: one JSON document on stdout for programs, tables for people, progress on stderr."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.progress import Progress

PIPED_WIDTH = 120
"""Columns of a table that nobody's terminal limits."""

_JSON = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE


class Terminal:
    """The two streams of the process. Rich is loaded only when something is drawn."""

    def __init__(self, *, json: bool) -> None:
        self.json = json

    @cached_property
    def out(self) -> "Console":
        return _console(stderr=False)

    @cached_property
    def err(self) -> "Console":
        return _console(stderr=True)

    def answer(
        self, document: Mapping[str, Any], draw: "Callable[[], RenderableType | None] | None" = None
    ) -> None:
        """Print `document` for programs, or what `draw` makes for people."""
        if self.json:
            self.write(orjson.dumps(document, option=_JSON))
        elif draw and (drawing := draw()) is not None:
            self.out.print(drawing)

    def say(self, text: str) -> None:
        """Print a line for people; programs do not get it."""
        if not self.json:
            self.out.print(plain(text), markup=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """Print a line on stderr, for people and programs."""
        sys.stderr.write(f"{plain(text)}\n")

    def write(self, data: bytes) -> None:
        """Write bytes to stdout as they are."""
        sys.stdout.flush()
        sys.stdout.buffer.write(data)

    @contextmanager
    def progress(self, title: str, total: int | None) -> "Iterator[Bar]":
        """Draw a progress bar on stderr while the block runs; draw nothing where stderr is no terminal."""
        if not sys.stderr.isatty():
            yield Bar(None, 0)
            return
        with _progress(self.err) as progress:
            yield Bar(progress, progress.add_task(title, total=total, note=""))

    @contextmanager
    def waiting(self, title: str) -> Iterator[None]:
        """Turn a spinner on stderr while the block runs; draw nothing where stderr is no terminal."""
        if not sys.stderr.isatty():
            yield
            return
        from rich.text import Text

        with self.err.status(Text(plain(title))):
            yield


class Bar:
    """One line of progress, or none."""

    def __init__(self, progress: "Progress | None", task: int) -> None:
        self._progress = progress
        self._task = task

    def update(self, done: float, total: float | None = None, *, note: str = "") -> None:
        """Show that `done` of `total` are done."""
        if self._progress is not None:
            from rich.progress import TaskID

            self._progress.update(TaskID(self._task), completed=done, total=total, note=note)

    def __call__(self, done: int, total: int) -> None:
        """Show counted progress, as the engine's long operations report it."""
        self.update(done, total, note=f"{done:,} of {total:,}")


def plain(text: str) -> str:
    """Return `text` without the control characters that could steer a terminal."""
    return "".join(
        char if char in "\n\t" or (char >= " " and not "\x7f" <= char <= "\x9f") else "�" for char in text
    )


def counted(number: int, noun: str) -> str:
    """Return `number` and its noun, in the plural unless there is just one."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _console(*, stderr: bool) -> "Console":
    from rich.console import Console

    class Piped(Console):
        """A console that leaves a vanished reader to the command line's own handling."""

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    stream = sys.stderr if stderr else sys.stdout
    return Piped(file=stream, highlight=False, width=None if stream.isatty() else PIPED_WIDTH)


def _progress(console: "Console") -> "Progress":
    from rich.progress import (
        BarColumn,
        Progress,
        SpinnerColumn,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
