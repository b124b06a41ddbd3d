"""Settings in, objects out: the only place that chooses adapters."""

import importlib.util
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, Self

from pydantic import SecretStr
from ulid import ULID

from engramia.core.embedding import Embeddings
from engramia.core.llm import LLM, Panel, UnconfiguredLLM
from engramia.core.model import Scope
from engramia.core.ports import Clock, Mover, Redactor, ScopedStorage, Storage
from engramia.core.redaction import Redactor as SecretRedactor
from engramia.errors import ProviderNotConfiguredError, StorageError
from engramia.memory import facade
from engramia.memory.engine import Embedder, Engine
from engramia.providers.wrappers import Pooled
from engramia.settings import LLMProvider, Settings, StorageKind

if TYPE_CHECKING:
    from engramia.core.audit import AuditEntry, AuditStamp
    from engramia.db.audit import AuditLedger
    from engramia.db.audit_archive import AuditArchive
    from engramia.db.replica import Replica
    from engramia.db.session import Database, Limits
    from engramia.server.keys.service import KeyService
    from engramia.server.kit.windows import RateLimiter

OPENAI_DEFAULT_MODEL = "text-embedding-3-small"
_ENGINES_KEPT = 1_024
"""Scopes whose engine is kept for the next request."""


class SystemClock:
    """The machine's own time."""

    def now(self) -> datetime:
        return datetime.now(UTC)  # noqa: TID251 - the one place where the real clock is handed in


class NoRedaction:
    """Leaves text as it is; for development only."""

    def redact(self, text: str) -> str:
        return text


class Watch(Protocol):
    """Puts wrappers around adapters that measure and trace them."""

    def storage(self, storage: Storage, backend: str) -> Storage:
        """Return `storage`, watched."""
        ...

    def embeddings(self, embeddings: Embeddings, provider: str) -> Embeddings:
        """Return `embeddings`, watched."""
        ...

    def model(self, llm: LLM) -> LLM:
        """Return `llm` with every call watched that is really made."""
        ...

    def llm(self, llm: LLM) -> LLM:
        """Return `llm` watched as its askers see it, waiting in line included."""
        ...


class Unwatched:
    """Leaves adapters as they are."""

    def storage(self, storage: Storage, backend: str) -> Storage:  # noqa: ARG002 - the protocol's form
        return storage

    def embeddings(self, embeddings: Embeddings, provider: str) -> Embeddings:  # noqa: ARG002 - see above
        return embeddings

    def model(self, llm: LLM) -> LLM:
        return llm

    def llm(self, llm: LLM) -> LLM:
        return llm


