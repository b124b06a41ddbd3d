"""The compose files and `.env.example`: valid, without unknown names, and as closed as they say."""

import json
from importlib.util import find_spec
from ipaddress import ip_address, ip_network
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # its stubs are a package that nothing else needs
import pytest

from engramia.cli.app import run
from engramia.cli.session import variable
from engramia.server.identity.settings_check import AuthChoice, check_auth_settings
from engramia.settings import AuthMode, Settings, StorageKind
from tests.deploy.compose import (
    DEVELOPMENT,
    EXAMPLE,
    FILLED,
    PRODUCTION,
    ROOT,
    example,
    raw,
    resolved,
    variables,
)

FILES = pytest.mark.parametrize("file", [DEVELOPMENT, PRODUCTION], ids=lambda file: file.name)
OURS = ("engramia-api", "worker", "migrate")
COMPOSE_ONLY = {
    "SITE_ADDRESS": "the name that Caddy gets a certificate for",
    "ACME_EMAIL": "where the certificate authority writes to",
    "POSTGRES_PASSWORD": "the owner's, for the database's image and the migration",
    "GIT_COMMIT": "a build argument",
    "BUILD_TIME": "a build argument",
}
NOT_HERS = {
    "ENGRAMIA_DATA_PATH": "the image's volume",
    "ENGRAMIA_TENANT": "of the library and the command line",
    "ENGRAMIA_PROJECT": "of the library and the command line",
    "ENGRAMIA_LOCAL_MODEL_PATH": "the image holds the model",
    "ENGRAMIA_CACHE_PATH": "the image holds the model",
    "XDG_CACHE_HOME": "the image holds the model",
    "ENGRAMIA_MODEL_DOWNLOAD": "the image holds the model",
    "ENGRAMIA_HOST": "the image's",
    "ENGRAMIA_PORT": "the image's",
    "ENGRAMIA_API_KEYS": "of a mode that one machine's production does not use",
    "ENGRAMIA_ENV_AUTH_ROLE": "of the same mode",
    "ENGRAMIA_ALLOW_NO_AUTH": "never in production",
    "ENGRAMIA_JOB_WORKER": "the file has a worker",
    "ENGRAMIA_METRICS_PATH": "`serve --workers` makes the folder",
    "ENGRAMIA_GIT_COMMIT": "in the image",
    "ENGRAMIA_BUILD_TIME": "in the image",
}
"""Settings that `.env.example` leaves out, and why."""
DECIDED = {
    "ENGRAMIA_STORAGE",
    "ENGRAMIA_DATABASE_URL",
    "ENGRAMIA_AUTH_MODE",
    "ENGRAMIA_ENVIRONMENT",
    "ENGRAMIA_JSON_LOGS",
}
"""What it sets otherwise than by default."""
PASSED_ON = {"POSTGRES_PASSWORD", "PGPASSWORD"}
"""What our containers are given besides settings: emptied, and libpq's."""


def known() -> set[str]:
    return {variable(name) for name in Settings.model_fields}


def services(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = resolved(file, example() | FILLED)["services"]
    return found


@FILES
def test_it_is_what_the_compose_specification_asks_for(file: Path) -> None:
    spec = find_spec("check_jsonschema")
    assert spec, "The schema is in the package check-jsonschema."
    folder = (spec.submodule_search_locations or [""])[0]
    schema = json.loads((Path(folder) / "builtin_schemas/vendor/compose-spec.json").read_text("utf-8"))
    jsonschema.validate(raw(file), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"services": {"api": {"imagee": "a"}}}, schema)


@FILES
def test_every_variable_is_a_setting_or_documented(file: Path) -> None:
    assert variables(file) - known() <= set(COMPOSE_ONLY)
    for name in OURS:
        environment = raw(file)["services"].get(name, {}).get("environment", {})
        assert set(environment) - known() <= PASSED_ON


def test_the_example_names_settings_and_every_variable_of_production() -> None:
    assert set(example()) - known() <= set(COMPOSE_ONLY)
    assert variables(PRODUCTION) <= set(example())
    lines = EXAMPLE.read_text("utf-8").splitlines()
    assert len([line for line in lines if line and not line.startswith("#")]) == len(example())


def test_the_example_has_every_setting_of_production_at_its_default() -> None:
    named = set(example())
    assert known() - named == set(NOT_HERS)
    fields = {variable(name): field for name, field in Settings.model_fields.items()}
    for name in named - DECIDED - set(COMPOSE_ONLY):
        value, default = example()[name], fields[name].default
        assert value == "" or str(default).lower() in {value, f"{value}.0"}, name


def test_each_line_of_the_example_or_its_group_has_its_meaning() -> None:
    lines = EXAMPLE.read_text("utf-8").splitlines()
    bare = [
        line
        for before, line in pairwise(lines)
        if line and not line.startswith("#") and (not before or before.startswith("# ---"))
    ]
    assert bare == ["ENGRAMIA_STORAGE=postgres"]


