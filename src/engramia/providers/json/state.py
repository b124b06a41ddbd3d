"""All of one scope in memory: the replica that its journal keeps up to date."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, groupby
from operator import itemgetter

from engramia.errors import StorageCorruptError, StorageError
from engramia.providers.json import codec
from engramia.providers.json.activity import ActivityTable
from engramia.providers.json.feedback import FeedbackTable
from engramia.providers.json.idempotency import IdempotencyTable
from engramia.providers.json.jobs import JobTable
from engramia.providers.json.patterns import PatternTable
from engramia.providers.json.snapshot import FORMAT

type Handler = Callable[[Sequence[codec.Json]], None]
type Table = PatternTable | FeedbackTable | ActivityTable | JobTable | IdempotencyTable


class ScopeState:
    """The tables of one scope; events change them, nothing else does."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.patterns = PatternTable()
        self.feedback = FeedbackTable()
        self.activity = ActivityTable()
        self.jobs = JobTable()
        self.idempotency = IdempotencyTable()
        self._handlers: dict[str, Handler] = {
            "format": _check_format,
            **self.patterns.handlers,
            **self.feedback.handlers,
            **self.activity.handlers,
            **self.jobs.handlers,
            **self.idempotency.handlers,
        }

    def apply(self, events: Sequence[codec.Json]) -> None:
        """Apply events in order; one of a kind that this release does not know raises `StorageError`."""
        if len(events) == 1:
            self._handle(events[0]["kind"], events)
            return
        for kind, some in groupby(events, key=itemgetter("kind")):
            self._handle(kind, list(some))

    def _handle(self, kind: str, events: Sequence[codec.Json]) -> None:
        """Apply events of one kind."""
        handler = self._handlers.get(kind)
        if handler is None:
            raise StorageError(
                f"The journal holds events of kind {kind!r}, which this release does not know: a newer "
                f"Engramia wrote them. Upgrade to a release that reads more than journal format {FORMAT}."
            )
        try:
            handler(events)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StorageCorruptError(
                f"An event of kind {kind!r} in the journal lacks what it needs ({error!r})."
            ) from error

    def snapshot(self) -> Iterator[list[bytes]]:
        """Yield, line by line, events that make this state out of an empty one."""
        return chain.from_iterable(table.snapshot() for table in self._tables())

    def live_bytes(self) -> int:
        """Return about how long a journal of nothing but this state is."""
        return sum(table.live_bytes() for table in self._tables())

    def _tables(self) -> Sequence[Table]:
        return (self.patterns, self.feedback, self.activity, self.jobs, self.idempotency)


def _check_format(events: Sequence[codec.Json]) -> None:
    for event in events:
        if event["format"] > FORMAT:
            raise StorageError(
                f"The journal goes on in format {event['format']}, which needs Engramia {event['needs']} "
                f"or newer; this release reads format {FORMAT}. Upgrade Engramia to open it."
            )
