"""What the commands that ask a language model have in common."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engramia.cli.session import Session
from engramia.errors import ProviderNotConfiguredError

if TYPE_CHECKING:
    from engramia.bootstrap import Memory
    from engramia.core.llm import LLM


@contextmanager
def asking(session: Session, operation: str, *, whom: str | None = None) -> "Iterator[Memory]":
    """Open a memory that has a language model, and turn a spinner while it is asked.

    `whom` is what the spinner says is asked, by default the model. Raises `ProviderNotConfiguredError` with
    the settings that would make one.
    """
    with session.memory() as memory:
        llm = _configured(session, memory.llm, operation)
        with session.terminal.waiting(f"Asking {whom or llm.model}"):
            yield memory


def _configured(session: Session, llm: "LLM | None", operation: str) -> "LLM":
    from engramia.bootstrap import choose_llm
    from engramia.core.llm import UnconfiguredLLM

    if isinstance(llm, UnconfiguredLLM):
        raise ProviderNotConfiguredError(llm.why)
    if llm is not None:
        return llm

    raise ProviderNotConfiguredError(
        f"`engramia {operation}` asks a language model, and none is configured "
        f"({choose_llm(session.settings).why}). Set OPENAI_API_KEY or ANTHROPIC_API_KEY, and "
        "ENGRAMIA_LLM_PROVIDER=openai or anthropic to choose between them."
    )
