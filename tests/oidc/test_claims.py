"""What the claims of a genuine token make its bearer."""

from typing import Any

import pytest

from engramia.core.model import Scope
from engramia.errors import AuthorizationError
from engramia.server.identity.oidc_claims import Standing, claim_of, subject_id
from engramia.server.kit.caller import Caller
from engramia.server.kit.permissions import Role

IDENTITY = {"iss": "https://login.example.com", "sub": "user-7"}


def caller(claims: dict[str, Any], **standing: Any) -> Caller:
    chosen = {"role_claim": "role", "default_role": Role.READER, **standing}
    return Standing(**chosen).caller({**IDENTITY, **claims})


@pytest.mark.parametrize(
    ("claims", "path", "value"),
    [
        ({"role": "editor"}, "role", "editor"),
        ({"https://example.com/role": "admin"}, "https://example.com/role", "admin"),
        ({"realm_access": {"roles": ["editor"]}}, "realm_access.roles", ["editor"]),
        (
            {"realm_access.roles": "reader", "realm_access": {"roles": "admin"}},
            "realm_access.roles",
            "reader",
        ),
        ({"resource_access": {"a.b": {"roles": "x"}}}, "resource_access.a.b.roles", "x"),
        ({"https://example.com/app": {"role": "x"}}, "https://example.com/app.role", "x"),
        ({"realm_access": "editor"}, "realm_access.roles", None),
        ({"realm_access": None}, "realm_access.roles", None),
        ({}, "role", None),
        ({"": {"role": "x"}}, ".role", None),
    ],
)
def test_where_a_claim_is(claims: dict[str, Any], path: str, value: Any) -> None:
    assert claim_of(claims, path) == value


@pytest.mark.parametrize(
    ("said", "role"),
    [
        ("reader", Role.READER),
        ("editor", Role.EDITOR),
        ("admin", Role.ADMIN),
        (["reader", "admin", "offline_access"], Role.ADMIN),
        (["offline_access"], Role.READER),
        (["owner"], Role.READER),
        ([], Role.READER),
        (None, Role.READER),
    ],
)
def test_roles(said: Any, role: Role) -> None:
    assert caller({"role": said}).role is role


def test_without_the_claim_the_default_role_holds() -> None:
    assert caller({}).role is Role.READER
    assert caller({}, default_role=Role.EDITOR).role is Role.EDITOR


def test_an_owner_is_made_by_the_word_that_the_settings_name_alone() -> None:
    assert caller({"role": "boss"}, owner_role="boss").role is Role.OWNER
    assert caller({"role": ["reader", "boss"]}, owner_role="boss").role is Role.OWNER
    assert caller({"role": "owner"}, owner_role="owner").role is Role.OWNER
    for owner_role in (None, "boss"):
        with pytest.raises(AuthorizationError, match="ENGRAMIA_OIDC_OWNER_ROLE"):
            caller({"role": "owner"}, owner_role=owner_role)
    assert caller({}, owner_role="reader").role is Role.READER  # the default is no word of the token's


@pytest.mark.parametrize("said", ["root", "Editor", "", 7, True, {"editor": 1}, [["editor"]], ["editor", 7]])
def test_what_is_no_role_is_refused(said: Any) -> None:
    with pytest.raises(AuthorizationError, match="role"):
        caller({"role": said})


def test_tenant_and_project_come_from_the_claims_that_the_settings_name() -> None:
    places = {"tenant_claim": "org.id", "project_claim": "team"}
    assert caller({"org": {"id": "acme"}, "team": "blue"}, **places).scope == Scope("acme", "blue")
    assert caller({"org": {"id": "acme"}, "team": "blue"}).scope == Scope()


@pytest.mark.parametrize("value", ["../x", "", "a b", "x" * 65, ".a", "acmé", "a/b", 7, None, ["acme"], True])
@pytest.mark.parametrize("name", ["tenant", "project"])
def test_what_is_no_place_is_refused(name: str, value: Any) -> None:
    with pytest.raises(AuthorizationError, match=name):
        caller({"place": value}, **{f"{name}_claim": "place"})


@pytest.mark.parametrize("name", ["tenant", "project"])
def test_a_missing_place_is_never_the_default_one(name: str) -> None:
    with pytest.raises(AuthorizationError, match=f"'place' that names its {name}"):
        caller({}, **{f"{name}_claim": "place"})


def test_a_subject_has_one_id_and_no_other_has_it() -> None:
    assert caller({"jti": "1"}).key_id == caller({"jti": "2"}).key_id == subject_id(*IDENTITY.values())
    ids = {
        subject_id("https://a.example", "user"),
        subject_id("https://b.example", "user"),
        subject_id("https://a.example", "other"),
        subject_id("https://a.exampleu", "ser"),
    }
    assert len(ids) == 4
    assert all(len(each) == 21 and each.startswith("oidc-") for each in ids)
