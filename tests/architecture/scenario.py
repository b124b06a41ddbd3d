"""Everything that is asked of the database, once: what the storage, keys, audit, jobs and moving send."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np

from engramia.core.audit import AuditEntry, AuditQuery
from engramia.core.audit_chain import Seal
from engramia.core.idempotency import KeyedRequest
from engramia.core.model import Classification, Event, EventKind, Observation, Scope, Source
from engramia.core.ports import Stores
from engramia.core.query import DecayPolicy, Filter
from engramia.db.audit import AuditLedger
from engramia.db.audit_archive import AuditArchive
from engramia.providers.postgres.moving import PostgresMover
from engramia.providers.postgres.storage import PostgresStorage
from engramia.providers.postgres.vector_plan import VectorPlan
from engramia.server.keys.model import KeyRequest, Principal
from engramia.server.keys.repository import announce
from engramia.server.keys.service import KeyService
from engramia.server.kit.once import Attempt
from engramia.server.kit.permissions import Role
from engramia.server.tenancy.service import ProjectService
from engramia.testing import FrozenClock
from tests.contract.job_samples import ERROR, at, job, name
from tests.contract.samples import MODEL, NOW, dense, feedback, key, pattern, record, search, unit, version

OURS, THEIRS = Scope("acme", "red"), Scope("zeta", "blue")
_SECRET = "a sentence of at least thirty-two characters"  # noqa: S105 - made up
_FADING = DecayPolicy(0.9, 0.15)


class Noting:
    """Another object's methods; notes which of them were called, as `Class.method`."""

    def __init__(self, inner: object, called: set[str]) -> None:
        self._inner, self._called = inner, called

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if callable(found):
            self._called.add(f"{type(self._inner).__name__}.{name}")
        return found


