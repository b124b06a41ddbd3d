"""The servers that are measured, each run as a process of its own.

python -m benchmarks.http.servers echo-async|echo-def|engramia PORT [--patterns N] [--embedding stub|local]
"""

import argparse
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI
from numpy.typing import NDArray

from benchmarks.storage_speed import Corpus, fill, key, vector
from engramia.api.app import create_app
from engramia.core.model import Scope
from engramia.providers.json.storage import JSONStorage
from engramia.providers.local import LocalEmbeddings
from engramia.settings import Settings

_WIDTH = 384
_UNLIMITED = 1_000_000


class StubEmbeddings:
    """Random vectors, the same for the same text, for next to nothing."""

    model = "random"
    dimension = _WIDTH

    def __init__(self) -> None:
        drawn = np.random.default_rng(5).standard_normal((1024, _WIDTH), dtype=np.float32)
        self._rows: NDArray[np.float32] = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return shape (len(texts), 384), rows of length 1."""
        places = [int.from_bytes(hashlib.md5(text.encode()).digest()[:2], "big") % 1024 for text in texts]  # noqa: S324 - no secret
        return self._rows[places]


def echo(*, blocking: bool) -> FastAPI:
    """Return the bare framework: a JSON body in, the same out."""
    app = FastAPI()

    def answer(body: dict[str, Any]) -> dict[str, Any]:
        return body

    async def answer_async(body: dict[str, Any]) -> dict[str, Any]:
        return body

    app.post("/echo")(answer if blocking else answer_async)
    return app


def engramia(patterns: int, embedding: str, folder: str) -> FastAPI:
    """Return the service over a store that holds `patterns` generated runs."""
    settings = Settings(
        data_path=Path(folder),
        rate_limit_default=_UNLIMITED,
        rate_limit_expensive=_UNLIMITED,
        rate_limit_per_key=_UNLIMITED,
        embedding_model="local",
    )
    storage = JSONStorage(folder)
    if embedding == "stub":
        fill(storage.scoped(Scope()), Corpus.make(), patterns)
        return create_app(settings, storage=storage, embeddings=StubEmbeddings(), llm=None)
    _fill_local(storage, patterns)
    return create_app(settings, storage=storage, llm=None)


def _fill_local(storage: JSONStorage, patterns: int) -> None:
    """Fill under the local model's name: what stands in the vectors is no matter for speed."""
    scope = storage.scoped(Scope())
    fill(scope, Corpus.make(), patterns)
    with scope.writing(durable=False) as stores:
        stores.patterns.use_embedding_model(LocalEmbeddings.model)
        stores.patterns.set_vectors(
            LocalEmbeddings.model, [(key(number), vector(number)) for number in range(patterns)]
        )


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("server", choices=("echo-async", "echo-def", "engramia"))
    parser.add_argument("port", type=int)
    parser.add_argument("--patterns", type=int, default=10_000)
    parser.add_argument("--folder", default="engramia_data")
    parser.add_argument("--embedding", choices=("stub", "local"), default="stub")
    asked = parser.parse_args()
    if asked.server == "engramia":
        app = engramia(asked.patterns, asked.embedding, asked.folder)
    else:
        app = echo(blocking=asked.server == "echo-def")
    # As `engramia serve` runs it.
    uvicorn.run(
        app,
        port=asked.port,
        log_level="warning",
        access_log=False,
        ws="none",
        proxy_headers=False,
        server_header=False,
    )


if __name__ == "__main__":
    main()
