"""Memories that ask a language model."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engramia import Memory
from engramia.core.llm import LLM
from engramia.providers import JSONStorage
from engramia.testing import FrozenClock, HashEmbeddings

type AskingMemory = Callable[[LLM | None], Memory]


@pytest.fixture
def asking(tmp_path: Path, clock: FrozenClock) -> Iterator[AskingMemory]:
    """Open memories over one folder that ask the given language model."""
    storage = JSONStorage(tmp_path / "data")

    def make(llm: LLM | None) -> Memory:
        return Memory(llm=llm, embeddings=HashEmbeddings(), storage=storage, clock=clock)

    yield make
    storage.close()