class Scenario:
    """What happens in the two scopes; `called` is what was asked of which class."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.called: set[str] = set()
        self.storage = PostgresStorage(url, ledger=AuditLedger(Seal.of(_SECRET)))
        self.storage.plan = VectorPlan(exact_limit=30, index_worth=0.0)

    def run(self) -> None:
        """Ask everything once, or twice where the answer is another."""
        for scope in (OURS, THEIRS):
            self._patterns(scope)
            self._searches(scope)
            self._feedback_and_activity(scope)
            self._jobs(scope)
            self._idempotency(scope)
        self._whole_storage()
        self._keys()
        self._projects()
        self._audit()
        self._moving()
        self._erase()
        self.storage.close()

    def _do(self, scope: Scope, act: Callable[[Stores], object], *, writing: bool) -> None:
        scoped = self.storage.scoped(scope)
        with scoped.writing() if writing else scoped.reading() as stores:
            act(Stores(*(Noting(store, self.called) for store in stores)))

    def _write(self, scope: Scope, act: Callable[[Stores], object]) -> None:
        self._do(scope, act, writing=True)

    def _read(self, scope: Scope, act: Callable[[Stores], object]) -> None:
        self._do(scope, act, writing=False)

    def _patterns(self, scope: Scope) -> None:
        def fill(stores: Stores) -> None:
            for number in range(1, 61):
                one = dense(number, f"sort list {number}", scores=(5.0,), skills=("csv", "io"))
                stores.patterns.add(one, unit(1, number, 1))
            for number in range(61, 66):
                stores.patterns.add(record(number, f"parse log {number}"), None)
            stores.patterns.add(dense(1, "sort another list"), unit(1, 1, 1))

        def change(stores: Stores) -> None:
            patterns = stores.patterns
            patterns.replace(pattern(2, "sort better", skills=("csv",)), version(2))
            patterns.observe(key(2), Observation(5.0, NOW, "seen"))
            patterns.set_skills(key(3), ("json",))
            patterns.classify(key(3), Classification.PUBLIC)
            patterns.count_reuse([key(3), key(4), key(4)])
            patterns.set_vectors(MODEL, [(key(61), unit(1, 2, 3))])
            patterns.near_identical("sort list 7", 0.5)
            patterns.search(search("sort list", unit(1, 1, 1)))
            list(patterns.records(Filter()))

        self._write(scope, fill)
        self._write(scope, change)
        self._write(scope, lambda stores: stores.patterns.delete([key(5), key(6)]))
        self._write(scope, lambda stores: stores.patterns.age(_FADING, NOW + timedelta(days=20)))
        self._read(scope, self._look_around)

    def _look_around(self, stores: Stores) -> None:
        patterns = stores.patterns
        patterns.count()
        patterns.get(key(2))
        patterns.present([key(2), key(999)])
        patterns.near_identical("sort list 7", 0.5)
        patterns.list(Filter(Classification.INTERNAL, Source.API, 1.0), limit=5, offset=1)
        patterns.with_skills(["csv", "io"], match_all=True, limit=5, offset=0)
        patterns.with_skills(["csv", "io"], match_all=False, limit=5, offset=0)
        patterns.mean_observation(NOW - timedelta(days=1))
        patterns.embedding_model()
        patterns.waiting(5)
        patterns.waiting_count()
        list(patterns.records(Filter(min_score=1.0)))

    def _searches(self, scope: Scope) -> None:
        """Ask a scope that fits into memory, one that does not, and one whose vectors are indexed."""
        narrow = Filter(Classification.INTERNAL, Source.API, 1.0)
        questions = [
            search("sort list", unit(1, 1, 1)),
            search("sort list 3"),
            search("sort list", unit(1, 1, 1), filter=narrow, limit=3, offset=2),
            search("sort", unit(1, 1, 1), deduplicate=True, eval_weighted=True, recency_weight=0.4),
            search("of the", unit(1, 0, 1)),
            search("nothing like it", unit(1, 0, 1), limit=500),
        ]
        for plan, memory in ((10**6, self.storage.memory.limit), (10**6, 0), (30, 0)):
            self.storage.plan = VectorPlan(exact_limit=plan, index_worth=0.0)
            self.storage.memory.limit = memory
            for _ in range(2):
                self._read(scope, lambda stores: stores.patterns.search_many(questions))
                self._read(scope, lambda stores: [stores.patterns.search(asked) for asked in questions])
        self._write(scope, lambda stores: stores.patterns.use_embedding_model("another model"))

    def _feedback_and_activity(self, scope: Scope) -> None:
        def say(stores: Stores) -> None:
            stores.feedback.put(feedback("a", "too slow"))
            stores.feedback.put(feedback("a", "much too slow", count=2))
            stores.feedback.overlapping("too slow", 0.1)
            for seconds in range(3):
                stores.activity.record(
                    Event(EventKind.LEARN, NOW + timedelta(seconds=seconds), eval_score=5.0)
                )

        def ask(stores: Stores) -> None:
            stores.feedback.top("parse", min_count=1, limit=5, offset=0)
            stores.feedback.top(None, min_count=1, limit=5, offset=0)
            stores.feedback.texts()
            stores.activity.counts()
            stores.activity.events(since=NOW, kind=EventKind.LEARN, limit=5)
            stores.activity.events(since=None, kind=None, limit=5)

        self._write(scope, say)
        self._read(scope, ask)
        self._write(scope, lambda stores: stores.feedback.decay(_FADING, NOW + timedelta(days=20)))

    def _jobs(self, scope: Scope) -> None:
        def work(stores: Stores) -> None:
            jobs = stores.jobs
            for number in range(8):
                jobs.add(job(number))
            jobs.get(name(1))
            jobs.list(None, limit=5, offset=0)
            jobs.list(job(1).status, limit=5, offset=0)
            jobs.next_due()
            held = [jobs.claim(worker="w", now=at(60), lease_until=at(70)) for _ in range(6)]
            ids = [(one.id, one.fence) for one in held if one is not None]
            jobs.holds(*ids[0])
            jobs.extend(*ids[0], at(80))
            jobs.advance(*ids[0], {"done": 1}, at(80))
            jobs.complete(*ids[0], {"done": True}, at(61))
            jobs.fail(*ids[1], ERROR, at(61))
            jobs.retry(*ids[2], ERROR, at(90))
            jobs.release(*ids[3])
            jobs.cancel(name(7), at(62))
            jobs.expire(at(500), at(500))
            jobs.prune(at(10_000), 1)

        self._write(scope, work)
        with self.storage.jobs(scope) as jobs:
            jobs.add(job(20))

    def _idempotency(self, scope: Scope) -> None:
        def once(stores: Stores) -> None:
            asked = KeyedRequest("a1", "f", "t", NOW + timedelta(days=1))
            stores.idempotency.get("a1", NOW)
            stores.idempotency.put(asked, NOW)
            stores.idempotency.put(replace(asked, token="u", expires_at=NOW), NOW)  # noqa: S106 - no password
            stores.idempotency.put(replace(asked, id="a2"), NOW + timedelta(days=2))
            stores.idempotency.drop("a2", "t")

        self._write(scope, once)

    def _whole_storage(self) -> None:
        storage = self.storage
        storage.check()
        storage.scopes()
        storage.scopes_with_jobs()
        storage.describe()
        heard = threading.Event()
        storage.announce_jobs(heard.set).close()
        assert heard.is_set()

    def _keys(self) -> None:
        clock = FrozenClock()
        service = Noting(
            KeyService(
                self.storage.database, clock, secret_key=_SECRET, ledger=self.storage.ledger,
                tell=lambda _entry, _stamp: None,
            ),
            self.called,
        )  # fmt: skip
        service.prepare()
        service.check()
        service.on_change(lambda _tenant: None)
        first = service.bootstrap(Principal(OURS, Role.OWNER))
        owner = Principal(OURS, Role.OWNER, first.key.id)
        attempt = Attempt("b1", "f")
        made = service.create(KeyRequest("one", Role.EDITOR), owner, attempt=attempt)
        second = service.create(KeyRequest("two", Role.OWNER), owner)
        service.create(KeyRequest("theirs", Role.OWNER), Principal(THEIRS, Role.OWNER), new_tenant=True)
        service.list(OURS, limit=5, offset=0)
        service.digest(made.secret.encode())
        service.holder(made.secret.encode())
        service.project(OURS)
        service.limit_of(OURS, made.key.id)
        service.limit_of(OURS, None)
        service.note_uses(OURS.tenant_id, {made.key.id: clock.now()}, timedelta(minutes=1))
        service.rotate(made.key.id, owner)
        service.revoke(second.key.id, owner)

    def _projects(self) -> None:
        service = Noting(
            ProjectService(
                self.storage.database, FrozenClock(), ledger=self.storage.ledger,
                tell=lambda _entry, _stamp: None, announce=announce,
            ),
            self.called,
        )  # fmt: skip
        service.check()
        made = replace(OURS, project_id="made")
        service.provide(made, actor="oidc-1", ip=None)
        service.limit(made, 5, actor="operator")
        service.find(made)
        service.limit_of(made)
        service.list(made.tenant_id, limit=5, offset=0)

    def _audit(self) -> None:
        entry = AuditEntry(
            event="key.made", outcome="success", actor="key_1", at=NOW, tenant_id=OURS.tenant_id
        )
        self._write(OURS, lambda stores: stores.audit.append(entry))
        archive = Noting(AuditArchive(self.storage.database, self.storage.ledger), self.called)
        archive.keep([entry, entry])
        everything = AuditQuery(event="key.made", actor="key_1", outcome="success", since=NOW, until=NOW)
        archive.page(OURS.tenant_id, everything, limit=5, offset=0)
        archive.page(OURS.tenant_id, AuditQuery(), limit=5, offset=0)
        archive.tenants()
        assert archive.verify(OURS.tenant_id).fault is None

    def _moving(self) -> None:
        mover = Noting(PostgresMover(self.url), self.called)
        mover.scopes()
        with mover.reading(OURS) as contents:
            whole = replace(
                contents, patterns=[*contents.patterns], feedback=[*contents.feedback],
                events=[*contents.events], jobs=[*contents.jobs],
            )  # fmt: skip
        mover.replace(Scope("acme", "copy"), whole, holding=None)
        mover.close()

    def _erase(self) -> None:
        self.storage.scoped(THEIRS).erase()
        assert np.all([scope != THEIRS for scope in self.storage.scopes()])
