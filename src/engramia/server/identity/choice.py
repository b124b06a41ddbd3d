"""Chooses how callers are told apart, for the modes that need nothing but settings."""

from collections.abc import Sequence

from engramia.server.identity.env import EnvAuthenticator
from engramia.server.identity.local import LoopbackAuthenticator, OpenAuthenticator
from engramia.server.identity.settings_check import AuthChoice, check_auth_settings
from engramia.server.kit.authentication import Authenticator
from engramia.server.kit.permissions import Role


def static_authenticator(choice: AuthChoice, *, role: Role, cors_origins: Sequence[str]) -> Authenticator:
    """Return the authenticator of the modes env and dev, and of auto without a database.

    Raises `ValueError` with the sentence of the first fatal problem, and for a mode that needs more.
    """
    fatal = [problem.sentence for problem in check_auth_settings(choice) if problem.fatal]
    if fatal:
        raise ValueError(fatal[0])
    if choice.effective_mode not in {"env", "dev"}:
        raise ValueError(f"The auth mode {choice.effective_mode} needs more than settings.")
    if choice.effective_mode == "env" and choice.keys:
        return EnvAuthenticator(choice.keys, role)
    if choice.allow_no_auth:
        return OpenAuthenticator(cors_origins=cors_origins)
    return LoopbackAuthenticator(environment=choice.environment, cors_origins=cors_origins)
