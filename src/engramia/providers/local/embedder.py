"""LocalEmbeddings: all-MiniLM-L6-v2 behind the embedding port."""

import logging
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engramia.errors import ProviderNotConfiguredError
from engramia.providers.local.architecture import TENSORS, WIDTH
from engramia.providers.local.batches import plan_batches
from engramia.providers.local.cache import cached
from engramia.providers.local.extra import extra_installed
from engramia.providers.local.graph import REVISION, build_graph
from engramia.providers.local.hub import Hub, Progress
from engramia.providers.local.network import Network
from engramia.providers.local.tensors import Tensors
from engramia.providers.local.tokens import Tokenizer
from engramia.providers.local.weights import (
    MODEL,
    PACKAGE,
    WEIGHTS_SHA256,
    DamagedWeightsError,
    Weights,
    find_weights,
    verified_tokenizer,
    verify_weights,
)

_log = logging.getLogger(__name__)
_MAX_THREADS = 8


class LocalEmbeddings:
    """all-MiniLM-L6-v2 in this process, fp32; safe to call from several threads.

    Making one costs nothing: weights are looked for, verified and loaded at the first `embed`, or by `load`.
    """

    model = MODEL
    dimension = WIDTH

    def __init__(  # noqa: PLR0913 (keyword-only settings with defaults, each one concern)
        self,
        path: Path | None = None,
        cache_dir: Path | None = None,
        download: bool = True,
        threads: int | None = None,
        *,
        hub: Hub | None = None,
        package: str = PACKAGE,
        progress: Progress | None = None,
    ) -> None:
        """Choose where the weights are looked for, in this order, and how the model runs.

        `path`: a folder with model.safetensors and tokenizer.json, then the only place. `package`: an
        installed package that holds them. `hub`: downloaded to `cache_dir` (default ~/.cache/engramia) once,
        unless `download` is false. `threads`: at least 1, by default one per usable core, at most 8.
        `progress` is told about a download; by default a terminal shows a line.
        """
        self._path = path
        self._cache = cache_dir or Path.home() / ".cache" / "engramia"
        self._download = download
        self._threads = threads or min(_usable_cores(), _MAX_THREADS)
        self._hub = hub or Hub()
        self._package = package
        self._progress = progress
        self._lock = threading.Lock()
        self._loaded: tuple[Tokenizer, Network] | None = None

    def load(self) -> None:
        """Load the model if it is not loaded yet.

        Raises `ProviderNotConfiguredError` if the optional packages or the weights are missing or not the
        official ones, and `ProviderUnreachableError`, `ProviderTimeoutError` or `ProviderOutputError` if
        they have to be downloaded and cannot be.
        """
        self._ready()

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return shape (len(texts), 384), rows of length 1; what stands beyond 256 tokens does not count.

        Any string gets a vector, also an empty one. Raises what `load` raises.
        """
        if not texts:
            return np.empty((0, WIDTH), dtype=np.float32)
        tokenizer, network = self._ready()
        rows = [tokenizer.ids(text) for text in texts]
        vectors = np.empty((len(rows), WIDTH), dtype=np.float32)
        for batch in plan_batches([len(row) for row in rows]):
            vectors[batch] = network.vectors([rows[position] for position in batch])
        if len(rows) > 1:
            # Many texts touch most of the word table, which would stay resident.
            network.release()
        return vectors

    def _ready(self) -> tuple[Tokenizer, Network]:
        # Reading the attribute is atomic; only the first callers meet at the lock.
        loaded = self._loaded
        if loaded is None:
            with self._lock:
                loaded = self._loaded = self._loaded or self._load()
        return loaded

    def _load(self) -> tuple[Tokenizer, Network]:
        with extra_installed():
            # Told before 90 MB are downloaded in vain.
            import tokenizers  # noqa: F401 (asked for its presence only)
        weights = find_weights(self._path, self._package, self._downloads) or self._fetch()
        try:
            return self._open(weights)
        except DamagedWeightsError:
            if weights.folder != self._downloads or not self._download:
                raise
            _log.warning("The downloaded model in %s is damaged and is downloaded again.", weights.folder)
            return self._open(self._fetch())

    def _open(self, weights: Weights) -> tuple[Tokenizer, Network]:
        with ThreadPoolExecutor(1, "engramia-verify") as pool:
            # Hashing 90 MB takes as long as the rest of loading and leaves the interpreter free.
            verified = pool.submit(verify_weights, weights)
            try:
                tokenizer = Tokenizer(verified_tokenizer(weights))
                network = Network(self._graph(), Tensors(weights.weights, TENSORS), self._threads)
            finally:
                # Damaged weights also break the steps above; the hash is the better explanation.
                verified.result()
        return tokenizer, network

    def _graph(self) -> bytes:
        name = f"{MODEL}-{WEIGHTS_SHA256[:12]}-{REVISION}.onnx"
        return cached(self._cache / "graphs" / name, build_graph)

    @property
    def _downloads(self) -> Path:
        return self._cache / "weights" / f"{MODEL}-{WEIGHTS_SHA256[:12]}"

    def _fetch(self) -> Weights:
        if not self._download:
            raise ProviderNotConfiguredError(
                f"The model {MODEL} is not on this machine: install the package "
                f"{self._package.replace('_', '-')}, name a folder that holds it, or allow the download."
            )
        # Only a download needs the network's modules; importing them would slow every start.
        from engramia.providers.local.download import fetch

        return Weights(fetch(self._hub, self._downloads, self._progress))


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
