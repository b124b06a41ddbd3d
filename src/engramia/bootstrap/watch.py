"""What measures and traces the adapters, where anything does."""

from typing import Protocol

from engramia.core.embedding import Embeddings
from engramia.core.llm import LLM
from engramia.core.ports import Storage


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
