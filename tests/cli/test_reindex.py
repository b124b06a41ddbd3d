"""Reindex: what is embedded stays embedded, and the exit code says how it ended."""

from collections.abc import Callable, Sequence
from itertools import count

import numpy as np
import pytest
from numpy.typing import NDArray

from engramia.bootstrap import Memory
from engramia.cli.exit_codes import ExitCode
from engramia.cli.session import Session
from engramia.core.limits import EMBED_BATCH
from engramia.errors import ProviderTimeoutError
from engramia.settings import Settings
from engramia.testing import HashEmbeddings
from tests.cli.conftest import Cli

pytestmark = pytest.mark.slow

PATTERNS = EMBED_BATCH + 44


class StopsAt(HashEmbeddings):
    """Embeddings that raise at one of their calls."""

    def __init__(self, call: int, error: BaseException) -> None:
        super().__init__()
        self._call = call
        self._error = error
        self._calls = count(1)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if next(self._calls) == self._call:
            raise self._error
        return super().embed(texts)


def with_embeddings(make: Callable[[], HashEmbeddings]) -> Session:
    def opened(settings: Settings) -> Memory:
        return Memory(settings=settings, embeddings=make())

    return Session(open_memory=opened, json=True)


def fill(cli: Cli) -> None:
    def opened(settings: Settings) -> Memory:
        memory = Memory(settings=settings, embeddings=None)
        memory.import_data(
            {
                "key": f"patterns/{number:026d}",
                "data": {"task": f"Task number {number}", "code": "x", "success_score": 5},
            }
            for number in range(PATTERNS)
        )
        return memory

    assert cli("status", session=Session(open_memory=opened)).code == 0


def test_reindex_embeds_what_waits_and_says_so(cli: Cli) -> None:
    fill(cli)
    session = with_embeddings(HashEmbeddings)
    assert cli("reindex", session=session).document == {"embedded": PATTERNS}
    assert cli("reindex", session=session).document == {"embedded": 0}
    assert cli("status", session=session).document["embedding"]["waiting"] == 0


def test_interrupted_it_keeps_what_is_done_and_goes_on(cli: Cli) -> None:
    fill(cli)
    stopped = cli("reindex", session=with_embeddings(lambda: StopsAt(2, KeyboardInterrupt())))
    assert stopped.code == ExitCode.INTERRUPTED
    assert (stopped.document["embedded"], stopped.document["total"]) == (EMBED_BATCH, PATTERNS)
    assert cli("reindex", session=with_embeddings(HashEmbeddings)).document == {
        "embedded": PATTERNS - EMBED_BATCH
    }


def test_a_model_that_goes_down_on_the_way_is_done_in_part(cli: Cli) -> None:
    fill(cli)
    stopped = cli("reindex", session=with_embeddings(lambda: StopsAt(2, ProviderTimeoutError("Too late."))))
    assert stopped.code == ExitCode.PARTLY
    assert stopped.document["embedded"] == EMBED_BATCH
    assert "run `engramia reindex` again" in stopped.document["detail"]


def test_a_model_that_is_down_is_a_provider_error(cli: Cli) -> None:
    fill(cli)
    stopped = cli("reindex", session=with_embeddings(lambda: StopsAt(1, ProviderTimeoutError("Too late."))))
    assert stopped.code == ExitCode.PROVIDER
