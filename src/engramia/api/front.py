"""What stands in front of the endpoints, and who knows the holders of keys."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from engramia.bootstrap import Adapters, key_service_from, project_service_from, rate_limiter_from
from engramia.core.audit import AuditEntry, AuditStamp
from engramia.errors import StorageUnavailableError
from engramia.server.identity.choice import authenticator_of
from engramia.server.kit.audit_log import AuditLog
from engramia.server.kit.authentication import Authenticator
from engramia.server.kit.caller import Caller
from engramia.server.kit.edge import Edge
from engramia.server.kit.peer import Peers
from engramia.server.kit.rate_limit import Limits
from engramia.server.memory.operations import IMPORT
from engramia.server.ops import pages
from engramia.settings import Settings
from engramia.telemetry.audit import audit
from engramia.telemetry.logging import bind, clear

if TYPE_CHECKING:  # they need the extra `postgres`
    from engramia.server.identity.db import DbAuthenticator
    from engramia.server.identity.provisioning import ProvisioningAuthenticator
    from engramia.server.keys.service import KeyService

_log = logging.getLogger("engramia.server")


def keys_of(
    adapters: Adapters, settings: Settings, tell: Callable[[AuditEntry, AuditStamp], None]
) -> "KeyService | None":
    """Return the keys in the database, None unless the auth mode is db.

    Raises `StorageError` with a sentence for a schema or a secret that does not fit; a database that is down
    is waited for by those who need it.
    """
    keys = key_service_from(settings, adapters.database, adapters.clock, tell)
    if keys is not None:
        _unless_down(keys.prepare)
    return keys


def holders_of(
    adapters: Adapters,
    settings: Settings,
    keys: "KeyService | None",
    tell: Callable[[AuditEntry, AuditStamp], None],
) -> "DbAuthenticator | ProvisioningAuthenticator | None":
    """Return who knows the callers by the database: by their keys, or their projects; None without one.

    Raises `ValueError` with a sentence for settings that are unsafe, and `StorageError` as `keys_of` does.
    """
    if keys is not None:
        from engramia.server.identity.db import DbAuthenticator

        return DbAuthenticator(keys)
    projects = project_service_from(settings, adapters.database, adapters.clock, tell)
    if projects is None:
        return None
    _unless_down(projects.check)
    from engramia.server.identity.provisioning import ProvisioningAuthenticator

    return ProvisioningAuthenticator(authenticator_of(settings), projects)


def _unless_down(check: Callable[[], None]) -> None:
    try:
        check()
    except StorageUnavailableError as error:
        _log.warning("The database does not answer yet: %s", error)


def edge_of(settings: Settings, authenticator: Authenticator | None = None, note: AuditLog = audit) -> Edge:
    """Return what stands in front of the endpoints; raises `ValueError` for settings that are unsafe.

    The authenticator is given where it takes more than settings.
    """
    return Edge(
        authenticator=authenticator or authenticator_of(settings),
        limiter=rate_limiter_from(settings),
        limits=Limits(
            standard=settings.rate_limit_default,
            expensive=settings.rate_limit_expensive,
            per_key=settings.rate_limit_per_key,
        ),
        peers=Peers(settings.trusted_proxies),
        audit=note,
        bind_request_id=_begin_log,
        bind_caller=_name_in_log,
        max_body_size=settings.max_body_size,
        max_body_sizes={IMPORT.path: settings.max_import_body_size},
        cors_origins=settings.cors_origins,
        maintenance=settings.maintenance,
        page_policies={"/docs": pages.POLICY},
    )


def _begin_log(request_id: str) -> None:
    clear()
    bind(request_id=request_id)


def _name_in_log(caller: Caller) -> None:
    bind(tenant_id=caller.scope.tenant_id, project_id=caller.scope.project_id)
