"""What is said of metrics that anyone can read: a warning, and no refusal."""

from typing import Any

import pytest
from pydantic import SecretStr

from engramia.cli.checks import Check, Status
from engramia.cli.exit_codes import ExitCode
from engramia.cli.service_checks import service_checks
from engramia.settings import Settings
from tests.cli.conftest import Cli

URL = SecretStr("postgresql://nobody@127.0.0.1:1/none")
SEVERAL: dict[str, dict[str, Any]] = {
    "keys in the database": {"auth_mode": "db", "database_url": URL},
    "auto with a database": {"database_url": URL},
    "an identity provider": {
        "auth_mode": "oidc",
        "oidc_issuer": "https://login.example.com",
        "oidc_audience": "https://memory.example.com",
    },
}


def of_metrics(**settings: Any) -> list[Check]:
    return [check for check in service_checks(Settings(**settings)) if check.name == "metrics"]


@pytest.mark.parametrize("settings", SEVERAL.values(), ids=SEVERAL)
def test_totals_of_several_tenants_are_warned_of_on_any_address(settings: dict[str, Any]) -> None:
    (check,) = of_metrics(metrics=True, **settings)
    assert (check.status, "all tenants" in check.detail) == (Status.WARN, True)
    assert "ENGRAMIA_METRICS_TOKEN" in (check.remedy or "")
    (exposed,) = of_metrics(metrics=True, host="0.0.0.0", **settings)  # noqa: S104 - the case
    assert "Whoever reaches 0.0.0.0" in exposed.detail


@pytest.mark.parametrize("settings", SEVERAL.values(), ids=SEVERAL)
def test_with_a_token_or_without_metrics_there_is_nothing_to_say(settings: dict[str, Any]) -> None:
    assert of_metrics(metrics=True, metrics_token=SecretStr("t" * 20), **settings) == []
    assert of_metrics(**settings) == []


def test_of_one_tenant_they_are_warned_of_where_others_reach_them() -> None:
    assert of_metrics(metrics=True, api_keys="a-long-enough-key") == []
    (check,) = of_metrics(metrics=True, api_keys="a-long-enough-key", host="0.0.0.0")  # noqa: S104 - the case
    assert "tenants" not in check.detail


def test_doctor_and_check_show_it_and_refuse_nothing(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGRAMIA_METRICS", "true")
    monkeypatch.setenv("ENGRAMIA_AUTH_MODE", "db")
    monkeypatch.setenv("ENGRAMIA_DATABASE_URL", URL.get_secret_value())
    monkeypatch.setenv("ENGRAMIA_SECRET_KEY", "s" * 64)
    for arguments in (("doctor", "--json"), ("serve", "--check", "--port", "0", "--json")):
        ended = cli(*arguments)
        assert ended.code == ExitCode.OK, ended
        assert "totals of all tenants" in ended.out
