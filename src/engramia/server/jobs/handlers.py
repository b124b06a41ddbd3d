"""What the worker knows how to do."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from engramia.core.model import Scope
from engramia.core.ports import ScopedStorage
from engramia.memory.facade import Memory

type MemoryFor = Callable[[Scope, ScopedStorage], Memory]
"""Makes the memory of a scope over the storage it is given, and no other."""

MAX_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class JobHandler:
    """How one operation is run as a job."""

    run: Callable[[Memory, Mapping[str, Any]], Mapping[str, Any]]
    """Does it, and returns the result as a JSON object.

    From its first write until it returns it holds up every other writer of the scope, so what takes long has
    to come before. It may be run again if a worker dies, or if it raises what passes by itself.
    """
    deadline: timedelta
    """How long one attempt may take."""
    max_attempts: int = MAX_ATTEMPTS
