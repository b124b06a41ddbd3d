"""The commands that run the service: serve, worker."""

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engramia.cli.command import command, fail
from engramia.cli.exit_codes import ExitCode
from engramia.cli.session import Session
from engramia.errors import EngramiaError, ProviderNotConfiguredError, StorageError, ValidationError

if TYPE_CHECKING:
    from engramia.cli.checks import Check
    from engramia.settings import Settings

WORKERS_MAX = 64

_ERRORS: Mapping[ExitCode, Callable[[str], EngramiaError]] = {
    ExitCode.USAGE: lambda sentence: ValidationError(sentence, field="settings"),
    ExitCode.STORAGE: StorageError,
    ExitCode.PROVIDER: ProviderNotConfiguredError,
}
"""What a check that failed is an error of."""

Host = Annotated[
    str | None,
    typer.Option(help="Address to listen on; 0.0.0.0 for every network this machine is in."),
]
Port = Annotated[int | None, typer.Option(min=0, max=65_535, help="Port to listen on; 0 for any free one.")]
Workers = Annotated[int, typer.Option(min=1, max=WORKERS_MAX, help="Processes that serve, on one port.")]
_Check = Annotated[
    bool, typer.Option("--check", help="Show the settings in force and what is wrong; serve nothing.")
]


def serve(
    session: Session, host: Host = None, port: Port = None, workers: Workers = 1, *, check: _Check = False
) -> ExitCode:
    """Run the HTTP service.

    Everything else is set by the environment (ENGRAMIA_*; docs/settings.md lists it all). What would be
    unsafe is refused with a sentence. SIGTERM and Ctrl-C let running requests finish; Ctrl-C again ends
    at once. With --workers, every process also runs jobs, ENGRAMIA_JOB_MAX_CONCURRENT each: one that was
    handed in starts at once, and none waits for a process that died.
    """
    session = replace(session, host=host, port=port)
    found = _checks(session, workers)
    if check:
        from engramia.cli.checks import run_checks
        from engramia.cli.doctor import report
        from engramia.cli.identity_checks import provider_checks

        return report(session, [*run_checks(session), *found, *provider_checks(session.settings)])
    from engramia.cli.service_checks import disk_checks

    if code := refused(session, [*found, *disk_checks(session.settings)]):
        return code
    with equipped(session.settings, workers) as settings:
        return _serve(session, settings, workers)


def worker(session: Session) -> ExitCode:
    """Run jobs, apart from the server.

    Takes up what was asked for with `Prefer: respond-async`, in every project of the storage. Any number of
    workers may share it, on one machine. Start the server with ENGRAMIA_JOB_WORKER=false if it should
    run none itself. SIGTERM and Ctrl-C give running jobs ENGRAMIA_SHUTDOWN_TIMEOUT seconds to finish and
    then put them back into the queue.
    """
    from engramia.cli.service_checks import service_checks

    settings = session.settings
    if code := refused(session, service_checks(settings)):
        return code
    from importlib.metadata import version

    from engramia.api.observing import Observing
    from engramia.api.work import trail_of, worker_of
    from engramia.bootstrap import Adapters
    from engramia.cli.service_process import configure_logging

    configure_logging(settings)
    observing = Observing(settings, version("engramia"))
    adapters = Adapters(settings, watch=observing)
    trail = trail_of(adapters)
    jobs = worker_of(adapters, settings, observing, trail=trail)
    told = _stop_signal(settings)
    jobs.start()
    announce(session, {"worker": "running", "jobs": settings.job_max_concurrent}, _worker_lines(settings))
    told.wait()
    jobs.stop(settings.shutdown_timeout)
    trail.close(settings.shutdown_timeout)
    adapters.close()
    observing.tracing.shutdown()
    return ExitCode.OK


def register(app: typer.Typer) -> None:
    """Add these commands to `app`."""
    command(
        app,
        "serve",
        examples=(
            "engramia serve",
            "ENGRAMIA_API_KEYS=$KEY engramia serve --host 0.0.0.0 --port 80 --workers 2",
            "engramia serve --check",
        ),
    )(serve)
    command(app, "worker", examples=("engramia worker", "ENGRAMIA_JOB_MAX_CONCURRENT=8 engramia worker"))(
        worker
    )


def _checks(session: Session, workers: int) -> "list[Check]":
    from engramia.cli.service_checks import service_checks, start_checks

    return [*service_checks(session.settings, workers=workers), *start_checks(session.settings)]


