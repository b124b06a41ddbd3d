"""A process that hands in and ends jobs, and dies at a given call of the operating system.

python -m tests.faults.job_worker PATH CALL TURN
    runs each of `STEPS`, says `done` after each, and kills itself before the TURN-th CALL
"""

import sys
from collections.abc import Callable
from pathlib import Path

from engramia.core.model import Scope
from engramia.providers.json.storage import JSONScopedStorage, JSONStorage
from tests.contract.job_samples import at, job, name
from tests.faults.worker import arm, say

CALLS = ("open", "pwrite", "fsync", "fdatasync", "unlink", "rename")

type Step = Callable[[JSONScopedStorage], None]


def add(number: int) -> Step:
    def step(scope: JSONScopedStorage) -> None:
        with scope.writing() as stores:
            stores.jobs.add(job(number))

    return step


def run(number: int) -> Step:
    """Claim and complete the job; look for another, as the worker does."""

    def step(scope: JSONScopedStorage) -> None:
        with scope.writing() as stores:
            mine = stores.jobs.claim(worker="w", now=at(number), lease_until=at(1000))
            assert mine is not None
            assert mine.id == name(number)
            assert stores.jobs.complete(mine.id, mine.fence, {"n": number}, at(number))

    return step


def look(scope: JSONScopedStorage) -> None:
    with scope.writing(durable=False) as stores:
        assert stores.jobs.claim(worker="w", now=at(0), lease_until=at(1)) is None


def compact(scope: JSONScopedStorage) -> None:
    scope.compact()


STEPS: tuple[Step, ...] = (add(1), add(2), run(1), look, run(2), look, add(3), compact, run(3), look, add(4))


def main() -> None:
    path, call, turn = sys.argv[1:]
    arm(call, int(turn), "kill")
    scope = JSONStorage(Path(path)).scoped(Scope())
    for step in STEPS:
        step(scope)
        say("done")


if __name__ == "__main__":
    main()
