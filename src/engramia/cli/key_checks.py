"""What keeps API keys in the database from being used, or should be done better."""

import importlib.util
from collections.abc import Iterator
from typing import TYPE_CHECKING

from engramia.cli.checks import Check, Status
from engramia.cli.exit_codes import ExitCode, verdict
from engramia.errors import EngramiaError, StorageUnavailableError

if TYPE_CHECKING:
    from engramia.settings import Settings

INSTALL = 'pip install "engramia[postgres]"'
_NAME = "keys"
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
    """Yield what the database says against using its keys; one that is down is waited for."""
    if not _kept_in_database(settings) or any(importlib.util.find_spec(name) is None for name in _NEEDED):
        return
    from engramia.bootstrap import SystemClock, database_from, key_service_from

    try:
        database = database_from(settings)
        try:
            keys = key_service_from(settings, database, SystemClock(), lambda _entry, _stamp: None)
            if keys is not None:
                keys.check()
        finally:
            database.dispose()
    except StorageUnavailableError as error:
        yield Check(_NAME, Status.WARN, str(error), "Requests get 503 until the database answers.")
    except EngramiaError as error:
        yield Check(_NAME, Status.FAIL, str(error), None, verdict(error).exit_code)


def _kept_in_database(settings: "Settings") -> bool:
    from engramia.server.identity.settings_check import AuthChoice

    choice = AuthChoice.of(settings)
    return choice.has_database and choice.effective_mode == "db"
