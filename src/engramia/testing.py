"""Fakes for tests of programs that use Engramia; none of them is for production."""

import hashlib
import re
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from engramia.core.embedding import unit_rows
from engramia.core.llm import Question
from engramia.providers.structured import decoded

_WORD = re.compile(r"\w+")


class HashEmbeddings:
    """Deterministic bag-of-words vectors by hashing, for tests only.

    Each word moves one component up or down by one, chosen by its hash; texts that share words are similar,
    and nothing else is known about meaning: on real recall this is worse than no embeddings at all.
    """

    def __init__(self, dimension: int = 256) -> None:
        """Make vectors of `dimension` ≥ 1 components."""
        self.model = f"hash-{dimension}"
        self.dimension = dimension

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return shape (len(texts), dimension), rows of length 1."""
        counts = np.zeros((len(texts), self.dimension))
        for row, text in zip(counts, texts, strict=True):
            # A text without words, or whose words cancel out, still needs a direction.
            row[0] += 1e-3
            for word in _WORD.findall(text.lower()):
                place, sign = self._place(word)
                row[place] += sign
        return unit_rows(counts)

    def _place(self, word: str) -> tuple[int, int]:
        digest = hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        number = int.from_bytes(digest, "little")
        return (number >> 1) % self.dimension, 1 if number & 1 else -1


@dataclass(frozen=True, slots=True)
class Said:
    """An answer as the text that a model would write; decoded as the providers decode it, or refused."""

    text: str


class ScriptedLLM:
    """A language model that answers what it is told to, and remembers what it was asked; thread-safe."""

    vendor = "scripted"

    def __init__(
        self,
        answers: Iterable[object] | Callable[[Question], object],
        *,
        model: str = "scripted",
        sleep: Callable[[], object] | None = None,
    ) -> None:
        """Answer from `answers`, in turn, or with what the function makes of the question.

        An answer is decoded JSON; a `Said` is decoded first; an exception is raised. `sleep` is called before
        every answer, outside any lock.
        """
        self.model = model
        self.questions: list[Question] = []
        """What was asked, in the order of the calls' beginnings."""
        self._answers = answers if callable(answers) else deque(answers)
        self._sleep = sleep
        self._lock = threading.Lock()

    def ask(self, question: Question) -> object:
        """Return the next answer, or raise it; `AssertionError` when none is left."""
        with self._lock:
            self.questions.append(question)
            answer = self._next(question)
        if self._sleep is not None:
            self._sleep()
        if callable(self._answers):
            answer = self._answers(question)
        if isinstance(answer, BaseException):
            raise answer
        return decoded(answer.text) if isinstance(answer, Said) else answer

    def _next(self, question: Question) -> object:
        if callable(self._answers):
            return None
        if not self._answers:
            raise AssertionError(f"The script has no answer left for {question.name!r}.")
        return self._answers.popleft()


class FrozenClock:
    """A clock that stands still until it is told to go on."""

    def __init__(self, now: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        """Start at `now`, an aware time."""
        if now.tzinfo is None:
            raise ValueError("now must be an aware datetime")
        self._now = now.astimezone(UTC)

    def now(self) -> datetime:
        """Return the time it stands at, in UTC."""
        return self._now

    def advance(self, by: timedelta) -> None:
        """Move on by `by`."""
        self._now += by
