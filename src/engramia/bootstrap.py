"""Settings in, objects out: the only place that chooses adapters."""

import importlib.util
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Self

from ulid import ULID

from engramia.core.embedding import Embeddings
from engramia.core.model import Scope
from engramia.core.ports import Clock, Redactor, Storage
from engramia.core.redaction import Redactor as SecretRedactor
from engramia.errors import ProviderNotConfiguredError, StorageError
from engramia.memory import facade
from engramia.memory.engine import Embedder, Engine
from engramia.settings import Settings, StorageKind

OPENAI_DEFAULT_MODEL = "text-embedding-3-small"


class SystemClock:
    """The machine's own time."""

    def now(self) -> datetime:
        return datetime.now(UTC)  # noqa: TID251 - the one place where the real clock is handed in


class NoRedaction:
    """Leaves text as it is; for development only."""

    def redact(self, text: str) -> str:
        return text


class Memory(facade.Memory):
    """The memory of one scope, with adapters of one's own or the defaults of the environment.

    `Memory()` alone keeps patterns as JSON in `./engramia_data` and embeds locally. `embeddings=None` asks
    for words alone. Everything not given comes from the settings (`ENGRAMIA_*`).
    """

    def __init__(
        self,
        *,
        embeddings: Embeddings | Literal["default"] | None = "default",
        storage: Storage | None = None,
        scope: Scope | None = None,
        redactor: Redactor | None = None,
        clock: Clock | None = None,
        settings: Settings | None = None,
    ) -> None:
        settings = settings or Settings()
        self.scope = scope or Scope(settings.tenant, settings.project)
        self.storage = storage or storage_from(settings)
        self.embeddings = embeddings_from(settings) if embeddings == "default" else embeddings
        clock = clock or SystemClock()
        super().__init__(
            Engine(
                storage=self.storage.scoped(self.scope),
                embedder=Embedder(self.embeddings, clock),
                redactor=redactor or redactor_from(settings),
                clock=clock,
                new_key=new_pattern_key,
            )
        )

    def close(self) -> None:
        """Sync and release the storage."""
        self.storage.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def new_pattern_key(now: datetime) -> str:
    """Return a fresh pattern key: keys made later sort later, to the millisecond."""
    return f"patterns/{str(ULID.from_datetime(now)).lower()}"


def storage_from(settings: Settings) -> Storage:
    """Return the storage that the settings name."""
    if settings.storage is not StorageKind.JSON:
        raise StorageError(
            f"ENGRAMIA_STORAGE={settings.storage.value} is not part of this release; use json."
        )
    from engramia.providers.json.storage import JSONStorage

    return JSONStorage(settings.data_path)


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
    if _installed("onnxruntime") and _installed("tokenizers"):
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
                cache_dir=settings.cache_path,
                download=settings.model_download,
            )
        case "openai":
            return _openai(settings)


def redactor_from(settings: Settings) -> Redactor:
    """Return the redactor, or one that does nothing if redaction is switched off."""
    return SecretRedactor() if settings.redaction else NoRedaction()


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


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
