"""Adapters to storages and models, each loaded when it is first asked for."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engramia.providers.anthropic import AnthropicProvider
    from engramia.providers.json.storage import JSONStorage
    from engramia.providers.local import LocalEmbeddings
    from engramia.providers.openai import OpenAIEmbeddings, OpenAIProvider
    from engramia.providers.postgres.storage import PostgresStorage

_HOMES = {
    "AnthropicProvider": "engramia.providers.anthropic",
    "JSONStorage": "engramia.providers.json.storage",
    "LocalEmbeddings": "engramia.providers.local",
    "OpenAIEmbeddings": "engramia.providers.openai",
    "OpenAIProvider": "engramia.providers.openai",
    "PostgresStorage": "engramia.providers.postgres.storage",
}

__all__ = [
    "AnthropicProvider",
    "JSONStorage",
    "LocalEmbeddings",
    "OpenAIEmbeddings",
    "OpenAIProvider",
    "PostgresStorage",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
