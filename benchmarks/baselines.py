"""What recall is compared with: textbook BM25, plain cosine, and both with equal weight."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engramia.core.words import words

type Scores = NDArray[np.float64]


class BM25:
    """Okapi BM25 (Robertson and Zaragoza 2009) with k1 = 1.2, b = 0.75 over plain words."""

    def __init__(self, documents: Sequence[str], k1: float = 1.2, b: float = 0.75) -> None:
        counts = [Counter(words(document)) for document in documents]
        lengths = [sum(count.values()) for count in counts]
        mean = sum(lengths) / max(1, len(lengths))
        frequency: Counter[str] = Counter(word for count in counts for word in count)
        self._size = len(documents)
        self._postings: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
        for row, count in enumerate(counts):
            for word, times in count.items():
                idf = math.log(1 + (self._size - frequency[word] + 0.5) / (frequency[word] + 0.5))
                weight = times * (k1 + 1) / (times + k1 * (1 - b + b * lengths[row] / mean))
                self._postings[word].append((row, idf * weight))

    def scores(self, query: str) -> Scores:
        """Return the score of every document, shape (documents,)."""
        scores = np.zeros(self._size)
        for word in words(query):
            for row, weight in self._postings.get(word, ()):
                scores[row] += weight
        return scores


def equal_fusion(left: Scores, right: Scores) -> Scores:
    """Return the mean of both after each is stretched to 0..1 over the documents."""
    return (_stretched(left) + _stretched(right)) / 2


def ranking(scores: Scores) -> list[int]:
    """Return the rows, best score first; ties in storing order."""
    return [int(row) for row in np.argsort(-scores, kind="stable")]


def _stretched(scores: Scores) -> Scores:
    low, high = scores.min(), scores.max()
    return (scores - low) / (high - low) if high > low else np.zeros_like(scores)
