"""Static keys."""

import asyncio

import pytest
from starlette.datastructures import Headers

from engramia.core.model import Scope
from engramia.errors import AuthenticationError, AuthorizationError, ValidationError
from engramia.server.identity.env import EnvAuthenticator, key_id
from engramia.server.kit.authentication import MetricsToken, in_project
from engramia.server.kit.caller import Caller
from engramia.server.kit.peer import Peer
from engramia.server.kit.permissions import Role
from tests.server.kit.edge_app import AUTHORIZED, KEY, Notes, edge
from tests.server.serving import Wire, ask

KEYS = ("first-key-of-two", "second-kéy-of-two")
REMOTE = Peer(None)


def caller(*authorization: str) -> Caller:
    raw = [(b"authorization", value.encode()) for value in authorization]
    return asyncio.run(EnvAuthenticator(KEYS, Role.EDITOR).authenticate(Headers(raw=raw), REMOTE))


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER   "])
def test_each_key_opens(key: str, scheme: str) -> None:
    found = caller(scheme + key)
    assert (found.scope, found.role) == (Scope(), Role.EDITOR)
    assert found.key_id == key_id(key.encode())


def test_the_id_of_a_key_is_short_and_not_the_key() -> None:
    ids = {key_id(key.encode()) for key in KEYS}
    assert len(ids) == 2
    assert all(len(each) == 16 and each.startswith("env-") for each in ids)


@pytest.mark.parametrize(
    ("authorization", "words"),
    [
        ((), "No API key"),
        (("Bearer wrong",), "not valid"),
        ((f"Bearer {KEYS[0]}x",), "not valid"),
        ((f"Bearer {KEYS[0][:-1]}",), "not valid"),
        ((f"Bearer {KEYS[0]},{KEYS[1]}",), "not valid"),
        ((f"Bearer {KEYS[0]}", f"Bearer {KEYS[0]}"), "more than one"),
        (("Bearer",), "form"),
        (("Bearer ",), "form"),
        ((KEYS[0],), "form"),
        ((f"Basic {KEYS[0]}",), "form"),
        ((f"Bearer{KEYS[0]}",), "form"),
        (("",), "form"),
    ],
)
def test_anything_else_does_not(authorization: tuple[str, ...], words: str) -> None:
    with pytest.raises(AuthenticationError, match=words):
        caller(*authorization)


def project(role: Role, *named: str) -> Scope:
    raw = [(b"x-project-id", value.encode("latin-1")) for value in named]
    return in_project(Caller(Scope("acme", "home"), role, "k"), Headers(raw=raw)).scope


@pytest.mark.parametrize("role", [Role.ADMIN, Role.OWNER])
def test_admin_and_owner_may_name_a_project(role: Role) -> None:
    assert project(role, "other") == Scope("acme", "other")


@pytest.mark.parametrize("role", [Role.READER, Role.EDITOR])
def test_others_may_name_their_own_alone(role: Role) -> None:
    assert project(role, "home") == project(role) == Scope("acme", "home")
    with pytest.raises(AuthorizationError, match=role.value):
        project(role, "other")


@pytest.mark.parametrize("named", [("",), ("../x",), ("a b",), ("x" * 65,), (".a",), ("ü",), ("a", "a")])
@pytest.mark.parametrize("role", [Role.OWNER, Role.READER])
def test_a_project_has_a_fit_id(role: Role, named: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError, match="X-Project-Id") as caught:
        project(role, *named)
    assert caught.value.field == "X-Project-Id"


def metrics(token: str | None, *authorization: str) -> None:
    MetricsToken(token).check(Headers(raw=[(b"authorization", value.encode()) for value in authorization]))


def test_metrics_are_open_without_a_token_and_closed_with_one() -> None:
    metrics(None)
    metrics("secret", "Bearer secret")
    for authorization in ((), ("Bearer other",), ("Bearer sécret",), ("secret",)):
        with pytest.raises(AuthenticationError):
            metrics("secret", *authorization)


def test_over_the_wire() -> None:
    notes = Notes()
    with edge(notes) as address:
        answer = ask(address, "GET", "/v1/whoami", AUTHORIZED)
        assert answer.json().items() >= {"role": "editor", "project": "default"}.items()
        refused = ask(address, "GET", "/v1/whoami", {"Authorization": "Bearer guess"})
        assert (refused.status, refused.json()["error"]) == (401, "unauthorized")
        assert ask(address, "GET", "/v1/nowhere").status == 401  # not even which paths there are
        assert ask(address, "GET", "/v1/version").status == 200
        assert ask(address, "GET", "/v1/VERSION").status == 401
    assert [each["event"] for each in notes.audits] == ["auth.refused"] * 3
    assert notes.audits[0].items() >= {"ip": "127.0.0.1", "path": "/v1/whoami", "outcome": "refused"}.items()
    assert "guess" not in repr(notes.audits)
    assert KEY not in repr(notes.audits)


def test_two_authorization_headers_over_the_wire() -> None:
    line = f"Authorization: Bearer {KEY}\r\n".encode()
    with edge() as address, Wire(address) as wire:
        wire.send(b"GET /v1/whoami HTTP/1.1\r\nHost: x\r\n" + line + line + b"\r\n")
        assert wire.answer().status == 401
