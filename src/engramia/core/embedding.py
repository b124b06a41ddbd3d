"""The port to embedding models: texts in, unit vectors out."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Embeddings(Protocol):
    """A model that turns texts into vectors whose dot product is their cosine similarity.

    Implementations are safe to call from several threads, give the same vector for the same text
    whatever stands beside it in the call, and do not change `model` or `dimension` once made.
    """

    @property
    def model(self) -> str:
        """Identity written into the store, e.g. "all-MiniLM-L6-v2"; another identity means other vectors."""
        ...

    @property
    def dimension(self) -> int:
        """Number of components of every vector."""
        ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return shape (len(texts), dimension), rows of length 1 in the order of `texts`.

        Raises a subclass of `ProviderError` if the model cannot answer; never a vendor's own error.
        """
        ...


def unit_rows(array: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return the rows of a 2-D array scaled to Euclidean length 1; a row of zeros stays zeros."""
    # A row may be long enough for its squares to overflow float32.
    wide = array.astype(np.float64)
    length = np.linalg.norm(wide, axis=1, keepdims=True)
    return np.divide(wide, length, out=np.zeros_like(wide), where=length > 0).astype(np.float32)
