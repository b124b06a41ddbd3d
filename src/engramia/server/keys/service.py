"""What can be done to keys, and by whom."""

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from engramia.core.audit import AuditEntry, AuditFact, AuditStamp
from engramia.core.model import Scope
from engramia.core.ports import Clock
from engramia.core.query import Page
from engramia.core.ulids import new_ulid
from engramia.db.audit import AuditLedger
from engramia.db.schema import check_connection
from engramia.db.scoped import digest_settings, scope_settings, service_settings, tenant_settings
from engramia.db.session import Database
from engramia.errors import (
    AuthenticationError,
    AuthorizationError,
    ConflictError,
    NotFoundError,
    ValidationError,
)
from engramia.server.keys import once, pepper, repository
from engramia.server.keys.model import OPERATOR, Holder, Key, KeyRequest, NewKey, Principal
from engramia.server.keys.secret import digest_of, new_secret, shown_prefix
from engramia.server.kit.once import Attempt
from engramia.server.kit.permissions import Role
from engramia.server.tenancy import repository as tenancy
from engramia.server.tenancy.model import Project

FIRST_KEY_NAME = "First owner key"

_ID = re.compile(r"key_[0-9a-z]{26}")

type _Acts = list[AuditEntry]


class KeyService:
    """The keys of all tenants. Sync; what the database raises leaves it as a `StorageError`."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        secret_key: str | None,
        ledger: AuditLedger,
        tell: Callable[[AuditEntry, AuditStamp], None],
    ) -> None:
        """Hash keys under `secret_key`, or under a secret that is kept in the database.

        What is done is kept in `ledger`, in the same transaction, and then told to the log by `tell`.
        """
        self.database = database
        self.clock = clock
        self._secret_key = secret_key
        self._ledger = ledger
        self._tell = tell
        self._forgetting: list[Callable[[str], None]] = []
        self._pepper: bytes | None = None
        self._settling = threading.Lock()

    def on_change(self, forget: Callable[[str], None]) -> None:
        """Let `forget` be called with the tenant of each key revoked or rotated by this service, once it is.

        Other processes hear of it from the database, a moment later.
        """
        self._forgetting.append(forget)

    def prepare(self) -> None:
        """Raise `StorageError`, with what to do, for another schema, or another pepper than the keys' own."""
        with self.database.transaction("BEGIN READ ONLY") as (connection, _):
            check_connection(connection)
        self._settled()

    def check(self) -> None:
        """Raise what `prepare` does, and change nothing."""
        with self.database.transaction("BEGIN READ ONLY") as (connection, _):
            check_connection(connection)
        pepper.check(self.database, self._secret_key)

    def bootstrap(self, by: Principal = OPERATOR) -> NewKey | None:
        """Make the first key, an owner of `by.scope`; None if any key was ever made in this database."""
        now = self.clock.now()
        made = self._new(KeyRequest(FIRST_KEY_NAME, Role.OWNER), by, now)
        with self._changing(by.scope.tenant_id) as (connection, acts):
            if not pepper.note_first_key(connection, self._settled()):
                return None
            tenancy.add_tenant(connection, by.scope.tenant_id, now)
            self._store(connection, made, acts.append, by)
            acts.append(self._entry("key.bootstrapped", by, made.key))
        return made

    def create(
        self,
        wanted: KeyRequest,
        by: Principal,
        *,
        new_tenant: bool = False,
        attempt: Attempt | None = None,
    ) -> NewKey:
        """Make a key, and its project if that is new; the tenant only if `new_tenant`.

        With `attempt`, a request with an `Idempotency-Key`, that is done once; see `once.check_not_made`.

        Raises `AuthorizationError` for a role that `by` may not give, `ValidationError` for a time that is
        over or an id that is none, `AuthenticationError` if the key of `by` opens nothing any more.
        """
        _check_grant(by.role, wanted.role)
        now = self.clock.now()
        if wanted.expires_at is not None and wanted.expires_at <= now:
            raise ValidationError("expires_at must be in the future.", field="expires_at")
        made = self._new(wanted, by, now)
        with self._changing(by.scope.tenant_id) as (connection, acts):
            pepper.note_first_key(connection, self._settled())
            if new_tenant:
                tenancy.add_tenant(connection, by.scope.tenant_id, now)
            self._enter(connection, by, now)
            if attempt is not None:
                once.check_not_made(connection, by.scope, attempt, now)
                once.note_made(connection, by.scope, attempt, now, made.key.id)
            self._store(connection, made, acts.append, by)
            acts.append(self._entry("key.created", by, made.key))
        return made

    def list(self, scope: Scope, *, limit: int, offset: int) -> Page[Key]:
        """Return the keys of a project, revoked and expired ones too, newest first."""
        with self.database.transaction(_reading(tenant_settings(scope.tenant_id))) as (connection, _):
            return repository.page(connection, scope, limit=limit, offset=offset)

    def revoke(self, id: str, by: Principal) -> Key:
        """Let a key of the tenant of `by` open nothing any more; one that was revoked stays as it is.

        Raises `NotFoundError`, `AuthorizationError` for a key above the rank of `by`, and `ConflictError`
        for the tenant's last owner key that is neither revoked nor expired.
        """
        now = self.clock.now()
        with self._changing(by.scope.tenant_id) as (connection, acts):
            self._enter(connection, by, now)
            key = _found(connection, id, by, "revoke")
            if key.revoked_at is not None:
                return key
            _check_not_last(connection, key, now)
            repository.revoke(connection, key, now)
            repository.announce(connection, by.scope.tenant_id)
            acts.append(self._entry("key.revoked", by, key))
        self._forget(by.scope.tenant_id)
        return replace(key, revoked_at=now)

    def rotate(self, id: str, by: Principal) -> NewKey:
        """Give a key of the tenant of `by` a new secret; the old one opens nothing any more.

        Raises as `revoke` does, with `ConflictError` for a key that was revoked or has expired.
        """
        now = self.clock.now()
        secret = new_secret()
        with self._changing(by.scope.tenant_id) as (connection, acts):
            self._enter(connection, by, now)
            key = _found(connection, id, by, "rotate")
            _check_live(key, now)
            renewed = replace(key, key_prefix=shown_prefix(secret), rotated_at=now)
            repository.renew(connection, renewed, self._digest(secret), renewed.key_prefix, now)
            repository.announce(connection, by.scope.tenant_id)
            acts.append(self._entry("key.rotated", by, renewed))
        self._forget(by.scope.tenant_id)
        return NewKey(renewed, secret)

    def digest(self, secret: bytes) -> bytes | None:
        """Return what is stored of a secret; None while the pepper has not been asked for."""
        return None if self._pepper is None else digest_of(secret, self._pepper)

    def holder(self, secret: bytes) -> Holder | None:
        """Return what a secret opens, or None if it is of no key."""
        digest = digest_of(secret, self._settled())
        with self.database.transaction(_reading(digest_settings(digest))) as (connection, _):
            key = repository.find_by_digest(connection, digest)
            if key is None:
                return None
            connection.exec_driver_sql(scope_settings(key.scope))
            return Holder(key, tenancy.find_project(connection, key.scope) or Project())

    def project(self, scope: Scope) -> Project | None:
        """Return a project, or None if the tenant has none of this id."""
        with self.database.transaction(_reading(scope_settings(scope))) as (connection, _):
            return tenancy.find_project(connection, scope)

    def limit_of(self, scope: Scope, key_id: str | None) -> int | None:
        """Return how many patterns a scope may come to hold by what is stored with a key of its tenant."""
        with self.database.transaction(_reading(scope_settings(scope))) as (connection, _):
            key = None if key_id is None else repository.find(connection, scope.tenant_id, key_id)
            if key is not None and key.max_patterns is not None:
                return key.max_patterns
            project = tenancy.find_project(connection, scope)
        return None if project is None else project.max_patterns

    def note_uses(self, tenant_id: str, uses: Mapping[str, datetime], seldom: timedelta) -> None:
        """Note when keys of a tenant were last used, where that is news by more than `seldom`."""
        # A minute's news may be lost with the server; it is not worth a wait for its disk.
        begin = f"BEGIN; SET LOCAL synchronous_commit = off; {tenant_settings(tenant_id)}"
        with self.database.transaction(begin) as (connection, _):
            for key_id, at in sorted(uses.items()):
                repository.note_use(connection, tenant_id, key_id, at, at - seldom)

    @contextmanager
    def _changing(self, tenant_id: str) -> Iterator[tuple[Connection, _Acts]]:
        """Yield a transaction over a tenant's keys, and where to put what is done in it."""
        acts: _Acts = []
        self._settled()
        begin = f"BEGIN; {tenant_settings(tenant_id)}; {service_settings()}"
        with self.database.transaction(begin) as (connection, _):
            yield connection, acts
            stamps = self._ledger.append_all(connection, acts) if acts else ()
        for act, stamp in zip(acts, stamps, strict=True):
            self._tell(act, stamp)

    def _forget(self, tenant_id: str) -> None:
        for forget in self._forgetting:
            forget(tenant_id)

    def _enter(self, connection: Connection, by: Principal, now: datetime) -> None:
        """Hold the tenant, so that no other change to its keys goes on; check that `by` still may come in.

        What authentication found may be older than the revocation of the key that was sent.
        """
        known = tenancy.lock_tenant(connection, by.scope.tenant_id)
        if by.key_id is None and known:
            return
        sent = None if by.key_id is None else repository.find(connection, by.scope.tenant_id, by.key_id)
        if by.key_id is None:
            raise NotFoundError("There is no such tenant.")
        if not known or sent is None or not sent.is_live(now):
            raise AuthenticationError("This API key is not valid any more.")

    def _new(self, wanted: KeyRequest, by: Principal, now: datetime) -> NewKey:
        secret = new_secret()
        key = Key(
            id=f"key_{new_ulid(now)}",
            name=wanted.name,
            key_prefix=shown_prefix(secret),
            role=wanted.role,
            scope=by.scope if wanted.project_id is None else Scope(by.scope.tenant_id, wanted.project_id),
            max_patterns=wanted.max_patterns,
            expires_at=wanted.expires_at,
            created_at=now,
            created_by=by.key_id,
        )
        return NewKey(key, secret)

    def _store(
        self, connection: Connection, made: NewKey, note: Callable[[AuditEntry], None], by: Principal
    ) -> None:
        if tenancy.add_project(connection, made.key.scope, made.key.created_at):
            note(self._entry("project.created", by, made.key))
        repository.add(connection, made.key, self._digest(made.secret))

    def _entry(self, event: str, by: Principal, key: Key) -> AuditEntry:
        facts: dict[str, AuditFact] = {"key_id": key.id, "role": key.role.value}
        return AuditEntry(
            event=event,
            outcome="success",
            actor=by.actor,
            at=self.clock.now(),
            tenant_id=key.scope.tenant_id,
            project_id=key.scope.project_id,
            request_id=by.request_id,
            ip=by.ip,
            facts={} if event == "project.created" else facts,
        )

    def _digest(self, secret: str) -> bytes:
        return digest_of(secret.encode(), self._settled())

    def _settled(self) -> bytes:
        with self._settling:
            if self._pepper is None:
                self._pepper = pepper.settle(self.database, self._secret_key)
            return self._pepper


