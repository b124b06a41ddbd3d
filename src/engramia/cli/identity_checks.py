"""What `doctor` says of the identity provider, for the auth mode oidc."""

import asyncio
import importlib.util
from collections.abc import Iterator
from typing import TYPE_CHECKING

from engramia.cli.checks import Check, Status
from engramia.cli.exit_codes import ExitCode
from engramia.cli.terminal import counted

if TYPE_CHECKING:
    from engramia.settings import Settings

INSTALL = 'pip install "engramia[oidc]"'
_NEEDED = ("jwt", "cryptography", "httpx2")
_NAME = "identity provider"


def package_checks(settings: "Settings") -> Iterator[Check]:
    """Yield a failure if what the auth mode oidc needs is not installed."""
    if missing := _missing(settings):
        detail = f"ENGRAMIA_AUTH_MODE=oidc needs {', '.join(missing)}"
        yield Check(_NAME, Status.FAIL, detail, INSTALL, ExitCode.UNEXPECTED)


def provider_checks(settings: "Settings") -> list[Check]:
    """Return whether the provider can be asked for its keys now; takes a few seconds at most.

    One that is down keeps no server from starting: it recovers by itself.
    """
    from engramia.server.identity.settings_check import AuthChoice, check_auth_settings

    unfit = any(problem.fatal for problem in check_auth_settings(AuthChoice.of(settings)))
    if settings.auth_mode.value != "oidc" or not settings.oidc_issuer or unfit or _missing(settings):
        return []
    from engramia.server.identity.oidc_provider import Provider, ProviderFault

    try:
        found = asyncio.run(Provider(settings.oidc_issuer).keys())
    except ProviderFault as fault:
        detail = f"{settings.oidc_issuer} cannot be asked for its keys: {fault.reason}"
        remedy = "Requests get 503 until it answers; check ENGRAMIA_OIDC_ISSUER and the way to it."
        return [Check(_NAME, Status.WARN, detail, remedy)]
    status = Status.OK if found.keys else Status.WARN
    return [Check(_NAME, status, f"{settings.oidc_issuer} publishes {counted(len(found.keys), 'fit key')}")]


def _missing(settings: "Settings") -> list[str]:
    needed = _NEEDED if settings.auth_mode.value == "oidc" else ()
    return [module for module in needed if importlib.util.find_spec(module) is None]
