"""Engramia: memory for AI agents, which stores runs, finds them again and says how far to trust them.

The public names are loaded when they are first asked for, so that `engramia --help` starts at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engramia.bootstrap import Memory
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
    from engramia.errors import (
        AuthorizationError,
        EngramiaError,
        NotFoundError,
        ProviderError,
        QuotaExceededError,
        StorageError,
        ValidationError,
    )

    __version__: str

__all__ = [
    "AuthorizationError",
    "Classification",
    "EngramiaError",
    "LearnResult",
    "Match",
    "Memory",
    "NotFoundError",
    "OnDuplicate",
    "Pattern",
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

_MODEL = "Classification LearnResult Match OnDuplicate Pattern Recall ReuseTier Scope Source".split()


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version("engramia")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "bootstrap" if name == "Memory" else "core.model" if name in _MODEL else "errors"
    return getattr(import_module(f"engramia.{home}"), name)


def __dir__() -> list[str]:
    return __all__
