import json
import random
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from engramia.core.llm import LLM, Panel, Question
from engramia.errors import (
    ProviderBusyError,
    ProviderError,
    ProviderLimitedError,
    ProviderOutputError,
    ProviderTimeoutError,
)
from engramia.providers.wrappers import Measured, Measurement, Pooled
from engramia.testing import Said, ScriptedLLM
from tests.providers.llm_server import USUAL, VENDORS, Vendor, llm_server
from tests.providers.openai_server import slow

pytestmark = pytest.mark.slow  # real sockets and deadlines


def question(number: int = 0) -> Question:
    return Question("verdict", "Judge.", str(number), {})


class Gate:
    """Something to sleep on: holds every call until it is opened, and counts them."""

    def __init__(self) -> None:
        self.inside = 0
        self.most = 0
        self._lock = threading.Lock()
        self._open = threading.Event()

    def __call__(self) -> None:
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        self._open.wait(30)
        with self._lock:
            self.inside -= 1

    def open(self) -> None:
        self._open.set()


class Asker(threading.Thread):
    """A caller of its own, and what it came to."""

    def __init__(self, ask: Callable[[], object]) -> None:
        super().__init__(name="asker")
        self.outcome: object = None
        self.seconds = 0.0
        self._ask = ask
        self.start()

    def run(self) -> None:
        begin = time.monotonic()
        try:
            self.outcome = self._ask()
        except ProviderError as error:
            self.outcome = error
        self.seconds = time.monotonic() - begin


@contextmanager
def held(concurrency: int, queue: int | None = None, seconds: float = 30) -> Iterator[tuple[Pooled, Gate]]:
    """Give a pool whose model answers the question's material once the gate is open."""
    gate = Gate()
    llm = ScriptedLLM(lambda asked: int(asked.material), sleep=gate)
    try:
        yield Pooled(llm, concurrency, queue, seconds=seconds), gate
    finally:
        gate.open()


def test_a_pool_is_the_model_it_bounds() -> None:
    pool: Panel = Pooled(
        ScriptedLLM([{"score": 1}, ProviderLimitedError("slow down", retry_after=3)], model="m")
    )

    assert isinstance(pool, Panel)
    assert (pool.vendor, pool.model) == ("scripted", "m")
    assert pool.ask(question()) == {"score": 1}
    with pytest.raises(ProviderLimitedError, match="slow down"):
        pool.ask(question())


def test_answers_and_errors_come_in_the_order_of_the_questions() -> None:
    def answer(asked: Question) -> object:
        number = int(asked.material)
        time.sleep(0.005 * (10 - number))
        return ProviderOutputError(str(number)) if number % 3 == 0 else number

    found = Pooled(ScriptedLLM(answer)).ask_all([question(number) for number in range(10)])

    assert [int(str(one)) for one in found] == list(range(10))
    assert [isinstance(one, ProviderOutputError) for one in found] == [n % 3 == 0 for n in range(10)]


def test_nothing_to_ask_is_nothing_to_wait_for() -> None:
    assert Pooled(ScriptedLLM([])).ask_all([]) == []


def test_no_more_than_agreed_run_at_once() -> None:
    with held(3) as (pool, gate):
        asker = Asker(lambda: pool.ask_all([question(n) for n in range(9)]))
        wait_until(lambda: gate.inside == 3)
        time.sleep(0.05)
        gate.open()
        asker.join()

    assert gate.most == 3
    assert asker.outcome == list(range(9))


@pytest.mark.parametrize("size", [7, 50])
@pytest.mark.parametrize(("concurrency", "queue"), [(1, 0), (1, None), (3, 1)])
def test_more_than_ever_have_room_take_turns(concurrency: int, queue: int | None, size: int) -> None:
    pool = Pooled(ScriptedLLM(lambda asked: int(asked.material)), concurrency, queue)

    assert pool.ask_all([question(n) for n in range(size)]) == list(range(size))
    assert pool.ask_all([question(n) for n in range(size)]) == list(range(size))


def test_who_finds_no_room_is_told_at_once_and_nothing_is_sent() -> None:
    with held(2, 3) as (pool, gate):
        askers = [Asker(lambda n=n: pool.ask(question(n))) for n in range(5)]  # type: ignore[misc]  # mypy cannot infer the default's type
        wait_until(lambda: gate.inside == 2 and waiting(pool) == 3)
        late = Asker(lambda: pool.ask(question(5)))
        late.join()
        assert isinstance(late.outcome, ProviderBusyError)
        assert late.seconds < 5  # of the thirty that it might wait
        gate.open()
        for asker in askers:
            asker.join()

        assert sorted(str(asker.outcome) for asker in askers) == list("01234")
        assert pool.ask(question(6)) == 6


def test_questions_asked_together_find_room_together_or_not_at_all() -> None:
    with held(2, 2) as (pool, gate):
        first = Asker(lambda: pool.ask_all([question(0), question(1), question(2)]))
        wait_until(lambda: waiting(pool) == 1)

        with pytest.raises(ProviderBusyError):
            pool.ask_all([question(3), question(4)])
        # A group larger than the pool waits for nobody to be in the line.
        with pytest.raises(ProviderBusyError):
            pool.ask_all([question(5)] * 9)
        gate.open()
        first.join()
        assert first.outcome == [0, 1, 2]


def test_a_deadline_ends_the_waiting_and_takes_back_what_was_not_sent() -> None:
    gate = Gate()
    llm = ScriptedLLM(lambda asked: int(asked.material), sleep=gate)
    pool = Pooled(llm, 1, seconds=0.15)
    begin = time.monotonic()

    found = pool.ask_all([question(0), question(1)])

    assert [type(one) for one in found] == [ProviderTimeoutError] * 2
    assert 0.15 <= time.monotonic() - begin < 10
    assert waiting(pool) == 0
    gate.open()
    assert pool.ask(question(2)) == 2
    assert [one.material for one in llm.questions] == ["0", "2"]


