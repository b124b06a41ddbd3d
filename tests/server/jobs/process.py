"""Processes to be killed: one that hands in jobs, one that runs them.

A PLACE is the folder of a JSON storage, or the address of a database.

python -m tests.server.jobs.process submit PLACE OPERATION SCOPES COUNT
    hands in COUNT jobs, in turn for each of so many scopes, and says the id of each once it is accepted
python -m tests.server.jobs.process work PLACE
    runs jobs until it is killed or its input ends; says `ready` when it looks for them, `begin` when one
    begins, and `stored` when a batch of an import, or a job that holds on, has only to be committed
"""

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engramia.bootstrap import SystemClock
from engramia.core.model import Scope
from engramia.core.ports import Storage
from engramia.memory.facade import Memory
from engramia.providers.json.storage import JSONStorage
from engramia.server.jobs.equipment import Equipment, Pace
from engramia.server.jobs.handlers import GoOn
from engramia.server.jobs.queue import JobQueue
from engramia.server.jobs.worker import Worker
from engramia.server.kit.operations import Document, Unfinished
from tests.faults.worker import say
from tests.server.jobs import imports
from tests.server.jobs.conftest import describe, handler, in_parts, memory_for, new_id

THINKING = 0.02
"""How many seconds a job takes before it writes."""
HOLDING = 0.4
"""How many seconds a job that holds on does so with all written and nothing kept yet."""
LEASE, POLL, IDLE = 2.0, 0.25, 1.5
"""Seconds on Postgres: a lease, between two looks for jobs, and how long a transaction may say nothing."""


def scope(number: int) -> Scope:
    return Scope("acme", f"p{number}")


def learn(memory: Memory, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Leave one more pattern, however often it is done."""
    say("begin")
    time.sleep(THINKING)
    done = memory.learn(task=request["task"], code="x = 1", eval_score=5, on_duplicate="keep_both")
    memory.refine_pattern(done.pattern_key, 8)
    return {"pattern_key": done.pattern_key}


def bring_in(_request: Document) -> GoOn:
    """Import what has several batches, and many lines of the journal."""
    say("begin")
    go_on = imports.begin({"records": imports.records("x = 1\n" * 800)})

    def told(memory: Memory, progress: Document | None) -> Document | Unfinished:
        outcome = go_on(memory, progress)
        say("stored")
        return outcome

    return told


def hold_on(memory: Memory, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Learn, and take a while before it ends."""
    done = learn(memory, request)
    say("stored")
    time.sleep(HOLDING)
    return done


def storage_at(place: str) -> Storage:
    if "://" not in place:
        return JSONStorage(Path(place))
    from engramia.db.session import Limits
    from engramia.providers.postgres.storage import PostgresStorage

    return PostgresStorage(place, limits=Limits(idle_timeout=IDLE))


def submit(place: str, operation: str, scopes: int, count: int) -> None:
    jobs = JobQueue(storage_at(place), SystemClock(), new_id)
    for number in range(count):
        job = jobs.submit(scope(number % scopes), operation, {"task": f"job number {number}"})
        say(job.id)


def work(place: str) -> None:
    poll, lease = (POLL, LEASE) if "://" in place else (0.05, 0.6)
    pace = Pace(poll_interval=poll, max_concurrent=2, lease=lease, heartbeat=lease / 4)
    handlers = {
        "learn": handler(learn, max_attempts=10_000),
        "hold_on": handler(hold_on, max_attempts=10_000),
        "import": in_parts(bring_in, max_attempts=10_000),
    }
    equipment = Equipment(
        handlers=handlers,
        memory_for=memory_for,
        describe_error=describe,
        clock=SystemClock(),
        name="to be killed",
        pace=pace,
    )
    storage = storage_at(place)
    worker = Worker(storage, equipment)
    worker.start()
    say("ready")
    sys.stdin.read()
    worker.stop(30.0)
    storage.close()


def main() -> None:
    what, place, *rest = sys.argv[1:]
    if what == "submit":
        submit(place, rest[0], int(rest[1]), int(rest[2]))
    else:
        work(place)


if __name__ == "__main__":
    main()
