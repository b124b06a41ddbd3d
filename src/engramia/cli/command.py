"""How a function becomes a command: global options in any place, errors as sentences, exit codes."""

import inspect
import traceback
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from engramia.cli.exit_codes import ExitCode, verdict
from engramia.cli.session import Session
from engramia.errors import EngramiaError, StorageError, ValidationError

DataPath = Annotated[Path | None, typer.Option("--data-path", help="Folder of the JSON storage.")]
Tenant = Annotated[str | None, typer.Option("--tenant", help="Tenant to work in.")]
Project = Annotated[str | None, typer.Option("--project", help="Project to work in.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, for programs.")]
Traceback = Annotated[bool, typer.Option("--traceback", help="Show where an error came from.")]

_GLOBAL = {"data_path": DataPath, "tenant": Tenant, "project": Project, "json": Json, "traceback": Traceback}


def command(
    app: typer.Typer, name: str, *, examples: tuple[str, ...]
) -> Callable[[Callable[..., ExitCode | None]], Callable[..., int]]:
    """Register a function of (session, its own options) as the command `name` of `app`."""

    def register(function: Callable[..., ExitCode | None]) -> Callable[..., int]:
        @wraps(function)
        def run(context: typer.Context, **options: Any) -> int:
            given = {name: options.pop(name) for name in _GLOBAL}
            base = context.obj if isinstance(context.obj, Session) else Session()
            return guarded(base.with_options(**given), function, options)

        _take_global_options(run, function)
        app.command(name, epilog=block("Examples:", *(f"  {example}" for example in examples)))(run)
        return run

    return register


def guarded(session: Session, function: Callable[..., ExitCode | None], options: dict[str, Any]) -> int:
    """Run a command; every error becomes a sentence and an exit code."""
    try:
        return function(session, **options) or ExitCode.OK
    except BrokenPipeError:
        return ExitCode.BROKEN_PIPE
    except OSError as error:
        return fail(session, StorageError(f"The system refused: {error.strerror or error}."))
    except (typer.TyperException, typer.Exit, typer.Abort):
        raise
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the edge: a bug becomes a sentence, too
        return fail(session, error)


def fail(session: Session, error: BaseException, *, detail: str | None = None, **facts: Any) -> ExitCode:
    """Report `error`: a JSON document on stdout with `--json`, else a sentence with a hint on stderr."""
    meaning = verdict(error)
    if session.traceback:
        session.terminal.note("".join(traceback.format_exception(error)).rstrip())
    detail = detail or _sentence(error)
    if isinstance(error, ValidationError):
        facts = {"field": error.field, **facts}
    document = {"error": meaning.error, "detail": detail, **facts}
    if session.json:
        session.terminal.answer({**document, "hint": meaning.hint} if meaning.hint else document)
    else:
        session.terminal.note(f"Error: {detail}")
        if meaning.hint:
            session.terminal.note(f"Hint: {meaning.hint}")
    return meaning.exit_code


def block(title: str, *lines: str) -> str:
    """Return help text that keeps its line breaks."""
    return "\n".join(("\b", title, *lines))


def _sentence(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "Interrupted; what was done is kept."
    if isinstance(error, EngramiaError):
        return str(error)
    return f"Something unexpected happened: {type(error).__name__}: {error}"


def _take_global_options(run: Callable[..., int], function: Callable[..., Any]) -> None:
    """Give `run` the signature that Typer reads: the function's own options and the global ones."""
    own = list(inspect.signature(function).parameters.values())[1:]
    parameters = [
        inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context),
        *(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own),
        *(
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                annotation=kind,
                default=False if kind in (Json, Traceback) else None,
            )
            for name, kind in _GLOBAL.items()
        ),
    ]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    vars(run)["__signature__"] = inspect.Signature(parameters)
    del vars(run)["__wrapped__"]
