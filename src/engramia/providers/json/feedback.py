"""The feedback items of one scope in memory, made by the events of its journal."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from engramia.core.model import FeedbackItem
from engramia.core.query import DecayPolicy
from engramia.core.words import words
from engramia.providers.json import codec

type Events = Sequence[codec.Json]

_LINE_BYTES = 350  # about what an item's line has beside its texts


class FeedbackTable:
    """Feedback items by id, each with the words of its text."""

    def __init__(self) -> None:
        self.items: dict[str, FeedbackItem] = {}
        self.words: dict[str, frozenset[str]] = {}
        self.handlers = {"feedback": self._put, "feedback_decay": self._decay}
        """What each kind of event does, given consecutive events of the kind."""

    def snapshot(self) -> Iterator[list[bytes]]:
        """Yield the events that make this table out of an empty one, a line each."""
        for item in self.items.values():
            yield [codec.dumps({"kind": "feedback", "item": codec.encode_feedback(item)})]

    def live_bytes(self) -> int:
        """Return about how long the snapshot is."""
        texts = sum(
            len(item.text) + len(item.task) + sum(len(said.text) + 20 for said in item.variants)
            for item in self.items.values()
        )
        return texts + _LINE_BYTES * len(self.items)

    def _put(self, events: Events) -> None:
        for event in events:
            item = codec.decode_feedback(event["item"])
            self.items[item.id] = item
            self.words[item.id] = frozenset(words(item.text))

    def _decay(self, events: Events) -> None:
        for event in events:
            policy = DecayPolicy(event["factor_per_week"], event["prune_below"])
            now = codec.time_of(event["now"])
            for item in list(self.items.values()):
                weight = item.weight * policy.factor(item.decayed_at, now)
                if weight < policy.prune_below:
                    del self.items[item.id], self.words[item.id]
                elif item.decayed_at < now:
                    self.items[item.id] = replace(item, weight=weight, decayed_at=now)
