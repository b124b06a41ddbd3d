"""Who may do what: one table of roles and permissions."""

from enum import StrEnum
from types import MappingProxyType


class Role(StrEnum):
    """What a caller is in its tenant; each role may do everything that the one before may."""

    READER = "reader"
    EDITOR = "editor"
    ADMIN = "admin"
    OWNER = "owner"

    @property
    def rank(self) -> int:
        """0 for reader to 3 for owner."""
        return list(Role).index(self)


class Permission(StrEnum):
    """One thing that a caller may be allowed to do."""

    HEALTH = "health"
    METRICS = "metrics"
    RECALL = "recall"
    FEEDBACK_READ = "feedback:read"
    SKILLS_SEARCH = "skills:search"
    PATTERNS_READ = "patterns:read"
    JOBS_LIST = "jobs:list"
    JOBS_READ = "jobs:read"
    ANALYTICS_READ = "analytics:read"

    LEARN = "learn"
    EVALUATE = "evaluate"
    COMPOSE = "compose"
    EVOLVE = "evolve"
    ANALYZE_FAILURES = "analyze_failures"
    REFINE = "refine"
    SKILLS_REGISTER = "skills:register"
    AGING = "aging"
    FEEDBACK_DECAY = "feedback:decay"
    JOBS_CANCEL = "jobs:cancel"
    PATTERNS_DELETE_OWN = "patterns:delete_own"
    ANALYTICS_ROLLUP = "analytics:rollup"

    PATTERNS_DELETE = "patterns:delete"
    IMPORT = "import"
    EXPORT = "export"
    KEYS_CREATE = "keys:create"
    KEYS_LIST = "keys:list"
    KEYS_REVOKE = "keys:revoke"
    KEYS_ROTATE = "keys:rotate"
    GOVERNANCE_READ = "governance:read"
    GOVERNANCE_WRITE = "governance:write"
    GOVERNANCE_ADMIN = "governance:admin"
    GOVERNANCE_DELETE = "governance:delete"
    AUDIT_READ = "audit:read"
    BILLING_READ = "billing:read"

    BILLING_MANAGE = "billing:manage"
    TENANT_DELETE = "tenant:delete"


_P = Permission
_ADDED = {
    Role.READER: {
        _P.HEALTH,
        _P.METRICS,
        _P.RECALL,
        _P.FEEDBACK_READ,
        _P.SKILLS_SEARCH,
        _P.PATTERNS_READ,
        _P.JOBS_LIST,
        _P.JOBS_READ,
        _P.ANALYTICS_READ,
    },
    Role.EDITOR: {
        _P.LEARN,
        _P.EVALUATE,
        _P.COMPOSE,
        _P.EVOLVE,
        _P.ANALYZE_FAILURES,
        _P.REFINE,
        _P.SKILLS_REGISTER,
        _P.AGING,
        _P.FEEDBACK_DECAY,
        _P.JOBS_CANCEL,
        _P.PATTERNS_DELETE_OWN,
        _P.ANALYTICS_ROLLUP,
    },
    Role.ADMIN: {
        _P.PATTERNS_DELETE,
        _P.IMPORT,
        _P.EXPORT,
        _P.KEYS_CREATE,
        _P.KEYS_LIST,
        _P.KEYS_REVOKE,
        _P.KEYS_ROTATE,
        _P.GOVERNANCE_READ,
        _P.GOVERNANCE_WRITE,
        _P.GOVERNANCE_ADMIN,
        _P.GOVERNANCE_DELETE,
        _P.AUDIT_READ,
        _P.BILLING_READ,
    },
    Role.OWNER: {_P.BILLING_MANAGE, _P.TENANT_DELETE},
}
"""What each role may do beyond the one before it."""

PERMISSIONS = MappingProxyType(
    {role: frozenset().union(*(_ADDED[lower] for lower in Role if lower.rank <= role.rank)) for role in Role}
)
"""Everything that each role may do."""
