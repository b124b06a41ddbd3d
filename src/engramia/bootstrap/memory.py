"""The memory as a library opens it."""

from typing import TYPE_CHECKING, Literal, Self

from engramia.bootstrap.adapters import Adapters
from engramia.core.embedding import Embeddings
from engramia.core.llm import LLM
from engramia.core.model import Scope
from engramia.core.ports import Clock, Redactor, Storage
from engramia.memory import facade
from engramia.settings import Settings

if TYPE_CHECKING:
    from engramia.db.audit_archive import AuditArchive


class Memory(facade.Memory):
    """The memory of one scope, with adapters of one's own or the defaults of the environment.

    `Memory()` alone keeps patterns as JSON in `./engramia_data` and embeds locally. `embeddings=None` asks
    for words alone, `llm=None` for no language model. Everything not given comes from the settings
    (`ENGRAMIA_*`). The library stands below the audit trail: what is done through it leaves no entry there;
    the doors that are built on it (HTTP, the command line) account for themselves.
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

    @property
    def archive(self) -> "AuditArchive | None":
        """The rows of the audit trail; None without a database. Nothing is kept there by these methods."""
        return self._adapters.archive

    def close(self) -> None:
        """Release the storage, also one that was passed in, and the language model that was made here."""
        self._adapters.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()
