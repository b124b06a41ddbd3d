"""The command line's part in the audit trail: what it does to a database is accounted for, as over HTTP.

On files there are no rows, and nobody to account to: whoever runs the command owns them.
"""

import importlib.util
import os
import pwd
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from engramia.cli.exit_codes import verdict
from engramia.cli.session import DEFAULT_LOG_LEVEL, Session
from engramia.errors import StorageError

if TYPE_CHECKING:
    from engramia.bootstrap import Memory
    from engramia.core.audit import AuditFact
    from engramia.memory import facade
    from engramia.server.audit.trail import AuditTrail
    from engramia.server.kit.auditing import AskedBy
    from engramia.settings import Settings

PATIENCE_SECONDS = 5.0
"""How long the command waits at its end for the row of a failure."""
_NEEDED = ("starlette", "structlog", "opentelemetry")


def operator() -> str:
    """Return who runs the command, as the trail names it: `cli:` and the user of this machine."""
    # Not what the environment says (LOGNAME, USER), which anyone can set.
    user = os.getuid()
    try:
        return f"cli:{pwd.getpwuid(user).pw_name}"
    except KeyError:  # a container may run as a user that its files do not name
        return f"cli:{user}"


def log_lines(settings: "Settings") -> None:
    """Let `AUDIT` lines go to stderr as those of the service do, whatever the level of the others."""
    from engramia.core.redaction import Redactor
    from engramia.telemetry.logging import configure

    configure(settings.log_level or DEFAULT_LOG_LEVEL, json=settings.json_logs, redactor=Redactor())


def check_installed() -> None:
    """Raise `StorageError` unless there is what the trail is written with."""
    if any(importlib.util.find_spec(name) is None for name in _NEEDED):
        raise StorageError(
            "What is done to a database here is accounted for, and that needs the extra: "
            'pip install "engramia[api]".'
        )


class Accounts:
    """Accounts for what one command does in one scope; on files it does nothing."""

    def __init__(self, memory: "Memory", trail: "AuditTrail | None") -> None:
        self._memory = memory
        self._trail = trail

    def act(self, event: str, facts: "Mapping[str, AuditFact]") -> "AbstractContextManager[facade.Memory]":
        """Return a block with the memory in which all is kept together with its entry, or nothing is.

        If the block fails, an entry says so.
        """
        if self._trail is None:
            return nullcontext(self._memory)
        return self._together(self._trail, event, facts)

    def keep(self, event: str, facts: "Mapping[str, AuditFact]") -> None:
        """Keep an entry by itself: for what is more than one transaction. Raises `StorageError`."""
        if self._trail is not None:
            self._trail.keep(self._by().entry(event, "success", self._trail.now(), facts))

    def failed(self, event: str, error: BaseException, facts: "Mapping[str, AuditFact]") -> None:
        """Note that an act failed, as well as that can be done now; never raises."""
        if self._trail is not None:
            why = {"error": verdict(error).error}
            self._trail.later(self._by().entry(event, "failed", self._trail.now(), {**facts, **why}))

    @contextmanager
    def _together(
        self, trail: "AuditTrail", event: str, facts: "Mapping[str, AuditFact]"
    ) -> "Iterator[facade.Memory]":
        from engramia.server.kit.auditing import Act
        from engramia.server.kit.one_transaction import OneTransaction
        from engramia.server.kit.services import joined

        unit = OneTransaction(self._memory.engine.storage)
        Act(trail, event, self._by(), dict(facts)).within(unit)
        with unit.transaction():
            yield joined(unit, self._memory)

    def _by(self) -> "AskedBy":
        from engramia.server.kit.auditing import AskedBy

        return AskedBy(scope=self._memory.scope, actor=operator())


@contextmanager
def accounting(session: Session, memory: "Memory") -> Iterator[Accounts]:
    """Yield what accounts for acts on `memory`; what is left to be written is written at the end."""
    if memory.archive is None:
        yield Accounts(memory, None)
        return
    check_installed()
    from engramia.server.audit.trail import AuditTrail
    from engramia.telemetry.audit import audit

    log_lines(session.settings)
    trail = AuditTrail(memory.engine.clock, audit, memory.archive)
    try:
        yield Accounts(memory, trail)
    finally:
        trail.close(PATIENCE_SECONDS)
