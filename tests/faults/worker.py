"""A process to be killed: it says on its output what has been acknowledged.

python -m tests.faults.worker steps PATH [CALL TURN FAULT]
    says `ready`, waits for a line of input, runs each of `STEPS` and says `done N` or `error N TYPE`;
    at the TURN-th CALL of the operating system it dies (FAULT `kill`) or the call fails (`EIO`; `ENOSPC`:
    the next one too, for a disk does not become empty by itself)
python -m tests.faults.worker learn PATH ID THREADS [TIMES]
    learns in each thread, TIMES or until it is killed, and says the key of each
"""

import ctypes
import errno
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from engramia.core.model import Scope
from engramia.errors import EngramiaError
from engramia.providers.json.storage import JSONStorage
from tests.contract.samples import at_cosine, dense, key, record
from tests.faults.steps import STEPS, contents, opened


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def let_anybody_trace() -> None:
    """Allow a tracer that is not our parent, which Linux may refuse otherwise (Yama)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1), 0, 0, 0)


def arm(call: str, turn: int, fault: str) -> None:
    """Watch the calls of `posix` functions, and bring the fault about at the `turn`-th `call`."""
    seen = 0
    last = turn + (fault == "ENOSPC")

    def watch(_frame: FrameType, event: str, function: Any) -> None:
        nonlocal seen
        if event == "c_call" and (function.__name__, function.__module__) == (call, "posix"):
            seen += 1
            if seen == turn and fault == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if turn <= seen <= last:
                number = getattr(errno, fault)
                raise OSError(number, os.strerror(number))

    sys.setprofile(watch)


def steps(path: Path, fault: Sequence[str]) -> None:
    let_anybody_trace()
    say("ready")
    sys.stdin.readline()  # by then a tracer has attached
    if fault:
        arm(fault[0], int(fault[1]), fault[2])
    with opened(path) as scope:
        for number, step in enumerate(STEPS, 1):
            try:
                step(scope)
            except EngramiaError as error:
                say(f"error {number} {type(error).__name__} {error}")
            else:
                say(f"done {number}")
            say(f"holds {len(contents(scope)[0])}")


def learn(path: Path, worker: int, threads: int, times: int) -> None:
    scope = JSONStorage(path).scoped(Scope())

    def work(thread: int) -> None:
        for turn in range(times):
            number = (worker * 100 + thread) * 1_000_000 + turn
            with scope.writing() as stores:
                stores.patterns.add(dense(number, f"task {number}", code="y = 2\n" * 50), at_cosine(0.5))
                stores.patterns.count_reuse([key(0)])
            say(key(number))
            with scope.reading() as stores:
                assert stores.patterns.get(key(number)) is not None

    everyone = [threading.Thread(target=work, args=(thread,)) for thread in range(threads)]
    for one in everyone:
        one.start()
    for one in everyone:
        one.join()


def main() -> None:
    what, path, *numbers = sys.argv[1:]
    if what == "steps":
        steps(Path(path), numbers)
    else:
        worker, threads, times = (*map(int, numbers), 10**9)[:3]
        learn(Path(path), worker, threads, times)


def first(path: Path) -> None:
    """Make the storage, with the one pattern that all workers count on."""
    storage = JSONStorage(path)
    with storage.scoped(Scope()).writing() as stores:
        stores.patterns.add(record(0), None)
    storage.close()


if __name__ == "__main__":
    main()