def test_what_has_to_be_set_is_asked_for_by_name() -> None:
    for name in (*FILLED.keys() - {"ENGRAMIA_BOOTSTRAP_TOKEN"}, "SITE_ADDRESS", "ACME_EMAIL"):
        with pytest.raises(LookupError, match=f"^{name}: ."):
            resolved(PRODUCTION, example() | FILLED | {name: ""})


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Settings as a service of ours in production finds them."""

    def of(service: str) -> Settings:
        described = services(PRODUCTION)[service]
        assert described["env_file"] == [".env"]
        for name, value in (example() | FILLED | described["environment"]).items():
            monkeypatch.setenv(name, value)
        return Settings()

    return of


def test_the_api_gets_settings_it_starts_with(deployed: Any) -> None:
    settings = deployed("engramia-api")
    assert (settings.storage, settings.auth_mode) == (StorageKind.POSTGRES, AuthMode.DB)
    assert not [problem for problem in check_auth_settings(AuthChoice.of(settings)) if problem.fatal]
    assert settings.environment == "production"
    assert settings.json_logs
    assert not settings.job_worker
    assert settings.redis_url.get_secret_value() == "redis://valkey:6379/0"


def test_the_api_believes_caddy_and_nobody_else_in_the_network(deployed: Any) -> None:
    network = raw(PRODUCTION)["networks"]["engramia-net"]["ipam"]["config"][0]["subnet"]
    caddy = ip_address(services(PRODUCTION)["caddy"]["networks"]["engramia-net"]["ipv4_address"])
    assert caddy in ip_network(network)
    assert deployed("engramia-api").trusted_proxies == (ip_network(f"{caddy}/32"),)


def test_the_service_does_not_hold_the_owners_password_and_the_migration_does(deployed: Any) -> None:
    for name in ("engramia-api", "worker"):
        assert services(PRODUCTION)[name]["environment"]["POSTGRES_PASSWORD"] == ""
        assert "PGPASSWORD" not in services(PRODUCTION)[name]["environment"]
        assert deployed(name).database_url.get_secret_value().startswith("postgresql://engramia:")
    migration = services(PRODUCTION)["migrate"]["environment"]
    owner = services(PRODUCTION)["pgvector"]["environment"]["POSTGRES_USER"]
    assert migration["ENGRAMIA_DATABASE_URL"] == f"postgresql://{owner}@pgvector:5432/engramia"
    assert migration["PGPASSWORD"] == FILLED["POSTGRES_PASSWORD"]


@FILES
def test_every_container_is_hardened(file: Path) -> None:
    for name, service in services(file).items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert not service.get("privileged"), name
        assert not [each for each in service.get("volumes", ()) if "docker.sock" in each], name


def test_every_container_of_production_is_bounded_checked_and_restarted() -> None:
    for name, service in services(PRODUCTION).items():
        assert service["deploy"]["resources"]["limits"]["memory"], name
        assert service["logging"]["options"].keys() == {"max-size", "max-file"}, name
        once = name == "migrate"
        assert service["restart"] == ("no" if once else "unless-stopped"), name
        assert ("test" in service["healthcheck"]) is not once, name


@FILES
def test_images_are_pinned(file: Path) -> None:
    for name, service in services(file).items():
        tag = service["image"].rpartition(":")[2]
        built = service["image"].startswith("engramia:")
        assert tag != "latest", name
        assert built or tag.partition("-")[0].count(".") == 2, f"{name}: {service['image']}"


def test_only_caddy_is_published_and_the_api_on_this_machine() -> None:
    published = {
        name: service["ports"] for name, service in services(PRODUCTION).items() if "ports" in service
    }
    assert published.keys() == {"caddy", "engramia-api"}
    assert published["engramia-api"] == ["127.0.0.1:8000:8000"]
    assert services(DEVELOPMENT)["engramia-api"]["ports"] == ["127.0.0.1:8000:8000"]


def test_the_database_is_in_a_network_of_its_own() -> None:
    assert raw(PRODUCTION)["networks"]["database"] == {"internal": True}
    inside = {
        name for name, service in services(PRODUCTION).items() if set(service["networks"]) == {"database"}
    }
    assert inside == {"pgvector", "valkey", "migrate"}
    assert set(services(PRODUCTION)["caddy"]["networks"]) == {"engramia-net"}


def test_what_serves_waits_for_the_migration_and_that_for_the_database() -> None:
    found = services(PRODUCTION)
    assert found["migrate"]["depends_on"] == {"pgvector": {"condition": "service_healthy"}}
    for name in ("engramia-api", "worker"):
        assert found[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert found["caddy"]["depends_on"] == {"engramia-api": {"condition": "service_healthy"}}


@pytest.mark.parametrize("name", OURS)
def test_the_commands_exist(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    command = list(services(PRODUCTION)[name]["command"])
    assert int(run([*command, "--help"])) == 0
    assert f"engramia {command[0]}" in capfd.readouterr().out
    assert int(run([*command, "--no-such-option"])) != 0


def test_files_that_are_mounted_exist() -> None:
    mounted = [
        each.partition(":")[0]
        for service in services(PRODUCTION).values()
        for each in service.get("volumes", ())
        if each.startswith("./")
    ]
    assert mounted
    assert all((ROOT / each).exists() for each in mounted)


def test_development_serves_without_keys_and_keeps_json(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in services(DEVELOPMENT)["engramia-api"]["environment"].items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.storage is StorageKind.JSON
    assert settings.allow_no_auth
    assert not [problem for problem in check_auth_settings(AuthChoice.of(settings)) if problem.fatal]
