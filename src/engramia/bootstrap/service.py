"""What the service alone is made of: keys in the database, counters of requests."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from engramia.bootstrap.extras import installed
from engramia.bootstrap.secret import secret_of
from engramia.bootstrap.storage import ledger_from
from engramia.core.ports import Clock
from engramia.settings import Settings

if TYPE_CHECKING:
    from engramia.core.audit import AuditEntry, AuditStamp
    from engramia.db.session import Database
    from engramia.server.keys.service import KeyService
    from engramia.server.kit.windows import RateLimiter
    from engramia.server.tenancy.service import ProjectService


def key_service_from(
    settings: Settings,
    database: "Database | None",
    clock: Clock,
    tell: "Callable[[AuditEntry, AuditStamp], None]",
) -> "KeyService | None":
    """Return the keys in the database; None unless the auth mode is db. `tell` logs what is done to them."""
    from engramia.server.identity.settings_check import AuthChoice

    if database is None or AuthChoice.of(settings).effective_mode != "db":
        return None
    from engramia.server.keys.service import KeyService

    secret_key, ledger = secret_of(settings.secret_key), ledger_from(settings)
    return KeyService(database, clock, secret_key=secret_key, ledger=ledger, tell=tell)


def project_service_from(
    settings: Settings,
    database: "Database | None",
    clock: Clock,
    tell: "Callable[[AuditEntry, AuditStamp], None]",
) -> "ProjectService | None":
    """Return the projects that an identity provider's callers work in; None but for oidc with a database."""
    from engramia.server.identity.settings_check import AuthChoice

    if database is None or AuthChoice.of(settings).effective_mode != "oidc":
        return None
    return projects_in(database, settings, clock, tell)


def projects_in(
    database: "Database",
    settings: Settings,
    clock: Clock,
    tell: "Callable[[AuditEntry, AuditStamp], None]",
) -> "ProjectService":
    """Return the projects in a database, whatever the auth mode is."""
    from engramia.server.keys.repository import announce
    from engramia.server.tenancy.service import ProjectService

    return ProjectService(database, clock, ledger=ledger_from(settings), tell=tell, announce=announce)


def rate_limiter_from(settings: Settings) -> "RateLimiter":
    """Return what counts the service's requests: this process, or all processes in the Redis that is named.

    Raises `ValueError` with a sentence for an address that is none, or without the extra `redis`.
    """
    from engramia.server.kit.windows import MemoryRateLimiter

    own, shared = MemoryRateLimiter(time.monotonic), shared_rate_limiter_from(settings)
    if shared is None:
        return own
    from engramia.server.kit.fallback_windows import FallbackRateLimiter

    return FallbackRateLimiter(shared, own)


def shared_rate_limiter_from(settings: Settings) -> "RateLimiter | None":
    """Return what counts the requests of all processes, None where none is named.

    Raises `ValueError` as `rate_limiter_from` does.
    """
    if settings.redis_url is None:
        return None
    if not installed("redis"):
        raise ValueError('ENGRAMIA_REDIS_URL needs a client: pip install "engramia[redis]".')
    from engramia.server.kit.redis_windows import RedisRateLimiter

    secret = secret_of(settings.secret_key) or ""
    return RedisRateLimiter(
        settings.redis_url.get_secret_value(), secret=secret.encode(), deadline=settings.redis_timeout
    )
