"""Who is calling: the identity that authentication puts on a request."""

from dataclasses import dataclass

from engramia.core.model import Scope
from engramia.errors import AuthorizationError
from engramia.server.kit.permissions import PERMISSIONS, Permission, Role


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where a request works: a scope, and how many patterns it may come to hold by what is done here."""

    scope: Scope
    max_patterns: int | None = None
    """None for any number."""


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller, working in `scope`."""

    scope: Scope
    role: Role
    key_id: str | None = None
    """Identifies the key or the person; the author of what they store. None where nobody had to say."""
    max_patterns: int | None = None
    """How many patterns the project may come to hold by what this caller stores; None for any number."""

    @property
    def workspace(self) -> Workspace:
        """Where the caller works."""
        return Workspace(self.scope, self.max_patterns)

    def may(self, permission: Permission) -> bool:
        """Return whether the caller's role has `permission`."""
        return permission in PERMISSIONS[self.role]

    def require(self, permission: Permission) -> None:
        """Raise `AuthorizationError` unless the caller may do this."""
        if not self.may(permission):
            raise AuthorizationError(
                f"Role '{self.role.value}' does not have permission '{permission.value}'."
            )
