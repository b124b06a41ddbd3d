"""Chooses how callers are told apart, for the modes that need no storage."""

from collections.abc import Sequence

from engramia.server.identity.env import EnvAuthenticator
from engramia.server.identity.local import LoopbackAuthenticator, OpenAuthenticator
from engramia.server.identity.settings_check import AuthChoice, check_auth_settings
from engramia.server.kit.authentication import Authenticator
from engramia.server.kit.permissions import Role
from engramia.settings import Settings


def authenticator_of(settings: Settings) -> Authenticator:
    """Return the authenticator that the settings ask for, in the modes that need no database.

    Raises `ValueError` with the sentence of the first fatal problem, and for a mode that needs more.
    """
    choice = AuthChoice.of(settings)
    if choice.effective_mode == "oidc":
        return _oidc_authenticator(settings, choice)
    return static_authenticator(choice, role=Role(settings.env_auth_role), cors_origins=settings.cors_origins)


def _oidc_authenticator(settings: Settings, choice: AuthChoice) -> Authenticator:
    refuse_unsafe(choice)
    # Here, for they need the extra `oidc`.
    from engramia.server.identity.oidc import OidcAuthenticator
    from engramia.server.identity.oidc_claims import Standing
    from engramia.server.identity.oidc_keyring import KeyRing
    from engramia.server.identity.oidc_provider import Provider

    issuer, audience = settings.oidc_issuer or "", settings.oidc_audience or ""
    standing = Standing(
        role_claim=settings.oidc_role_claim,
        default_role=Role(settings.oidc_default_role),
        owner_role=settings.oidc_owner_role,
        tenant_claim=settings.oidc_tenant_claim,
        project_claim=settings.oidc_project_claim,
    )
    return OidcAuthenticator(KeyRing(Provider(issuer)), issuer=issuer, audience=audience, standing=standing)


def static_authenticator(choice: AuthChoice, *, role: Role, cors_origins: Sequence[str]) -> Authenticator:
    """Return the authenticator of the modes env and dev, and of auto without a database.

    Raises `ValueError` with the sentence of the first fatal problem, and for a mode that needs more.
    """
    refuse_unsafe(choice)
    if choice.effective_mode not in {"env", "dev"}:
        raise ValueError(f"The auth mode {choice.effective_mode} needs more than settings.")
    if choice.effective_mode == "env" and choice.keys:
        return EnvAuthenticator(choice.keys, role)
    if choice.allow_no_auth:
        return OpenAuthenticator(cors_origins=cors_origins)
    return LoopbackAuthenticator(environment=choice.environment, cors_origins=cors_origins)


def refuse_unsafe(choice: AuthChoice) -> None:
    """Raise `ValueError` with the sentence of the first fatal problem, if there is one."""
    fatal = [problem.sentence for problem in check_auth_settings(choice) if problem.fatal]
    if fatal:
        raise ValueError(fatal[0])
