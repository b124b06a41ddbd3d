"""What the worker knows how to do."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from engramia.core.model import Scope
from engramia.core.ports import ScopedStorage
from engramia.memory.facade import Memory
from engramia.server.kit.operations import Document, Unfinished

type MemoryFor = Callable[[Scope, ScopedStorage], Memory]
"""Makes the memory of a scope over the storage it is given, and no other."""

type GoOn = Callable[[Memory, Document | None], Document | Unfinished]
"""Does the next part of a job, given how far the parts before came (None at first).

Returns how far it is now, or after the last part the result, as a JSON object. Each part is a transaction of
its own: from its first write until it returns it holds up every other writer of the scope, so what takes long
has to come before. It may be done again if a worker dies, or if it raises what passes by itself.
"""

MAX_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class JobHandler:
    """How one operation is run as a job."""

    begin: Callable[[Document], GoOn]
    """Reads a request, once for each attempt."""
    deadline: timedelta
    """How long one attempt may take."""
    max_attempts: int = MAX_ATTEMPTS


def in_one(run: Callable[[Memory, Document], Document]) -> Callable[[Document], GoOn]:
    """Return how an operation begins that is done in one part."""
    return lambda request: lambda memory, _progress: run(memory, request)
