"""A service over Postgres whose audit trail tests look at."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engramia.core.audit import NOBODY, AuditQuery, AuditRow
from engramia.core.audit_chain import Seal
from engramia.db.audit import AuditLedger
from engramia.db.audit_archive import AuditArchive
from engramia.db.session import Database, Limits
from engramia.providers.postgres.storage import PostgresStorage
from tests.server.api import Api, service

SECRET = "a long sentence that only the service knows"  # noqa: S105 - made up for these tests
KEY = "a-static-key-of-these-tests"
DEADLINE_SECONDS = 15.0


@contextmanager
def audited(folder: Path, url: str, *, role: str = "owner", **settings: Any) -> Iterator[Api]:
    """Serve over the database at `url` to one static key of this role."""
    chosen: dict[str, Any] = {
        "auth_mode": "env",
        "api_keys": (KEY,),
        "env_auth_role": role,
        "job_poll_interval": 0.05,
    }
    storage = PostgresStorage(url, ledger=AuditLedger(Seal.of(SECRET)))
    headers = {"Authorization": f"Bearer {KEY}"}
    with service(folder, storage=storage, headers=headers, **(chosen | settings)) as api:
        yield api


@contextmanager
def archive_at(url: str) -> Iterator[AuditArchive]:
    """Open the rows at `url`."""
    database = Database(url, Limits())
    yield AuditArchive(database, AuditLedger(Seal.of(SECRET)))
    database.dispose()


def rows(url: str, tenant: str = "default") -> list[AuditRow]:
    """Return a tenant's rows, oldest first, of a chain that is sound."""
    with archive_at(url) as archive:
        assert archive.verify(tenant).fault is None
        return list(archive.page(tenant, AuditQuery(), limit=500, offset=0))[::-1]


def nobodys(url: str) -> list[AuditRow]:
    return rows(url, NOBODY)


def awaited(look: Callable[[], list[AuditRow]], count: int) -> list[AuditRow]:
    """Return what `look` sees once that is at least `count` rows, which are written a little later."""
    ends = time.monotonic() + DEADLINE_SECONDS
    while len(found := look()) < count:
        if time.monotonic() > ends:
            raise TimeoutError(f"{len(found)} rows of {count} came.")
        time.sleep(0.02)
    return found
