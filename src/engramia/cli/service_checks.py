"""What the service would refuse to start with, or start with and should not."""

import asyncio
import importlib.util
import logging
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from engramia.bootstrap import embeddings_from, storage_from
from engramia.cli.checks import Check, Status, existing_folder, sync_milliseconds
from engramia.cli.exit_codes import ExitCode, verdict
from engramia.cli.identity_checks import package_checks
from engramia.cli.key_checks import key_checks, secret_checks
from engramia.cli.listening import is_exposed, listen
from engramia.cli.replica_checks import replica_checks
from engramia.errors import EngramiaError, UnavailableError, ValidationError

if TYPE_CHECKING:
    from engramia.server.kit.windows import RateLimiter
    from engramia.settings import Settings

INSTALL = 'pip install "engramia[api]"'
_ELSEWHERE = "Make it writable, or name another folder with ENGRAMIA_DATA_PATH or --data-path."
_NEEDED = ("fastapi", "uvicorn", "structlog", "prometheus_client", "secure")
_TRACING = ("opentelemetry.sdk", "opentelemetry.exporter.otlp")


def service_checks(settings: "Settings", *, workers: int = 1, needed: bool = True) -> list[Check]:
    """Return what is wrong or doubtful about serving with these settings; empty if nothing is.

    Unless it is `needed`, a service that is not installed is none.
    """
    missing = [module for module in _NEEDED if importlib.util.find_spec(module) is None]
    if missing:
        detail = f"`engramia serve` needs {', '.join(missing)}"
        status = Status.FAIL if needed else Status.OK
        return [Check("service", status, detail, INSTALL, ExitCode.UNEXPECTED)]
    found = [
        *_authentication(settings),
        *_reach(settings),
        *_logging(settings),
        *_tracing(settings),
        *_metrics(settings),
        *_limits(settings, workers),
        *_notices(settings),
    ]
    return sorted(found, key=lambda check: check.status is not Status.FAIL)


def start_checks(settings: "Settings") -> list[Check]:
    """Return what keeps the service from starting here and now: its address, its storage, its model."""
    return [
        *_address(settings),
        *_parts(settings),
        *key_checks(settings),
        *replica_checks(settings),
        *_shared_limits(settings),
    ]


def disk_checks(settings: "Settings") -> list[Check]:
    """Return what keeps the storage from being written."""
    folder = existing_folder(settings.data_path)
    try:
        sync_milliseconds(folder)
    except OSError as error:
        return [
            Check("disk", Status.FAIL, f"{folder} cannot be written: {error.strerror or error}", _ELSEWHERE)
        ]
    return []


def _address(settings: "Settings") -> Iterator[Check]:
    try:
        listen(settings.host, settings.port).close()
    except ValidationError as error:
        yield _refused("address", str(error))


def _parts(settings: "Settings") -> Iterator[Check]:
    try:
        storage_from(settings).close()
        embeddings_from(settings)
    except EngramiaError as error:
        yield Check("start", Status.FAIL, str(error), None, verdict(error).exit_code)


def _authentication(settings: "Settings") -> Iterator[Check]:
    from engramia.server.identity.settings_check import AuthChoice, check_auth_settings

    choice = AuthChoice.of(settings)
    for problem in check_auth_settings(choice):
        make = _refused if problem.fatal else _doubtful
        yield make("authentication", problem.sentence)
    yield from secret_checks(settings)
    yield from package_checks(settings)


def _reach(settings: "Settings") -> Iterator[Check]:
    """Warn of what is fine on this machine and not beyond it."""
    if not is_exposed(settings.host):
        return
    from engramia.server.identity.settings_check import AuthChoice

    asked = bool(settings.api_keys) or AuthChoice.of(settings).effective_mode in {"db", "oidc"}
    if settings.allow_no_auth and not asked:
        yield _doubtful(
            "authentication",
            f"Whoever reaches {settings.host} is served as owner, without a key.",
            "Set ENGRAMIA_API_KEYS, or listen on 127.0.0.1.",
        )
    elif not asked:
        yield _doubtful(
            "authentication",
            f"No keys are configured: only programs on this machine are served, though {settings.host} is "
            "reached by others.",
            "Set ENGRAMIA_API_KEYS.",
        )