class Adapters:
    """The adapters that the memories of all scopes share: storage, models, redaction, clock.

    What is not given comes from the settings (`ENGRAMIA_*`). `embeddings=None` asks for words alone,
    `llm=None` for no language model.
    """

    def __init__(  # noqa: PLR0913 - one keyword for each adapter
        self,
        settings: Settings,
        *,
        llm: LLM | Literal["default"] | None = "default",
        embeddings: Embeddings | Literal["default"] | None = "default",
        storage: Storage | None = None,
        redactor: Redactor | None = None,
        clock: Clock | None = None,
        watch: Watch | None = None,
    ) -> None:
        watch = watch or Unwatched()
        self._settings = settings
        self._store = storage or storage_from(settings)
        self._made_database: Database | None = None
        self.storage = watch.storage(self._store, settings.storage.value)
        model = embeddings_from(settings) if embeddings == "default" else embeddings
        self.embeddings = model and watch.embeddings(model, choose_embeddings(settings).kind)
        asked = llm_from(settings, watch) if llm == "default" else bounded(llm, settings, watch)
        self._made = asked if isinstance(asked, Pooled) and asked is not llm else None
        self.llm = asked and watch.llm(asked)
        self.redactor = redactor or redactor_from(settings)
        self.clock = clock or SystemClock()
        self._embedder = Embedder(self.embeddings, self.clock)
        self._engine = lru_cache(_ENGINES_KEPT)(lambda scope: self._engine_over(self.storage.scoped(scope)))

    @cached_property
    def database(self) -> "Database | None":
        """The database: the storage's own, else the one that the settings name; None for none."""
        own: Database | None = getattr(self._store, "database", None)
        if own is None and self._settings.database_url is not None:
            own = self._made_database = database_from(self._settings)
        return own

    @property
    def replica(self) -> "Replica | None":
        """The replica that the storage reads from, None for none."""
        own: Replica | None = getattr(self._store, "replica", None)
        return own

    @cached_property
    def archive(self) -> "AuditArchive | None":
        """The audit trail's rows; None without a database."""
        if self.database is None:
            return None
        from engramia.db.audit_archive import AuditArchive

        ledger: AuditLedger | None = getattr(self._store, "ledger", None)
        return AuditArchive(self.database, ledger or ledger_from(self._settings))

    def engine(self, scope: Scope, storage: ScopedStorage | None = None) -> Engine:
        """Return the parts of a scope's memory, over `storage` in place of the scope's own if given."""
        return self._engine(scope) if storage is None else self._engine_over(storage)

    def _engine_over(self, storage: ScopedStorage) -> Engine:
        return Engine(
            storage=storage,
            embedder=self._embedder,
            redactor=self.redactor,
            clock=self.clock,
            new_key=new_pattern_key,
            llm=self.llm,
        )

    def close(self) -> None:
        """Release the storage, also one that was passed in, and the language model that was made here."""
        if self._made is not None:
            self._made.close()
        if self._made_database is not None:
            self._made_database.dispose()
        self.storage.close()


class Memory(facade.Memory):
    """The memory of one scope, with adapters of one's own or the defaults of the environment.

    `Memory()` alone keeps patterns as JSON in `./engramia_data` and embeds locally. `embeddings=None` asks
    for words alone, `llm=None` for no language model. Everything not given comes from the settings
    (`ENGRAMIA_*`).
    """

    def __init__(  # noqa: PLR0913 - one keyword for each adapter
        self,
        *,
        llm: LLM | Literal["default"] | None = "default",
        embeddings: Embeddings | Literal["default"] | None = "default",
        storage: Storage | None = None,
        scope: Scope | None = None,
        redactor: Redactor | None = None,
        clock: Clock | None = None,
        settings: Settings | None = None,
    ) -> None:
        settings = settings or Settings()
        self.scope = scope or Scope(settings.tenant, settings.project)
        self._adapters = Adapters(
            settings, llm=llm, embeddings=embeddings, storage=storage, redactor=redactor, clock=clock
        )
        super().__init__(self._adapters.engine(self.scope))

    @property
    def storage(self) -> Storage:
        """All scopes of the storage."""
        return self._adapters.storage

    @property
    def embeddings(self) -> Embeddings | None:
        """The embedding model; None where words alone are compared."""
        return self._adapters.embeddings

    @property
    def llm(self) -> LLM | None:
        """The language model, its calls bounded; None for none."""
        return self._adapters.llm

    def close(self) -> None:
        """Release the storage, also one that was passed in, and the language model that was made here."""
        self._adapters.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def new_pattern_key(now: datetime) -> str:
    """Return a fresh pattern key: keys made later sort later, to the millisecond."""
    return f"patterns/{str(ULID.from_datetime(now)).lower()}"


def new_job_id(now: datetime) -> str:
    """Return a fresh job id; ids made later sort later, to the millisecond."""
    return f"job_{str(ULID.from_datetime(now)).lower()}"


def storage_from(settings: Settings) -> Storage:
    """Return the storage that the settings name; `StorageError` for Postgres without an address or extra."""
    if settings.storage is StorageKind.JSON:
        from engramia.providers.json.storage import JSONStorage

        return JSONStorage(settings.data_path)
    address = database_url(settings)
    if not (_installed("sqlalchemy") and _installed("psycopg")):
        raise StorageError('ENGRAMIA_STORAGE=postgres needs the extra: pip install "engramia[postgres]".')
    from engramia.providers.postgres.storage import PostgresStorage

    return PostgresStorage(
        database_url=address,
        limits=database_limits(settings),
        ledger=ledger_from(settings),
        replica_url=_secret(settings.database_replica_url),
    )


