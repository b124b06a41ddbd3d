"""Finds combinations of settings that would let in whom nobody meant to let in."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from engramia.server.identity.local import LOCAL_ENVIRONMENTS, is_local
from engramia.server.identity.oidc_address import issuer_problem
from engramia.settings import Settings

SHORT_KEY_CHARS = 8
_LOCAL = ", ".join(sorted(LOCAL_ENVIRONMENTS))


@dataclass(frozen=True, slots=True)
class SettingsProblem:
    """What is amiss; the server refuses to start with what is `fatal`."""

    sentence: str
    fatal: bool


@dataclass(frozen=True, slots=True)
class AuthChoice:
    """What the environment says about authentication; `mode` is auto, env, db, dev or oidc."""

    mode: str
    keys: Sequence[str] = ()
    allow_no_auth: bool = False
    environment: str | None = None
    has_database: bool = False
    oidc_issuer: str | None = None
    oidc_audience: str | None = None

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return what `settings` say."""
        return cls(
            mode=settings.auth_mode.value,
            keys=[key.get_secret_value() for key in settings.api_keys],
            allow_no_auth=settings.allow_no_auth,
            environment=settings.environment,
            has_database=settings.database_url is not None,
            oidc_issuer=settings.oidc_issuer,
            oidc_audience=settings.oidc_audience,
        )

    @property
    def effective_mode(self) -> str:
        """The mode, with `auto` decided."""
        if self.mode != "auto":
            return self.mode
        return "db" if self.has_database else "env"


def check_auth_settings(choice: AuthChoice) -> list[SettingsProblem]:
    """Return what is wrong, the fatal first."""
    return sorted((*_fatal(choice), *_doubtful(choice)), key=lambda problem: not problem.fatal)


def _fatal(choice: AuthChoice) -> Iterator[SettingsProblem]:
    if choice.allow_no_auth and not is_local(choice.environment):
        yield SettingsProblem(
            f"ENGRAMIA_ALLOW_NO_AUTH=true serves everyone without a key, and ENGRAMIA_ENVIRONMENT is "
            f"{choice.environment!r}: that is for {_LOCAL} alone. Unset it and configure keys.",
            fatal=True,
        )
    if choice.mode == "dev" and not choice.allow_no_auth:
        yield SettingsProblem(
            "ENGRAMIA_AUTH_MODE=dev serves everyone without a key: confirm it with "
            "ENGRAMIA_ALLOW_NO_AUTH=true.",
            fatal=True,
        )
    if choice.mode == "db" and not choice.has_database:
        yield SettingsProblem("ENGRAMIA_AUTH_MODE=db needs ENGRAMIA_DATABASE_URL.", fatal=True)
    if choice.mode == "oidc":
        yield from _provider(choice)


def _provider(choice: AuthChoice) -> Iterator[SettingsProblem]:
    if not choice.oidc_issuer or not choice.oidc_audience:
        yield SettingsProblem(
            "ENGRAMIA_AUTH_MODE=oidc needs ENGRAMIA_OIDC_ISSUER and ENGRAMIA_OIDC_AUDIENCE.", fatal=True
        )
    if choice.oidc_issuer and (problem := issuer_problem(choice.oidc_issuer)):
        yield SettingsProblem(problem, fatal=True)


def _doubtful(choice: AuthChoice) -> Iterator[SettingsProblem]:
    short = sum(len(key) < SHORT_KEY_CHARS for key in choice.keys)
    if short:
        yield SettingsProblem(
            f"ENGRAMIA_API_KEYS: {short} of {len(choice.keys)} keys have fewer than {SHORT_KEY_CHARS} "
            "characters and can be guessed.",
            fatal=False,
        )
    if choice.keys and choice.effective_mode != "env":
        yield SettingsProblem(
            f"ENGRAMIA_API_KEYS is set, and the auth mode {choice.effective_mode} does not look at it.",
            fatal=False,
        )
    if choice.keys and choice.allow_no_auth and choice.effective_mode == "env":
        yield SettingsProblem(
            "ENGRAMIA_ALLOW_NO_AUTH=true is without effect beside ENGRAMIA_API_KEYS: keys are asked for.",
            fatal=False,
        )
    if not choice.keys and choice.effective_mode == "env" and not is_local(choice.environment):
        yield SettingsProblem(
            f"No ENGRAMIA_API_KEYS, and ENGRAMIA_ENVIRONMENT is {choice.environment!r}: every request gets "
            "401.",
            fatal=False,
        )
