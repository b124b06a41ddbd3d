"""How the replica of the database is, and whether reads go to it."""

import importlib.util
from collections.abc import Iterator
from typing import TYPE_CHECKING

from engramia.cli.checks import Check, Status
from engramia.cli.exit_codes import verdict
from engramia.errors import EngramiaError, StorageUnavailableError
from engramia.settings import StorageKind

if TYPE_CHECKING:
    from engramia.settings import Settings

_NAME = "replica"
_UNUSED = "ENGRAMIA_DATABASE_REPLICA_URL is set, and there is no Postgres storage that could read from it."
_WAIT = "Until it can be used, the primary serves what it would: see docs/scaling.md."


def replica_checks(settings: "Settings") -> Iterator[Check]:
    """Yield the state and lag of the replica that the settings name, if they name one."""
    if settings.database_replica_url is None:
        return
    if settings.storage is not StorageKind.POSTGRES or settings.database_url is None:
        yield Check(_NAME, Status.WARN, _UNUSED, "Set ENGRAMIA_STORAGE=postgres and ENGRAMIA_DATABASE_URL.")
    elif importlib.util.find_spec("psycopg") is not None:  # another check says so
        yield _look(settings)


def _look(settings: "Settings") -> Check:
    from engramia.bootstrap import replica_from

    try:
        replica = replica_from(settings)
        try:
            state = replica.look()
        finally:
            replica.close()
            replica.primary.dispose()
    except StorageUnavailableError as error:
        return Check(_NAME, Status.WARN, f"not compared with the primary: {error}", _WAIT)
    except EngramiaError as error:
        return Check(_NAME, Status.FAIL, str(error), None, verdict(error).exit_code)
    lag = "" if state.lag_bytes is None else f" ({state.lag_bytes} bytes behind)"
    if state.in_use:
        return Check(_NAME, Status.OK, f"reads go to it{lag}")
    return Check(_NAME, Status.WARN, f"the primary serves all reads{lag}: {state.reason}", _WAIT)