def mover_from(settings: Settings, kind: StorageKind) -> Mover:
    """Return what carries scopes out of and into the storage of this kind, which need not be the one in use.

    `StorageError` for Postgres without an address or the extra.
    """
    if kind is StorageKind.JSON:
        from engramia.providers.json.moving import JSONMover

        return JSONMover(settings.data_path)
    address = database_url(settings)
    if not (_installed("sqlalchemy") and _installed("psycopg")):
        raise StorageError('Postgres needs the extra: pip install "engramia[postgres]".')
    from engramia.providers.postgres.moving import PostgresMover

    return PostgresMover(address)


def database_from(settings: Settings) -> "Database":
    """Return the database that the settings name; `StorageError` without an address or the extra."""
    address = database_url(settings)
    if not (_installed("sqlalchemy") and _installed("psycopg")):
        raise StorageError('ENGRAMIA_DATABASE_URL needs the extra: pip install "engramia[postgres]".')
    from engramia.db.session import Database

    return Database(address, database_limits(settings))


def replica_from(settings: Settings) -> "Replica":
    """Return the replica that the settings name, over the database that they name; `StorageError` if none."""
    if settings.database_replica_url is None:
        raise StorageError("ENGRAMIA_DATABASE_REPLICA_URL is not set.")
    database = database_from(settings)
    from engramia.db.replica import Replica

    return Replica(settings.database_replica_url.get_secret_value(), database)


def database_limits(settings: Settings) -> "Limits":
    """Return how many connections a process may have, and how long it waits for one."""
    from engramia.db.session import Limits

    return Limits(
        pool_size=settings.database_pool_size,
        overflow=settings.database_max_overflow,
        pool_timeout=settings.database_pool_timeout,
    )


def ledger_from(settings: Settings) -> "AuditLedger":
    """Return what appends to the audit trail, under ENGRAMIA_SECRET_KEY if it is set."""
    from engramia.core.audit_chain import Seal
    from engramia.db.audit import AuditLedger

    return AuditLedger(Seal.of(_secret(settings.secret_key)))


def key_service_from(
    settings: Settings,
    database: "Database | None",
    clock: Clock,
    tell: "Callable[[AuditEntry, AuditStamp], None]",
) -> "KeyService | None":
    """Return the keys in the database; None unless the auth mode is db. `tell` logs what is done to them."""
    from engramia.server.identity.settings_check import AuthChoice

    if database is None or AuthChoice.of(settings).effective_mode != "db":
        return None
    from engramia.server.keys.service import KeyService

    secret_key, ledger = _secret(settings.secret_key), ledger_from(settings)
    return KeyService(database, clock, secret_key=secret_key, ledger=ledger, tell=tell)


def database_url(settings: Settings) -> str:
    """Return the address of the database; `StorageError` if none is set."""
    if settings.database_url is None:
        raise StorageError(
            "Postgres needs an address: set ENGRAMIA_DATABASE_URL=postgresql://user:password@host:5432/name, "
            'or beside a running `engramia up`: eval "$(engramia up --print-env)".'
        )
    return settings.database_url.get_secret_value()


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
                cache_dir=settings.cache_path or _user_cache(settings),
                download=settings.model_download,
            )
        case "openai":
            return _openai(settings)


@dataclass(frozen=True, slots=True)
class LLMChoice:
    """Whose language model the settings ask for, and the sentence that says why."""

    kind: LLMProvider
    why: str


