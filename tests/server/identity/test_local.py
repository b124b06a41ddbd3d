"""Serving without keys, over real connections."""

import logging
import socket

import pytest

from engramia.server.identity.choice import static_authenticator
from engramia.server.identity.env import EnvAuthenticator
from engramia.server.identity.local import LoopbackAuthenticator, OpenAuthenticator
from engramia.server.identity.settings_check import AuthChoice, check_auth_settings
from engramia.server.kit.authentication import Authenticator
from engramia.server.kit.permissions import Role
from tests.server.kit.edge_app import edge
from tests.server.serving import Answer, ask

ORIGIN = "https://app.example.org"


def asked(
    headers: dict[str, str] | None = None,
    *,
    environment: str | None = None,
    authenticator: Authenticator | None = None,
    host: str = "127.0.0.1",
) -> Answer:
    chosen = authenticator or LoopbackAuthenticator(environment=environment, cors_origins=[ORIGIN])
    with edge(authenticator=chosen, host=host) as address:
        return ask(address, "GET", "/v1/whoami", headers)


def outer_address() -> str | None:
    """Return an address of this machine that is not loopback, if it has one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing; asks the routing table
        except OSError:
            return None
        address: str = probe.getsockname()[0]
        return None if address.startswith("127.") else address


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("environment", [None, "local", "dev", "Development", "test"])
def test_a_program_on_this_machine_is_owner(host: str, environment: str | None) -> None:
    answer = asked(environment=environment, host=host)
    assert answer.status == 200
    body = answer.json()
    assert (body["tenant"], body["project"], body["role"], body["key_id"]) == (
        "default",
        "default",
        "owner",
        None,
    )


@pytest.mark.parametrize("environment", ["production", "staging", "prod", "locale"])
def test_not_in_other_environments(environment: str) -> None:
    answer = asked(environment=environment)
    assert answer.status == 401
    assert answer["www-authenticate"] == "Bearer"


def test_the_warning_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    with edge(authenticator=LoopbackAuthenticator(environment=None)) as address:
        for _ in range(3):
            ask(address, "GET", "/v1/whoami")
    warnings = [record for record in caplog.records if record.name == "engramia.auth"]
    assert [record.levelno for record in warnings] == [logging.WARNING]
    assert "ENGRAMIA_API_KEYS" in warnings[0].message


def test_over_another_address_of_this_machine_it_is_401() -> None:
    host = outer_address()
    # On a machine without a network: what a proxy would send.
    answer = asked(host=host) if host else asked({"Forwarded": "for=192.0.2.7"})
    assert answer.status == 401
    assert "ENGRAMIA_API_KEYS" in answer.json()["detail"]
    assert "ENGRAMIA_ALLOW_NO_AUTH" in answer.json()["detail"]


@pytest.mark.parametrize(
    "header", [{"X-Forwarded-For": "127.0.0.1"}, {"Forwarded": "for=127.0.0.1"}, {"Via": "1.1 p"}]
)
def test_what_came_through_a_proxy_is_not_local(header: dict[str, str]) -> None:
    assert asked(header).status == 401


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8000", "LOCALHOST.", "127.9.9.9", "[::1]:80", "a.localhost"]
)
def test_names_of_this_machine(host: str) -> None:
    assert asked({"Host": host}).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "192.0.2.1", "", "[::1", "127.0.0.1.evil.example:80"]
)
def test_a_name_that_was_rebound_is_refused(host: str) -> None:
    answer = asked({"Host": host})
    assert (answer.status, answer.json()["error"]) == (403, "forbidden")
    assert "Host" in answer.json()["detail"]


@pytest.mark.parametrize("origin", ["http://localhost:8000", ORIGIN])
def test_our_own_pages_and_listed_ones_may_ask(origin: str) -> None:
    assert asked({"Host": "localhost:8000", "Origin": origin}).status == 200


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost:3000", "", "http://[", "*"]
)
@pytest.mark.parametrize(
    "authenticator", [LoopbackAuthenticator(environment=None, cors_origins=["*"]), OpenAuthenticator()]
)
def test_other_pages_may_not(origin: str, authenticator: Authenticator) -> None:
    answer = asked({"Host": "localhost:8000", "Origin": origin}, authenticator=authenticator)
    assert (answer.status, answer.json()["error"]) == (403, "forbidden")


def test_everyone_is_owner_where_that_was_asked_for() -> None:
    answer = asked({"Host": "box.lan", "X-Forwarded-For": "192.0.2.7"}, authenticator=OpenAuthenticator())
    assert answer.json()["role"] == "owner"


KEYS = ("a-long-enough-key",)
OIDC = AuthChoice("oidc", oidc_issuer="https://login.example.com", oidc_audience="memory")


@pytest.mark.parametrize(
    ("choice", "kind"),
    [
        (AuthChoice("auto"), LoopbackAuthenticator),
        (AuthChoice("env"), LoopbackAuthenticator),
        (AuthChoice("auto", environment="production"), LoopbackAuthenticator),
        (AuthChoice("auto", KEYS), EnvAuthenticator),
        (AuthChoice("env", KEYS, allow_no_auth=True), EnvAuthenticator),
        (AuthChoice("auto", allow_no_auth=True), OpenAuthenticator),
        (AuthChoice("dev", allow_no_auth=True, environment="dev"), OpenAuthenticator),
        (AuthChoice("dev", KEYS, allow_no_auth=True), OpenAuthenticator),
    ],
)
def test_which_way_is_chosen(choice: AuthChoice, kind: type[Authenticator]) -> None:
    assert type(static_authenticator(choice, role=Role.OWNER, cors_origins=())) is kind


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (
            AuthChoice("auto", allow_no_auth=True, environment="production"),
            "ENGRAMIA_ENVIRONMENT is 'production'",
        ),
        (AuthChoice("env", KEYS, allow_no_auth=True, environment="staging"), "ENGRAMIA_ALLOW_NO_AUTH"),
        (AuthChoice("dev", allow_no_auth=True, environment="prod"), "ENGRAMIA_ENVIRONMENT"),
        (AuthChoice("dev"), "confirm it with ENGRAMIA_ALLOW_NO_AUTH=true"),
        (AuthChoice("db"), "ENGRAMIA_DATABASE_URL"),
    ],
)
def test_what_refuses_to_start(choice: AuthChoice, words: str) -> None:
    fatal = [problem for problem in check_auth_settings(choice) if problem.fatal]
    assert words in fatal[0].sentence
    with pytest.raises(ValueError, match=words):
        static_authenticator(choice, role=Role.OWNER, cors_origins=())


@pytest.mark.parametrize(
    "choice", [AuthChoice("db", has_database=True), AuthChoice("auto", has_database=True), OIDC]
)
def test_modes_that_need_more_than_settings(choice: AuthChoice) -> None:
    with pytest.raises(ValueError, match="needs more"):
        static_authenticator(choice, role=Role.OWNER, cors_origins=())


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (AuthChoice("env", ("short", *KEYS)), "1 of 2 keys have fewer than 8"),
        (AuthChoice("auto", KEYS, has_database=True), "auth mode db does not look at it"),
        (AuthChoice("env", KEYS, allow_no_auth=True), "without effect"),
        (AuthChoice("env", environment="production"), "every request gets 401"),
    ],
)
def test_what_is_only_warned_of(choice: AuthChoice, words: str) -> None:
    (problem,) = check_auth_settings(choice)
    assert not problem.fatal
    assert words in problem.sentence
    assert "short" not in problem.sentence


def test_sound_settings_have_no_problem() -> None:
    for choice in (AuthChoice("auto"), AuthChoice("env", KEYS, environment="production"), OIDC):
        assert check_auth_settings(choice) == []
