import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engramia.core.model import Scope
from engramia.providers.json.names import folder_name, scope_of

_FIRST = string.ascii_letters + string.digits
ids = st.builds(
    str.__add__, st.sampled_from(_FIRST), st.text(alphabet=_FIRST + "_.-", min_size=0, max_size=63)
)
scopes = st.builds(Scope, ids, ids)


@given(scopes)
def test_a_name_gives_its_scope_back(scope: Scope) -> None:
    assert scope_of(folder_name(scope)) == scope


@given(scopes, scopes)
def test_names_differ_also_without_case(left: Scope, right: Scope) -> None:
    assert (folder_name(left).casefold() == folder_name(right).casefold()) == (left == right)


@given(scopes)
def test_names_are_flat_short_and_never_hidden_or_reserved(scope: Scope) -> None:
    name = folder_name(scope)
    assert not set(name) & set('/\\.:*?"<>| ')
    assert len(name) <= 163
    assert name == name.lower()


def test_names_are_readable() -> None:
    assert folder_name(Scope()) == "default@default"
    assert folder_name(Scope("Acme.Corp", "con")) == "acme=corp+21@con"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "default",
        "@",
        "default@",
        "a@b@c",
        "Default@default",
        "a+0@b",
        "a+4@b",
        "a.b@c",
        "-a@b",
        "a@b.erased-00",
    ],
)
def test_foreign_names_are_nobodys(name: str) -> None:
    assert scope_of(name) is None
