"""Scopes that are carried out of a database or into it are accounted for, as exports and imports are."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from engramia.cli.accounting import PATIENCE_SECONDS, check_installed, log_lines, operator
from engramia.cli.exit_codes import verdict
from engramia.core.audit import AuditEntry, AuditFact, AuditOutcome
from engramia.core.contents import Contents, Inventory
from engramia.core.model import Scope
from engramia.core.ports import Mover
from engramia.errors import EngramiaError

if TYPE_CHECKING:
    from engramia.settings import Settings

type _Keep = Callable[[str, AuditOutcome, Scope, Mapping[str, AuditFact]], None]

_HOW: Mapping[str, AuditFact] = {"migrated": True}


class _Told:
    """A database whose part in carrying scopes is accounted for. Implements `Mover`."""

    def __init__(self, inner: Mover, keep: _Keep) -> None:
        self._inner, self._keep = inner, keep

    @property
    def place(self) -> str:
        return self._inner.place

    def scopes(self) -> Sequence[Scope]:
        return self._inner.scopes()

    def reading(self, scope: Scope) -> AbstractContextManager[Contents]:
        return self._inner.reading(scope)

    def replace(self, scope: Scope, contents: Contents, *, holding: Inventory | None) -> None:
        self._inner.replace(scope, contents, holding=holding)

    def close(self) -> None:
        self._inner.close()


class TakenFrom(_Told):
    """A database whose scopes are carried away; of each that is told once, before it is read."""

    def __init__(self, inner: Mover, keep: _Keep) -> None:
        super().__init__(inner, keep)
        self._begun = set[Scope]()

    def reading(self, scope: Scope) -> AbstractContextManager[Contents]:
        if scope not in self._begun:
            self._keep("export.begun", "success", scope, _HOW)
            self._begun.add(scope)
        return super().reading(scope)


class BroughtInto(_Told):
    """A database into which scopes are carried; each is told before and after."""

    def replace(self, scope: Scope, contents: Contents, *, holding: Inventory | None) -> None:
        self._keep("import.begun", "success", scope, _HOW)
        try:
            super().replace(scope, contents, holding=holding)
        except EngramiaError as error:
            self._keep("import.done", "failed", scope, {**_HOW, "error": verdict(error).error})
            raise
        self._keep("import.done", "success", scope, {**_HOW, "imported": contents.pattern_count})


@contextmanager
def keeping(settings: "Settings") -> Iterator[_Keep]:
    """Yield what keeps an entry of the database's audit trail; what failed is kept as well as can be."""
    check_installed()
    from engramia.bootstrap import SystemClock, database_from, ledger_from
    from engramia.db.audit_archive import AuditArchive
    from engramia.server.audit.trail import AuditTrail
    from engramia.telemetry.audit import audit

    log_lines(settings)
    database, clock, by = database_from(settings), SystemClock(), operator()
    trail = AuditTrail(clock, audit, AuditArchive(database, ledger_from(settings)))

    def keep(event: str, outcome: AuditOutcome, scope: Scope, facts: Mapping[str, AuditFact]) -> None:
        entry = AuditEntry(
            event=event,
            outcome=outcome,
            actor=by,
            at=trail.now(),
            tenant_id=scope.tenant_id,
            project_id=scope.project_id,
            facts=facts,
        )
        if outcome == "success":
            trail.keep(entry)
        else:
            trail.later(entry)

    try:
        yield keep
    finally:
        trail.close(PATIENCE_SECONDS)
        database.dispose()
