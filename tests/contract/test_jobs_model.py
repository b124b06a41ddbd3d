"""Random steps in a job store, beside a dictionary of jobs that takes the same."""

import itertools
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engramia.core.jobs import UNFINISHED, Job, JobStatus
from engramia.core.model import Scope
from engramia.core.ports import JobStore, Storage
from tests.contract.job_samples import ERROR, at, job, name

pytestmark = pytest.mark.slow

_numbers = itertools.count()


class Beside:
    """A store and its model; each method takes a step in both and compares what they answer."""

    def __init__(self, model: dict[str, Job], jobs: JobStore) -> None:
        self.model = model
        self.jobs = jobs

    def add(self, number: int, _fence: int, _time: int) -> None:
        if name(number) not in self.model:
            self.model[name(number)] = job(number)
            self.jobs.add(job(number))

    def claim(self, _number: int, _fence: int, time: int) -> None:
        due = sorted((one.due, one.id) for one in self.model.values() if one.due and one.due <= at(time))
        taken = self.jobs.claim(worker="w", now=at(time), lease_until=at(time + 5))
        if due:
            id_ = due[0][1]
            self.model[id_] = self.model[id_].claimed(worker="w", now=at(time), lease_until=at(time + 5))
        assert taken == (self.model[due[0][1]] if due else None)

    def extend(self, number: int, fence: int, time: int) -> None:
        if self._holds(number, fence, self.jobs.extend(name(number), fence, at(time))):
            self.model[name(number)] = self.model[name(number)].extended(at(time))

    def advance(self, number: int, fence: int, time: int) -> None:
        if self._holds(number, fence, self.jobs.advance(name(number), fence, {"n": time}, at(time))):
            self.model[name(number)] = self.model[name(number)].advanced({"n": time}, at(time))

    def complete(self, number: int, fence: int, time: int) -> None:
        if self._holds(number, fence, self.jobs.complete(name(number), fence, {"n": time}, at(time))):
            self.model[name(number)] = self.model[name(number)].completed({"n": time}, at(time))

    def fail(self, number: int, fence: int, time: int) -> None:
        if self._holds(number, fence, self.jobs.fail(name(number), fence, ERROR, at(time))):
            self.model[name(number)] = self.model[name(number)].failed(ERROR, at(time))

    def retry(self, number: int, fence: int, time: int) -> None:
        if self._holds(number, fence, self.jobs.retry(name(number), fence, ERROR, at(time))):
            self.model[name(number)] = self.model[name(number)].retried(ERROR, at(time))

    def release(self, number: int, fence: int, _time: int) -> None:
        if self._holds(number, fence, self.jobs.release(name(number), fence)):
            self.model[name(number)] = self.model[name(number)].released()

    def cancel(self, number: int, _fence: int, time: int) -> None:
        one = self.model.get(name(number))
        can = one is not None and one.status is JobStatus.PENDING
        assert self.jobs.cancel(name(number), at(time)) is can
        if one is not None and can:
            self.model[one.id] = one.cancelled(at(time))

    def expire(self, _number: int, _fence: int, time: int) -> None:
        pending = [one for one in self.model.values() if one.status is JobStatus.PENDING]
        late = {one.id: one.expired(at(50)) for one in pending if one.run_at < at(time)}
        assert {one.id: one for one in self.jobs.expire(at(time), at(50))} == late
        self.model |= late

    def prune(self, _number: int, keep: int, time: int) -> None:
        over = [one for one in self.model.values() if one.status not in UNFINISHED]
        over.sort(key=lambda one: (_end(one), one.id), reverse=True)
        gone = [one for place, one in enumerate(over) if place >= keep or _end(one) < at(time)]
        assert self.jobs.prune(at(time), keep) == len(gone)
        for one in gone:
            del self.model[one.id]

    def _holds(self, number: int, fence: int, answer: bool) -> bool:
        """Return whether the model says that the claim held, as the store must have."""
        one = self.model.get(name(number))
        held = one is not None and one.held_by(fence)
        assert answer is held
        return held


def _end(one: Job) -> datetime:
    assert one.completed_at is not None
    return one.completed_at


STEPS = (
    Beside.add,
    Beside.claim,
    Beside.extend,
    Beside.advance,
    Beside.complete,
    Beside.fail,
    Beside.retry,
    Beside.release,
    Beside.cancel,
    Beside.expire,
    Beside.prune,
)


@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)  # one storage serves all examples, each in a scope of its own
@given(
    st.lists(
        st.tuples(st.sampled_from(STEPS), st.integers(0, 3), st.integers(0, 3), st.integers(0, 40)),
        max_size=30,
    )
)
def test_any_order_of_steps_leaves_what_the_domain_says(
    storage: Storage, steps: list[tuple[Any, int, int, int]]
) -> None:
    scope = storage.scoped(Scope("acme", f"p{next(_numbers)}"))
    model: dict[str, Job] = {}
    for step, number, fence, time in steps:
        with scope.writing(durable=False) as stores:
            step(Beside(model, stores.jobs), number, fence, time)
            due = [one.due for one in model.values() if one.due is not None]
            assert stores.jobs.next_due() == min(due, default=None)
    with scope.reading() as stores:
        listed = stores.jobs.list(None, limit=99, offset=0).items
    expected = sorted(model.values(), key=lambda one: (one.created_at, one.id), reverse=True)
    assert listed == tuple(replace(one, request={}) for one in expected)