def _logging(settings: "Settings") -> Iterator[Check]:
    known = logging.getLevelNamesMapping()
    if settings.log_level and settings.log_level.upper() not in known:
        yield _refused(
            "logging", f"ENGRAMIA_LOG_LEVEL must be one of {', '.join(known)}; got {settings.log_level!r}."
        )


def _tracing(settings: "Settings") -> Iterator[Check]:
    missing = settings.telemetry and [module for module in _TRACING if not _installed(module)]
    address = urlsplit(settings.otel_endpoint)
    if settings.telemetry and not (address.scheme in {"http", "https"} and address.hostname):
        yield _refused("tracing", "ENGRAMIA_OTEL_ENDPOINT must be an address such as http://localhost:4317.")
    if missing:
        detail = f"ENGRAMIA_TELEMETRY needs {', '.join(missing)}"
        yield Check("tracing", Status.FAIL, detail, INSTALL, ExitCode.UNEXPECTED)


def _metrics(settings: "Settings") -> Iterator[Check]:
    if settings.metrics and settings.metrics_token is None:
        yield from _open_metrics(settings)
    if settings.metrics_token is not None and not settings.metrics:
        yield _doubtful("metrics", "ENGRAMIA_METRICS_TOKEN is set, and ENGRAMIA_METRICS is not.")


def _shared_limits(settings: "Settings") -> Iterator[Check]:
    """Ask the Redis server that limits are counted in, if there is one."""
    from engramia.bootstrap import shared_rate_limiter_from

    try:
        limiter = shared_rate_limiter_from(settings)
    except ValueError as error:
        yield _refused("rate limits", str(error))
        return
    if limiter is None:
        return
    try:
        milliseconds = 1000 * asyncio.run(_seconds_of(limiter))
    except UnavailableError as error:
        yield _doubtful(
            "rate limits",
            f"ENGRAMIA_REDIS_URL: {error}; until it answers, each process counts for itself.",
            "Start it, or correct the address.",
        )
        return
    yield Check("rate limits", Status.OK, f"counted for all processes in Redis ({milliseconds:.1f} ms)")


async def _seconds_of(limiter: "RateLimiter") -> float:
    from engramia.server.kit.fallback_windows import PROBE

    begun = time.perf_counter()
    try:
        await limiter.take(PROBE)
    finally:
        await limiter.close()
    return time.perf_counter() - begun


def _open_metrics(settings: "Settings") -> Iterator[Check]:
    """Warn of metrics without a token where others may come, or tenants may learn of each other."""
    from engramia.server.identity.settings_check import AuthChoice

    several = AuthChoice.of(settings).effective_mode in {"db", "oidc"}
    if several or is_exposed(settings.host):
        told = ": totals of all tenants together, without a key" if several else ""
        yield _doubtful(
            "metrics",
            f"Whoever reaches {settings.host} can read /metrics{told}.",
            "Set ENGRAMIA_METRICS_TOKEN, or keep the path from the outside.",
        )


def _limits(settings: "Settings", workers: int) -> Iterator[Check]:
    if workers > 1 and settings.redis_url is None:
        yield _doubtful(
            "rate limits",
            f"Each of the {workers} processes counts for itself: a client may send up to {workers} times "
            "what the limits say.",
            f"Set ENGRAMIA_REDIS_URL, or divide ENGRAMIA_RATE_LIMIT_* by {workers}.",
        )
    if settings.max_import_body_size < settings.max_body_size:
        yield _doubtful("limits", "ENGRAMIA_MAX_IMPORT_BODY_SIZE is less than ENGRAMIA_MAX_BODY_SIZE.")


def _notices(settings: "Settings") -> Iterator[Check]:
    if "*" in settings.cors_origins:
        yield _doubtful(
            "cors", "ENGRAMIA_CORS_ORIGINS=* lets every web page call this service.", "Name the origins."
        )
    if settings.maintenance:
        yield _doubtful("maintenance", "ENGRAMIA_MAINTENANCE is on: nearly every request gets 503.")
    if not settings.job_worker:
        yield Check(
            "jobs", Status.OK, "not run by the server (ENGRAMIA_JOB_WORKER=false): `engramia worker` does"
        )


def _refused(name: str, detail: str) -> Check:
    return Check(name, Status.FAIL, detail, None, ExitCode.USAGE)


def _doubtful(name: str, detail: str, remedy: str | None = None) -> Check:
    return Check(name, Status.WARN, detail, remedy)


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # of the package around it
        return False
