"""The way of a job."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from engramia.core.jobs import UNFINISHED, Job, JobError, JobStatus

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)
ERROR = JobError("upstream_timeout", "No answer within 60 seconds.")


def pending() -> Job:
    return Job("job_1", "evaluate", {"task": "x"}, created_at=NOW, run_at=NOW)


def claimed(job: Job) -> Job:
    return job.claimed(worker="w", now=NOW, lease_until=LATER)


def test_a_claim_counts_an_attempt_and_holds_until_the_next_one() -> None:
    first = claimed(pending())
    second = claimed(first)
    assert (first.attempts, first.fence, second.attempts, second.fence) == (1, 1, 2, 2)
    assert (first.status, first.worker, first.lease_until, first.started_at) == ("running", "w", LATER, NOW)
    assert second.held_by(2)
    assert not second.held_by(1)
    assert not pending().held_by(0)


def test_a_job_is_due_when_it_may_run_or_its_lease_is_out() -> None:
    assert pending().due == NOW
    assert claimed(pending()).due == LATER
    assert claimed(pending()).extended(LATER + timedelta(1)).due == LATER + timedelta(1)
    assert claimed(pending()).completed({}, NOW).due is None


def test_giving_back_takes_the_attempt_off_but_not_the_fence() -> None:
    released = claimed(pending()).released()
    assert (released.attempts, released.fence, released.status) == (0, 1, JobStatus.PENDING)
    assert (released.worker, released.lease_until, released.started_at) == (None, None, None)
    assert not claimed(released).held_by(1)


def test_a_retry_tells_why_and_success_forgets_it() -> None:
    waiting = claimed(pending()).retried(ERROR, LATER)
    assert (waiting.status, waiting.due, waiting.error, waiting.attempts) == ("pending", LATER, ERROR, 1)
    done = claimed(waiting).completed({"n": 1}, LATER)
    assert (done.status, done.error, done.result, done.completed_at) == ("completed", None, {"n": 1}, LATER)


def test_a_part_that_is_done_is_kept_for_the_next_attempt_until_the_whole_is() -> None:
    further = claimed(pending()).advanced({"done": 2}, LATER + timedelta(1))
    assert (further.progress, further.due, further.held_by(1)) == ({"done": 2}, LATER + timedelta(1), True)
    assert claimed(further.released()).progress == {"done": 2}
    ends = further.failed(ERROR, LATER), further.released().cancelled(LATER)
    assert [one.progress for one in ends] == [{"done": 2}] * 2
    assert further.completed({"n": 3}, LATER).progress is None


@given(st.lists(st.sampled_from(["claim", "extend", "advance", "retry", "release"])), st.integers(0, 3))
def test_whatever_happened_before_the_end_is_an_end(steps: list[str], end: int) -> None:
    job, fences = pending(), [0]
    for step in steps:
        running = job.status is JobStatus.RUNNING
        if step == "claim":
            job = claimed(job)
        elif running:
            job = {
                "extend": job.extended(LATER),
                "advance": job.advanced({"done": 1}, LATER),
                "retry": job.retried(ERROR, LATER),
                "release": job.released(),
            }[step]
        fences.append(job.fence)
        assert job.status in UNFINISHED
        assert (job.worker is None) == (job.lease_until is None) == (job.status is JobStatus.PENDING)
        assert 0 <= job.attempts <= job.fence
        assert job.request == {"task": "x"}
    assert fences == sorted(fences)
    over = [
        job.completed({}, LATER),
        job.failed(ERROR, LATER),
        job.cancelled(LATER),
        job.expired(LATER),
    ][end]
    assert over.status not in UNFINISHED
    assert over.due is None
    assert (over.completed_at, over.worker, over.lease_until) == (LATER, None, None)
    assert over.request == {}, "what was asked is not kept longer than it is needed"
