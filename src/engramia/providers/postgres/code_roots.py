"""Roots as the database has them, hashes of 64 bits, for the word index of `core`."""

from collections.abc import Iterable

import numpy as np

from engramia.core.roots import KnownRoots, Numbers, Roots
from engramia.providers.postgres.words import Codes, kind_weights, query_codes


class CodeRoots(Roots):
    """Numbers for hashed roots, given on first sight and never taken back."""

    def __init__(self) -> None:
        super().__init__()
        self._number_of: dict[int, int] = {}
        self._kinds = bytearray()

    def __len__(self) -> int:
        return len(self._number_of)

    def numbers(self, codes: Codes) -> Numbers:
        """Return the number of each root, new ones on first sight."""
        distinct, inverse = np.unique(codes, return_inverse=True)
        number_of = self._number_of
        names = distinct.tolist()
        new = [code for code in names if code not in number_of]
        number_of.update(zip(new, range(len(number_of), len(number_of) + len(new)), strict=True))
        self._kinds += kind_weights(np.array(new, np.int64)).astype(np.uint8).tobytes()
        found: Numbers = np.array([number_of[code] for code in names], np.uint32)[inverse]
        return found

    def known(self, words: Iterable[str]) -> KnownRoots:
        """Return what is known of the distinct roots of some words."""
        codes = query_codes(words)
        numbers = np.array([self._number_of[code] for code in codes if code in self._number_of], np.uint32)
        unseen = np.array([code for code in codes if code not in self._number_of], np.int64)
        return KnownRoots(numbers, self.weights(numbers), int(kind_weights(unseen).sum()))

    def weights(self, numbers: Numbers) -> "np.ndarray[tuple[int], np.dtype[np.int32]]":
        """Return the kind weight of each root."""
        return np.frombuffer(self._kinds, np.uint8)[numbers].astype(np.int32)
