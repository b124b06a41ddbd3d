"""A language model that takes a minute: nothing else waits for it, and who finds no room is told at once."""

import importlib
import threading
import time
from collections.abc import Callable
from statistics import quantiles

import pytest

from engramia import Memory
from engramia.errors import ProviderBusyError, ProviderError
from engramia.providers.wrappers import Pooled
from engramia.testing import ScriptedLLM
from tests.memory.conftest import AskingMemory

CALLERS, CONCURRENCY = 50, 10
TASK = "Parse a CSV file and report the mean of each numeric column"


def p95(memory: Memory) -> float:
    """Return the 95th percentile of 400 recalls, in seconds."""
    seconds = []
    for _ in range(400):
        began = time.perf_counter()
        memory.recall(TASK, readonly=True)
        seconds.append(time.perf_counter() - began)
    return quantiles(seconds, n=20)[-1]


def wait_for(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_fifty_evaluations_leave_recall_as_quick_as_it_was(asking: AskingMemory) -> None:
    release = threading.Event()
    model = ScriptedLLM(lambda _: None, sleep=lambda: release.wait(60))
    memory = asking(Pooled(model, CONCURRENCY, queue=2 * CONCURRENCY, seconds=120))
    for number in range(500):
        memory.learn(task=f"Report the sales of shop {number} for week {number % 52}", code="x", eval_score=9)
    # What a process loads once, when it first evaluates, is not what is timed.
    importlib.import_module("engramia.memory.evaluate")
    told: list[float] = []

    def evaluate() -> None:
        began = time.perf_counter()
        try:
            memory.evaluate(TASK, "import csv", num_evals=3)
        except ProviderBusyError:
            told.append(time.perf_counter() - began)
        except ProviderError:
            pass  # those that were let in end when the model does

    alone = min(p95(memory) for _ in range(5))
    threads_before = threading.active_count()
    callers = [threading.Thread(target=evaluate) for _ in range(CALLERS)]
    for caller in callers:
        caller.start()
    try:
        # The line takes the questions of ten callers at three each; the others are turned away.
        wait_for(lambda: len(told) == CALLERS - CONCURRENCY)
        assert len(told) == CALLERS - CONCURRENCY
        assert max(told) <= 0.1
        assert threading.active_count() - threads_before <= CONCURRENCY + CONCURRENCY
        # The machine may have other work for a while: one quiet round is enough.
        assert any(p95(memory) <= 1.2 * alone for _ in range(20))
    finally:
        release.set()
        for caller in callers:
            caller.join()
