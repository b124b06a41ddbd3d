"""The adapters that all scopes share."""

from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Literal

from engramia.bootstrap.clock import SystemClock
from engramia.bootstrap.embeddings import choose_embeddings, embeddings_from
from engramia.bootstrap.ids import new_pattern_key
from engramia.bootstrap.language_model import bounded, llm_from
from engramia.bootstrap.redaction import redactor_from
from engramia.bootstrap.storage import database_from, ledger_from, storage_from
from engramia.bootstrap.watch import Unwatched, Watch
from engramia.core.embedding import Embeddings
from engramia.core.llm import LLM
from engramia.core.model import Scope
from engramia.core.ports import Clock, Redactor, ScopedStorage, Storage
from engramia.memory.engine import Embedder, Engine
from engramia.providers.wrappers import Pooled
from engramia.settings import Settings

if TYPE_CHECKING:
    from engramia.db.audit import AuditLedger
    from engramia.db.audit_archive import AuditArchive
    from engramia.db.replica import Replica
    from engramia.db.session import Database

_ENGINES_KEPT = 1_024
"""Scopes whose engine is kept for the next request."""


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
