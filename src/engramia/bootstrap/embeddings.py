"""Which embedding model the settings choose."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engramia.bootstrap.extras import installed
from engramia.core.embedding import Embeddings
from engramia.errors import ProviderNotConfiguredError
from engramia.settings import Settings

OPENAI_DEFAULT_MODEL = "text-embedding-3-small"


@dataclass(frozen=True, slots=True)
class EmbeddingChoice:
    """Which embeddings the settings ask for, and the sentence that says why."""

    kind: Literal["openai", "local", "none"]
    why: str


def choose_embeddings(settings: Settings) -> EmbeddingChoice:
    """Decide between OpenAI's, the local model and words alone."""
    named = settings.embedding_model
    if named == "none":
        return EmbeddingChoice("none", "ENGRAMIA_EMBEDDING_MODEL=none")
    if settings.local_embeddings or named == "local":
        return EmbeddingChoice("local", "asked for by the settings")
    if settings.openai_api_key:
        return EmbeddingChoice("openai", "OPENAI_API_KEY is set")
    if named:
        return EmbeddingChoice("openai", f"ENGRAMIA_EMBEDDING_MODEL={named}")
    if installed("onnxruntime") and installed("tokenizers"):
        return EmbeddingChoice("local", "no OPENAI_API_KEY is set")
    return EmbeddingChoice("none", 'no OPENAI_API_KEY is set and "engramia[local]" is not installed')


def embeddings_from(settings: Settings) -> Embeddings | None:
    """Return the embedding model that the settings name, not yet loaded; None for words alone."""
    match choose_embeddings(settings).kind:
        case "none":
            return None
        case "local":
            from engramia.providers.local import LocalEmbeddings

            return LocalEmbeddings(
                path=settings.local_model_path,
                cache_dir=settings.cache_path or _user_cache(settings),
                download=settings.model_download,
            )
        case "openai":
            return _openai(settings)


def _openai(settings: Settings) -> Embeddings:
    from engramia.providers.openai import OpenAIEmbeddings

    if settings.openai_api_key is None:
        raise ProviderNotConfiguredError(
            "ENGRAMIA_EMBEDDING_MODEL names an OpenAI model, but OPENAI_API_KEY is not set. Set it, or "
            "choose ENGRAMIA_EMBEDDING_MODEL=local."
        )
    return OpenAIEmbeddings(
        model=settings.embedding_model or OPENAI_DEFAULT_MODEL,
        api_key=settings.openai_api_key.get_secret_value(),
        base_url=settings.openai_base_url,
        timeout=settings.embedding_timeout,
    )


def _user_cache(settings: Settings) -> Path | None:
    return None if settings.xdg_cache_home is None else settings.xdg_cache_home / "engramia"
