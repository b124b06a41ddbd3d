"""The command `demo`: real agent runs, learned and recalled."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from engramia.cli.command import command
from engramia.cli.session import Session
from engramia.errors import ValidationError

if TYPE_CHECKING:
    from engramia.demo import DemoQuery, DemoRun

OWN_TASKS_ASKED = 10


def demo(
    session: Session,
    *,
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]", help="Your own runs, one JSON object a line: task, code, eval_score."
        ),
    ] = None,
    queries: Annotated[
        Path | None, typer.Option("--queries", help="Tasks to recall for, one JSON object a line: task.")
    ] = None,
    keep: Annotated[Path | None, typer.Option("--keep", help="Keep the patterns in this new folder.")] = None,
) -> None:
    """Learn recorded runs, and recall them.

    They come with Engramia, and are recalled for tasks in other words. Shows for each task the best
    match, how far to trust it and why; and says where it is not what a person
    would expect. Nothing is left behind unless --keep names a folder.
    """
    runs, tasks = _material(file, queries)
    if file and not queries:
        session.terminal.note(f"No --queries: asking again for {len(tasks)} of the file's own tasks.")
    started = time.perf_counter()
    with _folder(keep) as path, replace(session, data_path=path).memory() as memory:
        from engramia.cli.rehearsal import rehearse

        with session.terminal.progress("Learning and recalling", len(runs) + len(tasks)) as bar:
            shown = rehearse(memory, runs, tasks, bar)
    seconds = time.perf_counter() - started

    from engramia.cli.demo_report import demo_document, demo_view

    session.terminal.answer(demo_document(shown), lambda: demo_view(shown))
    session.terminal.say(f"Learned {len(runs)} runs and asked {len(tasks)} tasks in {seconds:.1f} s.")
    if keep:
        session.terminal.say(f'Kept in {keep}: engramia --data-path {keep} recall "…"')


def register(app: typer.Typer) -> None:
    """Add this command to `app`."""
    command(
        app,
        "demo",
        examples=(
            "engramia demo",
            "engramia demo --keep ./demo_data",
            "engramia demo my_runs.jsonl --queries my_tasks.jsonl",
        ),
    )(demo)


def _material(file: Path | None, queries: Path | None) -> "tuple[list[DemoRun], list[DemoQuery]]":
    from engramia.demo import load_queries, load_runs, read_queries, read_runs

    runs = read_runs(file) if file else load_runs()
    if not runs:
        raise ValidationError(f"{file} holds no runs.", field="file")
    if queries:
        return runs, read_queries(queries)
    return runs, _own_tasks(runs) if file else load_queries()


def _own_tasks(runs: "Sequence[DemoRun]") -> "list[DemoQuery]":
    from engramia.demo import DemoQuery

    step = max(1, len(runs) // OWN_TASKS_ASKED)
    return [DemoQuery(task=run.task) for run in runs[::step][:OWN_TASKS_ASKED]]


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """Give a folder of the demo's own: a temporary one, or a new one that stays."""
    if keep is None:
        with TemporaryDirectory(prefix="engramia-demo-") as name:
            yield Path(name)
        return
    if keep.exists() and (not keep.is_dir() or any(keep.iterdir())):
        raise ValidationError(f"{keep} is there already and is not an empty folder.", field="keep")
    yield keep
