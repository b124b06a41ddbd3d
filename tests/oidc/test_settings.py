"""What the settings of the mode oidc must say, and what the command line makes of them."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from engramia.api.app import create_app
from engramia.cli.exit_codes import ExitCode
from engramia.cli.identity_checks import package_checks, provider_checks
from engramia.server.identity.choice import authenticator_of
from engramia.server.identity.oidc import OidcAuthenticator
from engramia.server.identity.settings_check import AuthChoice, check_auth_settings
from engramia.settings import Settings
from tests.cli.conftest import Ended, cli, data_path, environment
from tests.cli.services import started
from tests.oidc.directory import directory
from tests.oidc.forger import Forger
from tests.oidc.minting import Key

__all__ = ["cli", "data_path", "environment"]

ISSUER, AUDIENCE = "https://login.example.com", "https://memory.example.com"
KEY = Key("EdDSA", "only-key")


def settings(**changes: Any) -> Settings:
    return Settings(**({"auth_mode": "oidc", "oidc_issuer": ISSUER, "oidc_audience": AUDIENCE} | changes))


def test_issuer_and_audience_are_enough() -> None:
    assert isinstance(authenticator_of(settings()), OidcAuthenticator)
    assert check_auth_settings(AuthChoice.of(settings())) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"oidc_issuer": None}, "needs ENGRAMIA_OIDC_ISSUER and ENGRAMIA_OIDC_AUDIENCE"),
        ({"oidc_audience": None}, "needs ENGRAMIA_OIDC_ISSUER and ENGRAMIA_OIDC_AUDIENCE"),
        ({"oidc_audience": ""}, "needs ENGRAMIA_OIDC_ISSUER and ENGRAMIA_OIDC_AUDIENCE"),
        ({"oidc_issuer": "http://login.example.com"}, "must begin with https://"),
        ({"oidc_issuer": "login.example.com"}, "must be an address"),
        ({"allow_no_auth": True, "environment": "production"}, "ENGRAMIA_ALLOW_NO_AUTH"),
    ],
)
def test_what_refuses_to_start(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=words):
        create_app(settings(data_path=tmp_path, **changes))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("role", ["owner", "root", "Reader"])
def test_the_default_role_is_never_owner(role: str) -> None:
    with pytest.raises(ValidationError, match="oidc_default_role"):
        settings(oidc_default_role=role)


def test_keys_and_open_doors_are_without_effect() -> None:
    choice = AuthChoice.of(settings(api_keys="a-long-enough-key"))
    assert ["does not look at it" in problem.sentence for problem in check_auth_settings(choice)] == [True]
    assert isinstance(authenticator_of(settings(allow_no_auth=True)), OidcAuthenticator)


def test_checks_say_whether_the_provider_answers() -> None:
    with directory([KEY.public()]) as found:
        (good,) = provider_checks(settings(oidc_issuer=found.issuer))
        assert (good.status, good.detail) == ("ok", f"{found.issuer} publishes 1 fit key")
        found.keys = []
        (empty,) = provider_checks(settings(oidc_issuer=found.issuer))
        assert (empty.status, empty.detail) == ("warn", f"{found.issuer} publishes 0 fit keys")
        found.discovery = {"issuer": ISSUER}
        (other,) = provider_checks(settings(oidc_issuer=found.issuer))
        assert (other.status, ISSUER in other.detail) == ("warn", True)
    (down,) = provider_checks(settings(oidc_issuer=found.issuer))
    assert (down.status, "503" in (down.remedy or "")) == ("warn", True)


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jwt", None)
    (missing,) = package_checks(settings())
    assert (missing.status, missing.detail) == ("fail", "ENGRAMIA_AUTH_MODE=oidc needs jwt")
    assert "engramia[oidc]" in (missing.remedy or "")
    assert list(package_checks(settings(auth_mode="env"))) == []
    assert provider_checks(settings()) == []


def test_nobody_is_asked_in_other_modes_or_with_unfit_settings() -> None:
    assert provider_checks(settings(auth_mode="env")) == []
    assert provider_checks(settings(oidc_audience=None)) == []


@pytest.mark.parametrize("command", [("doctor",), ("serve", "--check", "--port", "0")])
def test_the_command_line_shows_it(
    command: tuple[str, ...], cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENGRAMIA_AUTH_MODE", "oidc")
    monkeypatch.setenv("ENGRAMIA_OIDC_AUDIENCE", AUDIENCE)
    refused: Ended = cli(*command, "--json")
    assert refused.code == ExitCode.USAGE
    with directory([KEY.public()]) as found:
        monkeypatch.setenv("ENGRAMIA_OIDC_ISSUER", found.issuer)
        shown = json.loads(cli(*command, "--json").out)
    (check,) = [each for each in shown["checks"] if each["name"] == "identity provider"]
    assert check["status"] == "ok"
    assert shown["ok"] is True


@pytest.mark.slow
def test_a_server_of_its_own_takes_tokens(data_path: Path) -> None:
    forger = Forger()
    with directory(forger.published()) as found:
        forger.issuer = found.issuer
        variables = {
            "ENGRAMIA_AUTH_MODE": "oidc",
            "ENGRAMIA_OIDC_ISSUER": found.issuer,
            "ENGRAMIA_OIDC_AUDIENCE": AUDIENCE,
        }
        with started(data_path, "serve", "--port", "0", **variables) as server:
            assert server.announced["authentication"] == f"access tokens of {found.issuer}"
            bearer = f"Bearer {forger.good().decode()}"
            assert server.ask("GET", "/v1/metrics", Authorization=bearer)[0] == 200
            assert server.ask("GET", "/v1/metrics", Authorization=bearer[:-4])[0] == 401
            assert server.ask("GET", "/v1/metrics")[0] == 401