def choose_llm(settings: Settings) -> LLMChoice:
    """Decide between OpenAI's language models, Anthropic's and none."""
    if settings.llm_provider is not None:
        return LLMChoice(settings.llm_provider, f"ENGRAMIA_LLM_PROVIDER={settings.llm_provider.value}")
    if settings.openai_api_key:
        return LLMChoice(LLMProvider.OPENAI, "OPENAI_API_KEY is set")
    if settings.anthropic_api_key:
        return LLMChoice(LLMProvider.ANTHROPIC, "ANTHROPIC_API_KEY is set")
    if settings.llm_base_url:
        return LLMChoice(LLMProvider.OPENAI, "ENGRAMIA_LLM_BASE_URL is set")
    return LLMChoice(LLMProvider.NONE, "neither OPENAI_API_KEY nor ANTHROPIC_API_KEY is set")


def llm_from(settings: Settings, watch: Watch | None = None) -> LLM | None:
    """Return the language model that the settings name, with its calls bounded; None for none.

    One that is named and cannot be made (no key, its extra not installed) says so when it is asked: learning
    and recall need none.
    """
    try:
        match choose_llm(settings).kind:
            case LLMProvider.NONE:
                return None
            case LLMProvider.OPENAI:
                return pooled(_openai_llm(settings), settings, watch)
            case LLMProvider.ANTHROPIC:
                return pooled(_anthropic_llm(settings), settings, watch)
    except ProviderNotConfiguredError as error:
        return UnconfiguredLLM(str(error))


def bounded(llm: LLM | None, settings: Settings, watch: Watch | None = None) -> LLM | None:
    """Return `llm`, its calls bounded unless it takes several at once by itself; None for None."""
    return llm if llm is None or isinstance(llm, Panel) else pooled(llm, settings, watch)


def pooled(llm: LLM, settings: Settings, watch: Watch | None = None) -> Pooled:
    """Return `llm` with its calls bounded as the settings say."""
    # Twice as many may wait as run: the last in the line has two rounds before it, and then its own.
    watched = (watch or Unwatched()).model(llm)
    return Pooled(watched, settings.llm_concurrency, seconds=3 * settings.llm_timeout)


def rate_limiter_from(settings: Settings) -> "RateLimiter":
    """Return what counts the service's requests: this process, or all processes in the Redis that is named.

    Raises `ValueError` with a sentence for an address that is none, or without the extra `redis`.
    """
    from engramia.server.kit.windows import MemoryRateLimiter

    own, shared = MemoryRateLimiter(time.monotonic), shared_rate_limiter_from(settings)
    if shared is None:
        return own
    from engramia.server.kit.fallback_windows import FallbackRateLimiter

    return FallbackRateLimiter(shared, own)


def shared_rate_limiter_from(settings: Settings) -> "RateLimiter | None":
    """Return what counts the requests of all processes, None where none is named.

    Raises `ValueError` as `rate_limiter_from` does.
    """
    if settings.redis_url is None:
        return None
    if not _installed("redis"):
        raise ValueError('ENGRAMIA_REDIS_URL needs a client: pip install "engramia[redis]".')
    from engramia.server.kit.redis_windows import RedisRateLimiter

    secret = _secret(settings.secret_key) or ""
    return RedisRateLimiter(settings.redis_url.get_secret_value(), secret=secret.encode())


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


def _openai_llm(settings: Settings) -> LLM:
    from engramia.providers.openai import DEFAULT_MODEL, OpenAIProvider

    return OpenAIProvider(
        settings.llm_model or DEFAULT_MODEL,
        api_key=_secret(settings.openai_api_key),
        base_url=settings.llm_base_url or settings.openai_base_url,
        timeout=settings.llm_timeout,
    )


def _anthropic_llm(settings: Settings) -> LLM:
    from engramia.providers.anthropic import DEFAULT_MODEL, AnthropicProvider

    return AnthropicProvider(
        settings.llm_model or DEFAULT_MODEL,
        api_key=_secret(settings.anthropic_api_key),
        base_url=settings.llm_base_url or settings.anthropic_base_url,
        timeout=settings.llm_timeout,
    )


def _user_cache(settings: Settings) -> Path | None:
    return None if settings.xdg_cache_home is None else settings.xdg_cache_home / "engramia"


def _secret(key: SecretStr | None) -> str | None:
    return None if key is None else key.get_secret_value()


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
