"""Projects as the service speaks of them."""

from dataclasses import dataclass
from datetime import datetime

MAX_PATTERNS_MAX = 1_000_000_000_000
"""The most that a limit can say."""


@dataclass(frozen=True, slots=True)
class Project:
    """A project as far as a request asks: that it is there, and how many patterns it may hold."""

    max_patterns: int | None = None


@dataclass(frozen=True, slots=True)
class RegisteredProject:
    """A project as its operator sees it."""

    id: str
    max_patterns: int | None
    """How many patterns it may hold, unless the key that stores them says otherwise; None for any number."""
    created_at: datetime
