"""A word index that is brought up to date when it is asked, so that writing does not wait for it."""

from collections.abc import Callable, Sequence

from engramia.core.bm25 import WordIndex

_BULK = 64
_SHARE = 16  # building anew is about this many times faster, by the row, than adding one row after the other


class LazyIndex:
    """A `WordIndex` and the rows that it does not hold yet; `words_of` gives a row's words when needed."""

    def __init__(self, words_of: Callable[[int], Sequence[str]]) -> None:
        self._words_of = words_of
        self._index = WordIndex()
        self._held: set[int] = set()
        self._due: set[int] = set()

    def put(self, row: int) -> None:
        """Hold the row's words from the next question on."""
        self._due.add(row)

    def remove(self, row: int) -> None:
        """Forget a row."""
        self._due.discard(row)
        if row in self._held:
            self._held.discard(row)
            self._index.remove(row)

    @property
    def index(self) -> WordIndex:
        """The index, up to date."""
        if self._due:
            if len(self._due) > max(_BULK, len(self._held) // _SHARE):
                self._due |= self._held
                self._index = WordIndex()
            self._index.add_many((row, self._words_of(row)) for row in sorted(self._due))
            self._held |= self._due
            self._due = set()
        return self._index
