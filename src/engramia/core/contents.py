"""All that one scope holds, to be carried from one storage into another, and how two of them are compared."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from engramia.core.jobs import Job
from engramia.core.model import (
    ActivityCounts,
    Event,
    FeedbackItem,
    Observation,
    PatternRecord,
    Version,
)
from engramia.errors import ConflictError

type Vector = NDArray[np.float32]
type Plain = str | int | float | tuple[Plain, ...] | None


@dataclass(frozen=True, slots=True)
class Contents:
    """Everything durable of a scope, each part to be read once and in this order."""

    embedding_model: str | None
    pattern_count: int
    patterns: Iterable[tuple[PatternRecord, Vector | None]]
    """In key order; with a vector where the pattern has one of the store's model."""
    feedback: Iterable[FeedbackItem]
    """In the order in which they were first put."""
    events: Iterable[Event]
    """In the order in which they were recorded."""
    counts: ActivityCounts
    jobs: Iterable[Job]
    """By id; unfinished ones with their requests."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """How much a scope holds, and a digest: two scopes with equal inventories hold the same."""

    patterns: int = 0
    vectors: int = 0
    versions: int = 0
    observations: int = 0
    feedback_items: int = 0
    events: int = 0
    jobs: int = 0
    digest: str = ""
    """Empty while there is nothing at all."""


NOTHING = Inventory()


def check_holds(found: Inventory, expected: Inventory | None) -> None:
    """Raise `ConflictError` unless a scope holds what is expected; None expects nothing in particular."""
    if expected is not None and found != expected:
        raise ConflictError("The scope holds something else than was expected; nothing of it was changed.")


class Census:
    """Takes the inventory of contents while somebody else reads them."""

    def __init__(self) -> None:
        self._counted = Counter[str]()
        # One for each part: whoever reads may mix them.
        self._digests = {
            name: blake2b(digest_size=16) for name in ("whole", "patterns", "feedback", "events", "jobs")
        }
        self._is_empty = True

    def over(self, contents: Contents) -> Contents:
        """Return `contents`, which are counted as they are read."""
        if contents.embedding_model is not None or contents.counts != ActivityCounts():
            self._take("whole", (contents.embedding_model, _counts(contents.counts)))
        return Contents(
            contents.embedding_model,
            contents.pattern_count,
            self._patterns(contents.patterns),
            self._feedback(contents.feedback),
            self._events(contents.events),
            contents.counts,
            self._jobs(contents.jobs),
        )

    def inventory(self) -> Inventory:
        """Return what was counted, once all parts have been read."""
        digest = b"".join(each.digest() for each in self._digests.values())
        whole = blake2b(digest, digest_size=16).hexdigest()
        return Inventory(**self._counted, digest="" if self._is_empty else whole)

    def _take(self, part: str, value: Plain) -> None:
        self._is_empty = False
        self._digests[part].update(repr(value).encode("utf-8", "surrogatepass") + b"\n")

    def _patterns(
        self, patterns: Iterable[tuple[PatternRecord, Vector | None]]
    ) -> Iterator[tuple[PatternRecord, Vector | None]]:
        for record, vector in patterns:
            self._counted["patterns"] += 1
            self._counted["versions"] += len(record.versions)
            self._counted["observations"] += len(record.observations)
            self._take("patterns", _record(record))
            if vector is not None:
                self._counted["vectors"] += 1
                self._digests["patterns"].update(np.asarray(vector, "<f4").tobytes())
            yield record, vector

    def _feedback(self, items: Iterable[FeedbackItem]) -> Iterator[FeedbackItem]:
        for item in items:
            self._counted["feedback_items"] += 1
            self._take("feedback", _item(item))
            yield item

    def _events(self, events: Iterable[Event]) -> Iterator[Event]:
        for event in events:
            self._counted["events"] += 1
            self._take("events", _event(event))
            yield event

    def _jobs(self, jobs: Iterable[Job]) -> Iterator[Job]:
        for job in jobs:
            self._counted["jobs"] += 1
            self._take("jobs", _job(job))
            yield job


def inventory_of(contents: Contents) -> Inventory:
    """Read `contents` to their end and return their inventory."""
    census = Census()
    counted = census.over(contents)
    for part in (counted.patterns, counted.feedback, counted.events, counted.jobs):
        for _ in part:
            pass
    return census.inventory()


def _record(record: PatternRecord) -> Plain:
    pattern = record.pattern
    return (
        pattern.key,
        pattern.task,
        pattern.code,
        pattern.output,
        float(pattern.success_score),
        _time(pattern.created_at),
        _time(pattern.decayed_at),
        pattern.reuse_count,
        pattern.classification.value,
        pattern.source.value,
        pattern.run_id,
        pattern.author,
        tuple(pattern.skills),
        pattern.embedding_model,
        tuple(map(_version, record.versions)),
        tuple(map(_observation, record.observations)),
    )


def _version(version: Version) -> Plain:
    return (version.code, version.output, float(version.success_score), _time(version.replaced_at))


def _observation(seen: Observation) -> Plain:
    return (float(seen.score), _time(seen.at), seen.feedback)


def _item(item: FeedbackItem) -> Plain:
    variants = tuple((said.text, said.count, float(said.score_sum), said.scored) for said in item.variants)
    times = (_time(item.first_seen), _time(item.last_seen), _time(item.decayed_at))
    return (item.id, item.text, item.count, float(item.weight), *times, item.task, variants)


def _event(event: Event) -> Plain:
    return (
        event.kind.value,
        _time(event.ts),
        _number(event.eval_score),
        _number(event.similarity),
        event.reuse_tier and event.reuse_tier.value,
        event.pattern_key,
    )


def _job(job: Job) -> Plain:
    return (
        job.id,
        job.operation,
        json.dumps(dict(job.request), sort_keys=True),
        job.author,
        job.status.value,
        *(
            _time(at)
            for at in (job.created_at, job.run_at, job.lease_until, job.started_at, job.completed_at)
        ),
        job.attempts,
        job.fence,
        job.worker,
        None if job.result is None else json.dumps(dict(job.result), sort_keys=True),
        None if job.error is None else (job.error.code, job.error.detail),
    )


def _counts(counts: ActivityCounts) -> Plain:
    return (counts.runs, counts.successes, counts.recalls, counts.reused)


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat()
