"""The network in an onnxruntime session: rows of token ids in, unit vectors out."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engramia.errors import ProviderNotConfiguredError, ProviderOutputError
from engramia.providers.local.architecture import GRAPH_TENSORS, WORD_TABLE
from engramia.providers.local.extra import extra_installed
from engramia.providers.local.tensors import Tensors


class Network:
    """The loaded model; safe to call from several threads."""

    def __init__(self, graph: bytes, tensors: Tensors, threads: int) -> None:
        """Make a session of `graph` with the weights in `tensors`.

        Raises `ProviderNotConfiguredError` if onnxruntime is missing or does not take the graph.
        """
        # The table stays outside the graph: read from the mapped file row by row, only the words
        # that occur become resident, where a session would copy all of its 47 MB.
        self._words = tensors[WORD_TABLE]
        # The session may look at the given weights, not copies, as long as it lives.
        self._tensors = tensors
        self._session = _session(graph, tensors, threads)
        tensors.release()

    def vectors(self, rows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Return shape (len(rows), 384), rows of length 1.

        Raises `ProviderOutputError` if the session fails.
        """
        lengths = np.array([len(row) for row in rows], dtype=np.int32)
        real = np.arange(lengths.max()) < lengths[:, None]
        ids = np.zeros(real.shape, dtype=np.int64)
        ids[real] = np.concatenate([np.asarray(row, dtype=np.int64) for row in rows])
        pool = (real / lengths[:, None]).astype(np.float32)[:, None, :]
        return self._run({"words": self._words[ids], "lengths": lengths, "pool": pool})

    def release(self) -> None:
        """Let go of the rows of the word table that were read; the next texts read theirs anew."""
        self._tensors.release()

    def _run(self, inputs: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
        try:
            vectors: NDArray[np.float32] = self._session.run(["vectors"], inputs)[0]
        except Exception as error:  # onnxruntime's errors share no other base
            raise ProviderOutputError(f"The local embedding model failed: {error}") from error
        return vectors


def _session(graph: bytes, tensors: Tensors, threads: int) -> Any:
    with extra_installed():
        import onnxruntime
    options = _options(onnxruntime, threads)
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(tensors[name]) for name in GRAPH_TENSORS]
    options.add_external_initializers(list(GRAPH_TENSORS), values)
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no other base
        raise ProviderNotConfiguredError(f"onnxruntime does not take the model: {error}") from error


def _options(onnxruntime: Any, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # The graph is made of fused operators already: optimising it costs start-up time and gains nothing.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    # Planned memory is kept per input shape, and texts come in many.
    options.enable_mem_pattern = False
    options.log_severity_level = 3
    # Threads stay awake between the operators of a call, not between calls; and no longer than
    # that, because on a busy machine a thread that spins holds up the one that it waits for.
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")
    options.add_session_config_entry("session.intra_op.spin_duration_us", "20")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    # Originals of repacked weights go back to the system instead of staying in the arena.
    options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
    return options
