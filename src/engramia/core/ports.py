"""What the engine needs from outside, in its own words. Everything is synchronous and thread-safe."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from engramia.core.audit import AuditEntry, AuditStamp
from engramia.core.contents import Contents, Inventory
from engramia.core.failures import FailureText
from engramia.core.idempotency import KeyedRequest
from engramia.core.jobs import Job, JobError, JobStatus
from engramia.core.model import (
    ActivityCounts,
    Classification,
    Event,
    EventKind,
    FeedbackItem,
    Observation,
    Pattern,
    PatternRecord,
    Scope,
    Version,
)
from engramia.core.query import DecayPolicy, Filter, Page, Search, SearchPage


class Clock(Protocol):
    """Where the time comes from."""

    def now(self) -> datetime:
        """Return the present moment, aware, in UTC."""
        ...


class Redactor(Protocol):
    """Takes secrets and personal data out of free text."""

    def redact(self, text: str) -> str:
        """Return `text` with every finding replaced by a placeholder; the same text for the same input."""
        ...

    def suspects(self, texts: Sequence[str]) -> bool:
        """Return whether `redact` may change any of `texts`: a look at all of them at once, and no more."""
        ...


class PatternStore(Protocol):
    """The patterns of one scope. A write that names a missing key raises `NotFoundError`."""

    def count(self) -> int:
        """Return how many patterns there are."""
        ...

    def get(self, key: str) -> PatternRecord | None:
        """Return the pattern with its history, or None."""
        ...

    def present(self, keys: Collection[str]) -> AbstractSet[str]:
        """Return those of `keys` under which there is a pattern."""
        ...

    def search(self, search: Search) -> SearchPage:
        """Answer a recall exactly: full pages while matches remain, `has_more` true only if there is more.

        A candidate passes the filter and has similarity >= `min_similarity` (patterns without a usable
        vector: lexical part >= the fusion's `min_lexical`). With `deduplicate`, a candidate whose words
        overlap (Jaccard > 0.7) those of a better-scored one that was kept is left out.
        """
        ...

    def search_many(self, searches: Sequence[Search]) -> Sequence[SearchPage]:
        """Answer each recall just as `search` does, in the order given; raise if `search` would for any."""
        ...

    def near_identical(self, task: str, min_jaccard: float) -> Sequence[Pattern]:
        """Return patterns whose words are `task`'s or overlap by at least `min_jaccard`, best first."""
        ...

    def list(self, filter: Filter, *, limit: int, offset: int) -> Page[Pattern]:
        """Return patterns newest first."""
        ...

    def with_skills(
        self, skills: Sequence[str], *, match_all: bool, limit: int, offset: int
    ) -> Page[Pattern]:
        """Return patterns tagged with all (or any) of `skills`, best `success_score` first, then newest."""
        ...

    def records(self, filter: Filter) -> Iterator[PatternRecord]:
        """Return every pattern with its history in key order, as of the call, however long it is read."""
        ...

    def mean_observation(self, since: datetime) -> float | None:
        """Return the mean score of all observations made at or after `since`, or None."""
        ...

    def embedding_model(self) -> str | None:
        """Return the identity of the model that fills this store, or None while it has no vector."""
        ...

    def waiting(self, limit: int) -> Sequence[tuple[str, str]]:
        """Return (key, task) of up to `limit` patterns that have no vector of the store's model."""
        ...

    def waiting_count(self) -> int:
        """Return how many patterns have no vector of the store's model."""
        ...

    def add(self, record: PatternRecord, vector: NDArray[np.float32] | None) -> None:
        """Store a pattern under its key, in place of one that has the key. `vector` is unit float32."""
        ...

    def replace(self, pattern: Pattern, superseded: Version) -> None:
        """Store `pattern` over the one with its key, keep its vector, add `superseded` to its versions."""
        ...

    def observe(self, key: str, observation: Observation) -> None:
        """Append a quality observation."""
        ...

    def set_skills(self, key: str, skills: Sequence[str]) -> None:
        """Put these tags in place of the pattern's."""
        ...

    def classify(self, key: str, classification: Classification) -> None:
        """Set the pattern's classification."""
        ...

    def count_reuse(self, keys: Sequence[str]) -> None:
        """Add one to the reuse count for each time a key is named; keys that are gone are passed over."""
        ...

    def age(self, policy: DecayPolicy, now: datetime) -> int:
        """Decay every success score since it was last decayed, delete what fell low, return how many."""
        ...

    def delete(self, keys: Sequence[str]) -> int:
        """Delete patterns and all that hangs on them; return how many there were."""
        ...

    def set_vectors(self, model: str, vectors: Sequence[tuple[str, NDArray[np.float32]]]) -> None:
        """Give patterns their vectors, made by `model`; keys that are gone are passed over."""
        ...

    def use_embedding_model(self, model: str) -> None:
        """Make `model` the store's own; patterns with a vector of any other model wait for a new one."""
        ...


class FeedbackStore(Protocol):
    """Recurring quality issues of one scope."""

    def overlapping(self, text: str, min_jaccard: float) -> Sequence[FeedbackItem]:
        """Return items whose words are `text`'s or overlap by more than `min_jaccard`, best first."""
        ...

    def put(self, item: FeedbackItem) -> None:
        """Store an item under its id, in place of one that has the id."""
        ...

    def top(self, task_type: str | None, *, min_count: int, limit: int, offset: int) -> Page[FeedbackItem]:
        """Return items said at least `min_count` times, by count x weight.

        `task_type` keeps those whose text or task contains it, whatever the case.
        """
        ...

    def texts(self) -> Sequence[FailureText]:
        """Return every wording with its count and mean score, for clustering."""
        ...

    def decay(self, policy: DecayPolicy, now: datetime) -> int:
        """Decay every weight since it was last decayed, delete what fell low, return how many."""
        ...


class ActivityLog(Protocol):
    """What happened in one scope, for metrics and analytics."""

    def record(self, *happened: Event) -> None:
        """Append events in order and add to the counts."""
        ...

    def counts(self) -> ActivityCounts:
        """Return the totals since the scope began."""
        ...

    def events(self, *, since: datetime | None, kind: EventKind | None, limit: int) -> Page[Event]:
        """Return events newest first."""
        ...


class JobStore(Protocol):
    """The jobs of one scope. Who holds the claim numbered `fence` may change a job while no other has it."""

    def add(self, job: Job) -> None:
        """Store a new, pending job: from the moment its transaction ends, `scopes_with_jobs` tells of it."""
        ...

    def get(self, id: str) -> Job | None:
        """Return the job, or None."""
        ...

    def list(self, status: JobStatus | None, *, limit: int, offset: int) -> Page[Job]:
        """Return jobs newest first, all or those in one status; their requests, maybe long, are left out."""
        ...

    def next_due(self) -> datetime | None:
        """Return when the next job may be claimed (maybe in the past), or None while none is unfinished."""
        ...

    def claim(self, *, worker: str, now: datetime, lease_until: datetime) -> Job | None:
        """Take up the job that has been due the longest: a pending one or one whose lease has run out.

        Returns it with one more attempt and a new fence; None if none is due at `now`.
        """
        ...

    def holds(self, id: str, fence: int) -> bool:
        """Return whether this claim holds the job; in a `writing()` block it then does to the block's end."""
        ...

    def extend(self, id: str, fence: int, lease_until: datetime) -> bool:
        """Give a running job's worker more time; False if it does not hold the job any more."""
        ...

    def advance(self, id: str, fence: int, progress: Mapping[str, Any], lease_until: datetime) -> bool:
        """Keep how far a running job is and give its worker more time; False if it does not hold it any more.

        Meant for the transaction of what was done: it is kept with that or not at all.
        """
        ...

    def complete(self, id: str, fence: int, result: Mapping[str, Any], at: datetime) -> bool:
        """Finish a running job with its result; False, and no change, if its worker does not hold it."""
        ...

    def fail(self, id: str, fence: int, error: JobError, at: datetime) -> bool:
        """Finish a running job with an error; False, and no change, if its worker does not hold it."""
        ...

    def retry(self, id: str, fence: int, error: JobError, run_at: datetime) -> bool:
        """Let a running job wait until `run_at` for another attempt; False if its worker does not hold it."""
        ...

    def release(self, id: str, fence: int) -> bool:
        """Let a running job wait again as if never taken up; False if its worker does not hold it."""
        ...

    def cancel(self, id: str, at: datetime) -> bool:
        """Finish a pending job so that nobody takes it up; False if there is none or it is not pending."""
        ...

    def expire(self, before: datetime, at: datetime) -> Sequence[Job]:
        """Finish pending jobs that have been due since before `before`; return them."""
        ...

    def prune(self, before: datetime, keep: int) -> int:
        """Delete jobs that finished before `before` and all but the `keep` last finished; return how many."""
        ...


class IdempotencyStore(Protocol):
    """The requests of one scope that carried a key."""

    def get(self, id: str, now: datetime) -> KeyedRequest | None:
        """Return what is kept of the request, or None if nothing is or it expired by `now`."""
        ...

    def put(self, request: KeyedRequest, now: datetime) -> None:
        """Keep a request under its id, in place of what has the id; what expired by `now` goes in time."""
        ...

    def drop(self, id: str, token: str) -> bool:
        """Forget the attempt with this token; False, and no change, if it was answered or is not kept."""
        ...


class AuditTrail(Protocol):
    """Where acts that must be accounted for are kept with what they changed."""

    def append(self, entry: AuditEntry) -> AuditStamp | None:
        """Keep an entry of the scope's tenant if the transaction ends well; return where it stands.

        Others who append for the tenant wait until then, so append last. None where the storage has no rows
        that could be trusted more than the log: there the `AUDIT` line is all.
        """
        ...


class Stores(NamedTuple):
    """Everything durable of one scope, inside one transaction."""

    patterns: PatternStore
    feedback: FeedbackStore
    activity: ActivityLog
    jobs: JobStore
    idempotency: IdempotencyStore
    audit: AuditTrail


class ScopedStorage(Protocol):
    """One scope's storage: to hold it is the permission to use it."""

    def reading(self) -> AbstractContextManager[Stores]:
        """Open the stores for reading; writes raise. Sees everything committed before, by any process."""
        ...

    def writing(self, *, durable: bool = True) -> AbstractContextManager[Stores]:
        """Open a transaction: reads see its own writes, no other writer is at work, all or nothing is kept.

        Leaving the block normally returns after the writes have reached the disk. With `durable=False` they
        have reached the operating system only: a killed process loses nothing, a power cut may.
        """
        ...

    def erase(self) -> None:
        """Delete everything of the scope, so that no byte of it is left."""
        ...


class Subscription(Protocol):
    """What goes on until it is closed."""

    def close(self) -> None:
        """Let nothing more be told."""
        ...


class Storage(Protocol):
    """All scopes."""

    def scoped(self, scope: Scope) -> ScopedStorage:
        """Return the scope's storage, made on first write."""
        ...

    def scopes(self) -> Sequence[Scope]:
        """Return the scopes that hold anything, in order."""
        ...

    def scopes_with_jobs(self) -> Mapping[Scope, datetime | None]:
        """Return every scope with an unfinished job, and when the first of its jobs may be claimed.

        The one that has waited longest comes first. The moment is None where telling it would mean reading
        what the scope holds. It may be too early, and a scope whose jobs have all finished may be among them,
        until a `claim` there has found nothing.
        """
        ...

    def jobs(self, scope: Scope) -> AbstractContextManager[JobStore]:
        """Open a transaction over the jobs of a scope alone, to move on what was added.

        It is durable: a fence given twice is none. Where the storage can tell jobs apart, it does
        not wait for the scope's other writers.
        """
        ...

    def announce_jobs(self, tell: Callable[[], None]) -> Subscription:
        """Call `tell`, from a thread of the storage's own, when any process has handed in a job.

        Some may be missed, and it may be called for nothing: whoever must not miss any looks now and then. A
        storage that cannot know never calls it.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """Return facts for people: kind, place, version, sizes, and what is wrong with it."""
        ...

    def close(self) -> None:
        """Sync and release everything; using the storage afterwards raises `StorageError`."""
        ...


class Mover(Protocol):
    """Carries whole scopes out of a storage and into it, as they are: nothing is embedded or merged."""

    @property
    def place(self) -> str:
        """Where the storage is, for people, without a password."""
        ...

    def scopes(self) -> Sequence[Scope]:
        """Return the scopes that hold anything, in order."""
        ...

    def reading(self, scope: Scope) -> AbstractContextManager[Contents]:
        """Open all that the scope holds, as it is at this moment, to be read inside the block."""
        ...

    def replace(self, scope: Scope, contents: Contents, *, holding: Inventory | None) -> None:
        """Put `contents` in place of all that the scope holds, durably: at any moment it is all or nothing.

        Raises `ConflictError`, and changes nothing, unless the scope holds just what `holding` says; None
        lets it hold anything.
        """
        ...

    def close(self) -> None:
        """Release everything."""
        ...
