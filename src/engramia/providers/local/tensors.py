"""The safetensors format: 8 bytes of header length, a JSON header, then the tensors' bytes.

Format: https://github.com/huggingface/safetensors#format
"""

import json
import mmap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engramia.errors import ProviderNotConfiguredError

_LENGTH_BYTES = 8


class Tensors:
    """The float32 tensors of a safetensors file, as read-only views on the mapped file."""

    def __init__(self, path: Path, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Map `path` and check that it holds the tensors of `shapes`.

        Raises `ProviderNotConfiguredError` if it does not, or is not of this format.
        """
        try:
            self._map = _map(path)
            start, header = _header(self._map)
            self._views = {name: _view(self._map, start, header[name], shapes[name]) for name in shapes}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ProviderNotConfiguredError(
                f"{path} does not hold the model's tensors: {error!r}"
            ) from error

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        return self._views[name]

    def release(self) -> None:
        """Let go of the pages read so far and read no pages ahead; the views stay good."""
        # Reading ahead around single rows would make most of the word table resident.
        # Not every platform knows these advices.
        for advice in ("MADV_DONTNEED", "MADV_RANDOM"):
            if hasattr(mmap, advice):
                self._map.madvise(getattr(mmap, advice))


def _map(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _header(mapped: mmap.mmap) -> tuple[int, dict[str, Any]]:
    length = int.from_bytes(mapped[:_LENGTH_BYTES], "little")
    start = _LENGTH_BYTES + length
    return start, json.loads(mapped[_LENGTH_BYTES:start])


def _view(
    mapped: mmap.mmap, start: int, entry: Mapping[str, Any], shape: tuple[int, ...]
) -> NDArray[np.float32]:
    if entry["dtype"] != "F32" or tuple(entry["shape"]) != shape:
        raise ValueError(f"expected float32 of shape {shape}, found {entry['dtype']} of {entry['shape']}")
    count = int(np.prod(shape))
    return np.frombuffer(mapped, dtype="<f4", count=count, offset=start + entry["data_offsets"][0]).reshape(
        shape
    )
