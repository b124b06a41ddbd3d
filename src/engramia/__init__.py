"""Engramia: memory for AI agents, which stores runs, finds them again and says how far to trust them.

The public names are loaded when they are first asked for, so that `engramia --help` starts at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engramia.bootstrap import Memory
    from engramia.core.evolution import Evolution
    from engramia.core.model import (
        Classification,
        LearnResult,
        Match,
        OnDuplicate,
        Pattern,
        Recall,
        ReuseTier,
        Scope,
        Source,
    )
    from engramia.core.pipeline import Pipeline
    from engramia.core.scoring import Evaluation
    from engramia.errors import (
        AuthorizationError,
        EngramiaError,
        NotFoundError,
        ProviderError,
        QuotaExceededError,
        StorageError,
        ValidationError,
    )
    from engramia.memory.jury import Judge, Jury

    __version__: str

_HOMES = {
    "bootstrap": "Memory",
    "core.evolution": "Evolution",
    "core.model": "Classification LearnResult Match OnDuplicate Pattern Recall ReuseTier Scope Source",
    "core.pipeline": "Pipeline",
    "core.scoring": "Evaluation",
    "errors": "AuthorizationError EngramiaError NotFoundError ProviderError QuotaExceededError StorageError "
    "ValidationError",
    "memory.jury": "Judge Jury",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = [
    "AuthorizationError",
    "Classification",
    "EngramiaError",
    "Evaluation",
    "Evolution",
    "Judge",
    "Jury",
    "LearnResult",
    "Match",
    "Memory",
    "NotFoundError",
    "OnDuplicate",
    "Pattern",
    "Pipeline",
    "ProviderError",
    "QuotaExceededError",
    "Recall",
    "ReuseTier",
    "Scope",
    "Source",
    "StorageError",
    "ValidationError",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version("engramia")
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"engramia.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return __all__