def test_a_call_that_outlasts_its_deadline_keeps_its_place() -> None:
    with held(2, 0, seconds=0.1) as (pool, gate):
        for _ in range(2):
            with pytest.raises(ProviderTimeoutError):
                pool.ask(question())
        with pytest.raises(ProviderBusyError):
            pool.ask(question())

        assert gate.inside == 2
        assert threads() == 2


def test_a_bug_in_a_model_is_raised_and_leaves_the_pool_usable() -> None:
    pool = Pooled(ScriptedLLM([1, ZeroDivisionError("a bug"), 2, 3]), 1)

    with pytest.raises(ZeroDivisionError, match="a bug"):
        pool.ask_all([question(), question(), question()])
    assert pool.ask(question()) == 3


def test_threads_live_while_there_is_work() -> None:
    pool = Pooled(ScriptedLLM(lambda _asked: None), 5)
    before = threading.active_count()

    # Each time the pool is full, and empty again when the answers are there.
    for _ in range(200):
        pool.ask_all([question()] * 15)

    wait_until(lambda: threading.active_count() <= before)


def test_fifty_askers_of_a_model_that_hangs() -> None:
    before = threading.active_count()
    with held(10) as (pool, gate):
        askers = [Asker(lambda: pool.ask_all([question()] * 3)) for _ in range(50)]
        wait_until(lambda: sum(not asker.is_alive() for asker in askers) == 40)
        told = [asker for asker in askers if not asker.is_alive()]
        admitted = [asker for asker in askers if asker.is_alive()]

        assert all(isinstance(asker.outcome, ProviderBusyError) for asker in told)
        assert max(asker.seconds for asker in told) < 0.1
        assert threading.active_count() <= before + len(admitted) + 10
        assert gate.inside == 10
        gate.open()
        for asker in admitted:
            asker.join()
        assert [asker.outcome for asker in admitted] == [[0, 0, 0]] * 10


def test_a_program_ends_while_a_call_runs() -> None:
    program = (
        "import threading, time\n"
        "from engramia.core.llm import Question\n"
        "from engramia.errors import ProviderTimeoutError\n"
        "from engramia.providers.wrappers import Pooled\n"
        "from engramia.testing import ScriptedLLM\n"
        "pool = Pooled(ScriptedLLM(lambda q: None, sleep=lambda: time.sleep(60)), seconds=.1)\n"
        "try: pool.ask(Question('q', 'i', 'm', {}))\n"
        "except ProviderTimeoutError: print('late')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True
    )

    assert done.stdout == "late\n"
    assert done.stderr == ""


@pytest.mark.parametrize(("rounds", "jitter"), [(6, 0.3), pytest.param(200, 0.5, marks=pytest.mark.soak)])
@pytest.mark.timeout(300)
def test_ten_judges_take_as_long_as_the_slowest(rounds: int, jitter: float) -> None:
    chance = random.Random(7)  # noqa: S311 - the jitter of a model, not a secret
    took: list[float] = []
    ratios: list[float] = []

    def sleep() -> None:
        begin = time.perf_counter()
        time.sleep(chance.uniform(0, jitter))
        took.append(time.perf_counter() - begin)

    pool = Pooled(ScriptedLLM(lambda _asked: {"overall": 7}, sleep=sleep))
    for _ in range(rounds):
        took.clear()
        begin = time.perf_counter()
        assert pool.ask_all([question()] * 10) == [{"overall": 7}] * 10
        ratios.append((time.perf_counter() - begin) / max(took))
    assert statistics.median(ratios) <= 1.3


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.name)
def test_ten_judges_over_a_real_socket(vendor: Vendor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with llm_server() as server:
        llm = vendor.make(server)
        llm.ask(question())
        server.usual[vendor.path] = slow(0.5, vendor.says(USUAL))
        begin = time.monotonic()

        assert Pooled(llm).ask_all([question()] * 10) == [json.loads(USUAL)] * 10

        # One after the other they would take five seconds.
        assert time.monotonic() - begin < 4
        llm.close()


def test_calls_are_measured() -> None:
    seen: list[Measurement] = []
    ticks = iter([1.0, 3.5, 10.0, 11.0])
    llm: LLM = Measured(
        ScriptedLLM([7, ProviderOutputError("no")], model="m"), seen.append, clock=lambda: next(ticks)
    )

    assert llm.ask(question()) == 7
    with pytest.raises(ProviderOutputError):
        llm.ask(question())
    assert seen == [
        Measurement("scripted", "m", "verdict", 2.5, None),
        Measurement("scripted", "m", "verdict", 1.0, "ProviderOutputError"),
    ]


def test_a_pool_needs_room_for_one() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Pooled(ScriptedLLM([]), 0)


def test_a_script_is_followed_and_remembered() -> None:
    slept: list[int] = []
    llm = ScriptedLLM([Said('{"a": 1}'), Said("{}{}"), [2]], sleep=lambda: slept.append(1))

    assert llm.ask(question(1)) == {"a": 1}
    with pytest.raises(ProviderOutputError):
        llm.ask(question(2))
    assert llm.ask(question(3)) == [2]
    with pytest.raises(AssertionError, match="no answer left"):
        llm.ask(question(4))
    assert [one.material for one in llm.questions] == ["1", "2", "3", "4"]
    assert len(slept) == 3


def waiting(pool: Pooled) -> int:
    return len(pool._line)


def threads() -> int:
    return sum(one.name == "engramia-llm" for one in threading.enumerate())


def wait_until(condition: Callable[[], bool], seconds: float = 5) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)
