"""How transactions over one scope begin: what holds for them, and the row of the scope that they see."""

import hashlib
from functools import lru_cache

from sqlalchemy import text

from engramia.core.model import Scope
from engramia.db.driver import Statement, ready
from engramia.db.scoped import SCOPE_CALLS, scope_settings
from engramia.providers.postgres.transaction import COLUMNS

_NEXT = "nextval('engramia_revisions')"
_NOT_DURABLE = "set_config('synchronous_commit', 'off', true)"
# Every writer of a scope takes this lock first, before any row: no two of them can wait for each other.
_LOCK = "pg_advisory_xact_lock"
_UNREAD = text(f"SELECT {SCOPE_CALLS}, {_NOT_DURABLE}, {_LOCK}(:of_lock)")


def begin_reading(scope: Scope) -> str:
    """Return the statements that open a transaction for reading one scope; the last returns its row."""
    return "; ".join(
        ("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY", scope_settings(scope), _select_row(scope, "0"))
    )


def begin_writing(scope: Scope, *, durable: bool, idle: float) -> str:
    """Return the statements that open a transaction as the scope's only writer; the last returns its row.

    A process that says nothing for `idle` seconds loses it, so that one that was stopped holds up nobody.
    """
    lock = f"{_LOCK}({_lock_number(scope)})"
    commit = () if durable else (_NOT_DURABLE,)
    return _begin(scope, _idle(idle), *commit, lock, fresh=_NEXT)


def begin_unread(scope: Scope) -> Statement:
    """Return what makes a message the scope's only writer, not durably, that does not want to see its row."""
    ids = {"of_tenant": scope.tenant_id, "of_project": scope.project_id}
    return ready(_UNREAD, {**ids, "of_lock": _lock_number(scope)})


def begin_queueing(scope: Scope, *, idle: float) -> str:
    """Do what `begin_writing` does, without a wait for the scope's writers: for its jobs alone."""
    return _begin(scope, _idle(idle), fresh="0")


def _idle(seconds: float) -> str:
    return f"set_config('idle_in_transaction_session_timeout', '{int(seconds * 1000)}', true)"


def _begin(scope: Scope, *calls: str, fresh: str) -> str:
    # One statement for all calls: each result is one more for the driver to take.
    return "; ".join(
        ("BEGIN", scope_settings(scope), f"SELECT {', '.join(calls)}", _select_row(scope, fresh))
    )


def _select_row(scope: Scope, fresh: str) -> str:
    """Return the statement for which server this is, `fresh`, and the scope's row or nulls."""
    # As literals: a `Scope` holds nothing but letters, digits, `_`, `.` and `-`.
    return (
        f"SELECT pg_postmaster_start_time(), {fresh}, {', '.join(COLUMNS)} "  # noqa: S608 - see above
        f"FROM (SELECT) AS one LEFT JOIN scopes ON tenant_id = '{scope.tenant_id}' "
        f"AND project_id = '{scope.project_id}'"
    )


@lru_cache(maxsize=4096)
def _lock_number(scope: Scope) -> int:
    """Return the number that writers of the scope lock; two scopes with one number would only wait."""
    name = f"{scope.tenant_id}/{scope.project_id}".encode()
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "big", signed=True)
