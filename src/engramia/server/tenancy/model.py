"""Projects as the service speaks of them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Project:
    """A project as far as a request asks: that it is there, and how many patterns it may hold."""

    max_patterns: int | None = None