def _reading(settings: str) -> str:
    return f"BEGIN READ ONLY; {settings}"


def _check_grant(role: Role, wanted: Role) -> None:
    """Raise unless `role` may make keys of the role `wanted`: its own and lower, an admin lower alone."""
    highest = Role.EDITOR if role is Role.ADMIN else role
    if wanted.rank > highest.rank:
        raise AuthorizationError(
            f"Role '{role.value}' may create keys up to the role '{highest.value}', not '{wanted.value}'."
        )


def _found(connection: Connection, id: str, by: Principal, act: str) -> Key:
    """Return the tenant's key; whether another tenant has it makes no difference."""
    key = repository.find(connection, by.scope.tenant_id, id) if _ID.fullmatch(id) else None
    if key is None:
        raise NotFoundError("There is no such key.")
    if key.role.rank > by.role.rank:
        raise AuthorizationError(
            f"Role '{by.role.value}' may not {act} a key of the role '{key.role.value}'."
        )
    return key


def _check_not_last(connection: Connection, key: Key, now: datetime) -> None:
    last = key.role is Role.OWNER and key.is_live(now)
    if last and not repository.other_live_owners(connection, key, now):
        raise ConflictError(
            "This is the tenant's last owner key that is neither revoked nor expired; make another first.",
            code="last_owner_key",
        )


def _check_live(key: Key, now: datetime) -> None:
    if key.revoked_at is not None:
        raise ConflictError("This key was revoked; make a new one.", code="key_revoked")
    if not key.is_live(now):
        raise ConflictError("This key has expired; make a new one.", code="key_expired")
