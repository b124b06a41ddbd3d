"""The projects that there are, and how many patterns each may hold."""

from collections.abc import Callable, Mapping

from sqlalchemy import Connection

from engramia.core.audit import AuditEntry, AuditFact, AuditStamp
from engramia.core.model import Scope
from engramia.core.ports import Clock
from engramia.core.query import Page
from engramia.db.audit import AuditLedger
from engramia.db.schema import check_connection
from engramia.db.scoped import scope_settings, service_settings, tenant_settings
from engramia.db.session import Database
from engramia.errors import NotFoundError
from engramia.server.tenancy import repository
from engramia.server.tenancy.model import Project, RegisteredProject


class ProjectService:
    """The projects of all tenants. Sync; what the database raises leaves it as a `StorageError`."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        ledger: AuditLedger,
        tell: Callable[[AuditEntry, AuditStamp], None],
        announce: Callable[[Connection, str], None],
    ) -> None:
        """Keep in `ledger` what is done, in the same transaction, and then `tell` the log.

        By `announce`, last in a transaction, every process hears that something of a tenant has changed.
        """
        self.database = database
        self._clock = clock
        self._ledger = ledger
        self._tell = tell
        self._announce = announce

    def check(self) -> None:
        """Raise `StorageError`, with what to do, for another schema."""
        with self.database.transaction("BEGIN READ ONLY") as (connection, _):
            check_connection(connection)

    def find(self, scope: Scope) -> Project | None:
        """Return a project, or None if the tenant has none of this id."""
        with self.database.transaction(f"BEGIN READ ONLY; {scope_settings(scope)}") as (connection, _):
            return repository.find_project(connection, scope)

    def provide(self, scope: Scope, *, actor: str | None, ip: str | None) -> Project:
        """Return a project; it and its tenant are made if they are not there."""
        known = self.find(scope)
        if known is not None:
            return known
        entry = self._entry("project.created", scope, {}, actor=actor, ip=ip)
        now = entry.at
        with self.database.transaction(f"BEGIN; {scope_settings(scope)}") as (connection, _):
            repository.add_tenant(connection, scope.tenant_id, now)
            made = repository.add_project(connection, scope, now)
            stamp = self._ledger.append(connection, entry) if made else None
            project = repository.find_project(connection, scope) or Project()
        if stamp is not None:
            self._tell(entry, stamp)
        return project

    def limit(self, scope: Scope, max_patterns: int | None, *, actor: str) -> None:
        """Let a project hold at most so many patterns from now on, None for any number; what is there stays.

        Raises `NotFoundError` if the tenant has no project of this id.
        """
        entry = self._entry("project.limited", scope, {"max_patterns": max_patterns}, actor=actor)
        begin = f"BEGIN; {scope_settings(scope)}; {service_settings()}"
        with self.database.transaction(begin) as (connection, _):
            if repository.find_project(connection, scope) is None:
                raise NotFoundError(f"There is no project {scope.project_id} in this tenant.")
            repository.add_project(connection, scope, entry.at)
            repository.limit_project(connection, scope, max_patterns)
            self._announce(connection, scope.tenant_id)
            stamp = self._ledger.append(connection, entry)
        self._tell(entry, stamp)

    def list(self, tenant_id: str, *, limit: int, offset: int) -> Page[RegisteredProject]:
        """Return the projects of a tenant that were made by a key, a token or a limit, by id."""
        with self.database.transaction(f"BEGIN READ ONLY; {tenant_settings(tenant_id)}") as (connection, _):
            return repository.project_page(connection, tenant_id, limit=limit, offset=offset)

    def limit_of(self, scope: Scope, _author: str | None = None) -> int | None:
        """Return how many patterns a project may come to hold, whoever stores them; None for any number."""
        project = self.find(scope)
        return None if project is None else project.max_patterns

    def _entry(
        self,
        event: str,
        scope: Scope,
        facts: Mapping[str, AuditFact],
        *,
        actor: str | None,
        ip: str | None = None,
    ) -> AuditEntry:
        return AuditEntry(
            event=event,
            outcome="success",
            actor=actor,
            at=self._clock.now(),
            tenant_id=scope.tenant_id,
            project_id=scope.project_id,
            ip=ip,
            facts=facts,
        )
