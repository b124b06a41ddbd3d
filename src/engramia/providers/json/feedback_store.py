"""The feedback port over the state of one scope."""

from collections.abc import Sequence
from datetime import datetime

from engramia.core.failures import FailureText
from engramia.core.model import FeedbackItem
from engramia.core.query import DecayPolicy, Page
from engramia.core.words import jaccard, words
from engramia.providers.json import codec
from engramia.providers.json.transaction import Transaction


class JSONFeedbackStore:
    """Implements `FeedbackStore`."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def overlapping(self, text: str, min_jaccard: float) -> Sequence[FeedbackItem]:
        """Return items whose normalised text is `text`'s or overlaps by more than that, best first."""
        table = self._transaction.state.feedback
        order = words(text)
        asked = frozenset(order)
        found = []
        for id_, said in table.words.items():
            overlap = jaccard(asked, said)
            item = table.items[id_]
            equal = overlap >= 1.0 and words(item.text) == order
            if equal or overlap > min_jaccard:
                found.append(((equal, overlap, item.count * item.weight, id_), item))
        return [item for _, item in sorted(found, key=lambda pair: pair[0], reverse=True)]

    def put(self, item: FeedbackItem) -> None:
        """Store an item under its id, in place of one that has the id."""
        self._transaction.emit({"kind": "feedback", "item": codec.encode_feedback(item)})

    def top(self, task_type: str | None, *, min_count: int, limit: int, offset: int) -> Page[FeedbackItem]:
        """Return items said at least `min_count` times, by count x weight, ties by last seen."""
        asked = (task_type or "").casefold()
        items = [
            item
            for item in self._transaction.state.feedback.items.values()
            if item.count >= min_count and (asked in item.text.casefold() or asked in item.task.casefold())
        ]
        items.sort(key=lambda item: (item.count * item.weight, item.last_seen, item.id), reverse=True)
        return Page(tuple(items[offset : offset + limit]), offset, len(items) > offset + limit)

    def texts(self) -> Sequence[FailureText]:
        """Return every wording with its count and mean score, for clustering."""
        return [text for item in self._transaction.state.feedback.items.values() for text in _texts(item)]

    def decay(self, policy: DecayPolicy, now: datetime) -> int:
        """Decay every weight since it was last decayed, delete what fell low, return how many."""
        before = self._count()
        if before:
            self._transaction.emit(codec.decay_event("feedback_decay", policy, now))
        return before - self._count()

    def _count(self) -> int:
        return len(self._transaction.state.feedback.items)


def _texts(item: FeedbackItem) -> Sequence[FailureText]:
    if not item.variants:
        return [FailureText(item.text, item.count, None)]
    return [
        FailureText(said.text, said.count, said.score_sum / said.scored if said.scored else None)
        for said in item.variants
    ]
