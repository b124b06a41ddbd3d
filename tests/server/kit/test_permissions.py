import itertools

import pytest

from engramia.core.model import Scope
from engramia.errors import AuthorizationError
from engramia.server.kit.caller import Caller
from engramia.server.kit.permissions import PERMISSIONS, Permission, Role


def test_each_role_may_do_all_that_the_one_before_may() -> None:
    ordered = [PERMISSIONS[role] for role in (Role.READER, Role.EDITOR, Role.ADMIN, Role.OWNER)]
    assert all(lower < higher for lower, higher in itertools.pairwise(ordered))
    assert [role.rank for role in (Role.READER, Role.EDITOR, Role.ADMIN, Role.OWNER)] == [0, 1, 2, 3]


def test_the_owner_may_do_everything() -> None:
    assert PERMISSIONS[Role.OWNER] == frozenset(Permission)


@pytest.mark.parametrize(
    ("role", "may", "may_not"),
    [
        (Role.READER, "recall", "learn"),
        (Role.EDITOR, "patterns:delete_own", "patterns:delete"),
        (Role.EDITOR, "jobs:cancel", "export"),
        (Role.ADMIN, "governance:delete", "billing:manage"),
        (Role.ADMIN, "keys:create", "tenant:delete"),
    ],
)
def test_the_lines_between_the_roles(role: Role, may: str, may_not: str) -> None:
    caller = Caller(Scope(), role)
    caller.require(Permission(may))
    with pytest.raises(AuthorizationError, match=f"Role '{role}' does not have permission '{may_not}'"):
        caller.require(Permission(may_not))
