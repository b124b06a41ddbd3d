"""The command line put together: families of commands, global options, the last line of error handling."""

import os
import sys
from collections.abc import Callable, Sequence
from functools import cache
from typing import Annotated, Any

import typer

from engramia.cli import (
    audit,
    composing,
    database,
    demo,
    doctor,
    embedded,
    jobs,
    judging,
    juries,
    keys,
    knowledge,
    mcp,
    migrating,
    patterns,
    projects,
    serving,
    setup,
    speed,
    transfer,
    upkeep,
)
from engramia.cli.command import DataPath, Json, Project, Tenant, Traceback, block, fail
from engramia.cli.exit_codes import MEANINGS, ExitCode
from engramia.cli.session import Session
from engramia.errors import ValidationError

EPILOG = "\n\n".join(
    (
        block("Start here:", "  engramia init", "  engramia demo", '  engramia recall "what you want to do"'),
        block("Exit codes:", *(f"  {code:>3}  {meaning}" for code, meaning in MEANINGS.items())),
        'With --json, errors are {"error": code, "detail": sentence} on stdout.',
        "Settings come from the environment (ENGRAMIA_*); `engramia doctor` shows them.",
    )
)

app = typer.Typer(
    name="engramia",
    help="Memory for AI agents: store runs, find them again, know how far to trust them.",
    epilog=EPILOG,
    invoke_without_command=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version  # It takes longer to load than most commands' own code.

        typer.echo(f"engramia {version('engramia')}")
        raise typer.Exit


@app.callback()
def global_options(
    context: typer.Context,
    *,
    data_path: DataPath = None,
    tenant: Tenant = None,
    project: Project = None,
    json: Json = False,
    traceback: Traceback = False,
    show_version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Take the global options before the command; they are taken after it, too."""
    del show_version
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(ExitCode.USAGE)
    base = context.obj if isinstance(context.obj, Session) else Session()
    context.obj = base.with_options(
        data_path=data_path, tenant=tenant, project=project, json=json, traceback=traceback
    )


for family in (
    setup,
    serving,
    embedded,
    patterns,
    judging,
    composing,
    juries,
    keys,
    projects,
    knowledge,
    transfer,
    migrating,
    upkeep,
    jobs,
    mcp,
    database,
    audit,
    doctor,
    demo,
    speed,
):
    family.register(app)


def run(arguments: Sequence[str], session: Session | None = None) -> int:
    """Run the command line on `arguments` and return its exit code."""
    try:
        code = _commands()(list(arguments), prog_name="engramia", standalone_mode=False, obj=session)
    except typer.TyperException as error:
        code = _refused(error, session or Session(json="--json" in arguments))
    except typer.Abort:
        sys.stderr.write("Cancelled.\n")
        code = ExitCode.INTERRUPTED
    return _flushed(int(code or ExitCode.OK))


@cache
def _commands() -> Callable[..., Any]:
    """Return what reads the arguments; a process that runs more than one command makes it once."""
    return typer.main.get_command(app)


def _flushed(code: int) -> int:
    """Write out what stdout still holds; return `code`, or what says that it could not be written."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = ExitCode.BROKEN_PIPE
    except OSError as error:
        sys.stderr.write(f"Error: Cannot write the output: {error.strerror or error}.\n")
        code = ExitCode.STORAGE
    else:
        return code
    # The interpreter flushes once more at its end; let that go into nothing.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _refused(error: typer.TyperException, session: Session) -> ExitCode:
    """Report wrong usage, and where the right one is written."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "engramia"
    message = error.format_message().replace(": Value error, ", ": ")  # pydantic's words, not the caller's
    sentence = f"{message}{'' if message.endswith(('.', '?')) else '.'} Try `{path} --help`."
    return fail(session, ValidationError(sentence, field="arguments"))
