"""Keys as the service speaks of them."""

from dataclasses import dataclass, field
from datetime import datetime

from engramia.core.model import Scope
from engramia.server.kit.permissions import Role
from engramia.server.tenancy.model import Project

NAME_MAX_CHARS = 100


@dataclass(frozen=True, slots=True)
class Key:
    """A key without its secret."""

    id: str
    name: str
    key_prefix: str
    """How the secret begins, for people to know it again."""
    role: Role
    scope: Scope
    max_patterns: int | None
    """How many patterns the project may come to hold by what is stored with the key; None: the project's."""
    expires_at: datetime | None
    created_at: datetime
    created_by: str | None = None
    """Id of who made it; None for the first one."""
    last_used_at: datetime | None = None
    """Good to a minute."""
    revoked_at: datetime | None = None
    rotated_at: datetime | None = None

    def is_live(self, now: datetime) -> bool:
        """Return whether the key opens anything at `now`."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True)
class Holder:
    """What a secret opens: its key, live or not, and the key's project."""

    key: Key
    project: Project

    def limit_in(self, project: Project) -> int | None:
        """Return how many patterns a project may come to hold by what is stored with the key."""
        return project.max_patterns if self.key.max_patterns is None else self.key.max_patterns


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key with the secret that is shown once."""

    key: Key
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """A key that is asked for; in the project of who asks unless another is named."""

    name: str
    role: Role = Role.EDITOR
    project_id: str | None = None
    max_patterns: int | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    """Who does something to keys."""

    scope: Scope
    role: Role
    key_id: str | None = None
    """The key that was sent; None where none is needed."""
    request_id: str | None = None
    ip: str | None = None
    operator: str = "operator"
    """What the audit trail calls who needs no key."""

    @property
    def actor(self) -> str:
        """Who it is, for the audit trail."""
        return self.key_id or self.operator


OPERATOR = Principal(Scope(), Role.OWNER)
"""Who runs the service, at its own machine."""
