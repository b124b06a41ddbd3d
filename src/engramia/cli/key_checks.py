"""What keeps API keys or projects in the database from being used, or should be done better."""

import importlib.util
from collections.abc import Iterator
from typing import TYPE_CHECKING

from engramia.cli.checks import Check, Status
from engramia.cli.exit_codes import ExitCode, verdict
from engramia.errors import EngramiaError, StorageUnavailableError

if TYPE_CHECKING:
    from engramia.core.audit import AuditEntry, AuditStamp
    from engramia.settings import Settings

INSTALL = 'pip install "engramia[postgres]"'
_NAME = "keys"
_NAMES = {"db": _NAME, "oidc": "projects"}
"""What the auth modes that ask the database ask it for."""
_NEEDED = ("sqlalchemy", "psycopg", "pgvector", "alembic")
_IN_DATABASE = (
    "ENGRAMIA_SECRET_KEY is not set: API keys are hashed under a secret that is kept in the database beside "
    "them, and it would be better outside of it."
)


def secret_checks(settings: "Settings") -> Iterator[Check]:
    """Yield what is missing for keys in the database, as far as settings tell."""
    if not _kept_in_database(settings):
        return
    missing = [module for module in _NEEDED if importlib.util.find_spec(module) is None]
    if missing:
        detail = f"keys in the database need {', '.join(missing)}"
        yield Check(_NAME, Status.FAIL, detail, INSTALL, ExitCode.UNEXPECTED)
    if settings.secret_key is None:
        remedy = "Set it before the first key is made; then `engramia keys pepper` prints what to set."
        yield Check(_NAME, Status.WARN, _IN_DATABASE, remedy)


def key_checks(settings: "Settings") -> Iterator[Check]:
    """Yield what the database says against asking it who may come in; one that is down is waited for."""
    name = _asked_for(settings)
    if name is None or any(importlib.util.find_spec(needed) is None for needed in _NEEDED):
        return
    from engramia.bootstrap import SystemClock, database_from, key_service_from, project_service_from

    try:
        database = database_from(settings)
        try:
            wanted = (settings, database, SystemClock(), _untold)
            service = key_service_from(*wanted) or project_service_from(*wanted)
            if service is not None:
                service.check()
        finally:
            database.dispose()
    except StorageUnavailableError as error:
        yield Check(name, Status.WARN, str(error), "Requests get 503 until the database answers.")
    except EngramiaError as error:
        yield Check(name, Status.FAIL, str(error), None, verdict(error).exit_code)


def _untold(_entry: "AuditEntry", _stamp: "AuditStamp") -> None:
    """Tell nobody: a check changes nothing."""


def _kept_in_database(settings: "Settings") -> bool:
    return _asked_for(settings) == _NAME


def _asked_for(settings: "Settings") -> str | None:
    """Return what authentication asks the database for; None where it does not."""
    from engramia.server.identity.settings_check import AuthChoice

    choice = AuthChoice.of(settings)
    return _NAMES.get(choice.effective_mode) if choice.has_database else None