def refused(session: Session, found: "Sequence[Check]") -> ExitCode | None:
    """Tell what is doubtful and what is wrong; return the exit code if something is."""
    from engramia.cli.checks import Status

    for each in found:
        if each.status is Status.WARN:
            session.terminal.note(f"Warning: {_sentence(each)}")
    wrong = [each for each in found if each.status is Status.FAIL]
    if not wrong:
        return None
    first, *others = (_sentence(each) for each in wrong)
    fail(session, _ERRORS.get(wrong[0].exit_code, EngramiaError)(first), problems=[first, *others])
    for sentence in others:
        session.terminal.note(f"Error: {sentence}")
    session.terminal.note("`engramia serve --check` shows every setting and what is wrong.")
    return wrong[0].exit_code


def _sentence(check: "Check") -> str:
    text = check.detail if check.detail.endswith(".") else f"{check.detail}."
    return f"{text} {check.remedy}" if check.remedy else text


@contextlib.contextmanager
def equipped(settings: "Settings", workers: int) -> "Iterator[Settings]":
    """Yield settings with a folder in which several processes add up their metrics, if they need one."""
    if not settings.metrics or (settings.metrics_path is None and workers == 1):
        yield settings
        return
    from tempfile import TemporaryDirectory

    from engramia.telemetry.cells import prepare

    with TemporaryDirectory(prefix="engramia-metrics-") as made:
        folder = settings.metrics_path or Path(made)
        prepare(folder)
        yield settings.model_copy(update={"metrics_path": folder})


def _serve(session: Session, settings: "Settings", workers: int) -> ExitCode:
    from engramia.cli.fleet import Fleet
    from engramia.cli.listening import listen, url_of
    from engramia.cli.service_process import serve_on

    listener = listen(settings.host, settings.port)
    facts = service_facts(session, settings, url_of(listener), workers)

    def ready() -> None:
        announce(session, facts, _server_lines(facts))

    if workers == 1:
        return serve_on(listener, settings, ready)
    return Fleet(listener, settings, workers).run(ready)


def service_facts(session: Session, settings: "Settings", url: str, workers: int) -> dict[str, Any]:
    """Return what is told of the service once it listens."""
    from importlib.metadata import version

    from engramia.cli.doctor import embedding_facts, language_model_facts

    embedding, llm = embedding_facts(session), language_model_facts(session)
    return {
        "listening": url,
        "version": version("engramia"),
        "docs": f"{url}/docs",
        "authentication": _authentication(settings),
        "storage": f"{settings.storage.value} in {settings.data_path.absolute()}",
        "embedding": f"{embedding['model'] or 'none, words alone'} ({embedding['why']})",
        "language_model": f"{llm['model'] or 'none'} ({llm['why']})",
        "jobs": f"{settings.job_max_concurrent} at once"
        if settings.job_worker
        else "run by `engramia worker`",
        "processes": workers,
    }


def _authentication(settings: "Settings") -> str:
    from engramia.server.identity.settings_check import AuthChoice

    if AuthChoice.of(settings).effective_mode == "db":
        return "API keys in the database"
    if settings.auth_mode.value == "oidc":
        return f"access tokens of {settings.oidc_issuer}"
    if settings.api_keys:
        keys = f"{len(settings.api_keys)} static key{'s' if len(settings.api_keys) > 1 else ''}"
        return f"{keys}, role {settings.env_auth_role}"
    if settings.allow_no_auth:
        return "none: everyone is served as owner"
    return "none: programs on this machine are served as owner, others are refused"


def _server_lines(facts: dict[str, Any]) -> list[str]:
    shown = ("docs", "authentication", "storage", "embedding", "language_model", "jobs", "processes")
    return [
        f"Engramia {facts['version']} listens on {facts['listening']}",
        *(f"  {name.replace('_', ' ').capitalize():<15} {facts[name]}" for name in shown),
        "Ctrl-C stops it.",
    ]


def _worker_lines(settings: "Settings") -> list[str]:
    place = f"{settings.storage.value} in {settings.data_path.absolute()}"
    return [f"Running jobs of {place}, {settings.job_max_concurrent} at once. Ctrl-C stops it."]


def announce(session: Session, document: dict[str, Any], lines: list[str]) -> None:
    """Say that it runs: whoever started it may be waiting for these lines."""
    session.terminal.answer(document)
    session.terminal.say("\n".join(lines))
    sys.stdout.flush()


def _stop_signal(settings: "Settings") -> threading.Event:
    """Return what is set by SIGTERM or Ctrl-C; a second Ctrl-C ends the process."""
    from engramia.cli.service_process import end_by, end_now, patience, tell_stopping

    told = threading.Event()

    def stop(number: int, _frame: object) -> None:
        if told.is_set():
            if number == signal.SIGINT:
                end_now()
            return
        told.set()
        end_by(patience(settings))
        if number == signal.SIGINT:
            tell_stopping("jobs")

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    return told
