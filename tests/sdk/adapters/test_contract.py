"""What every adapter keeps, whatever the framework: one test each, run for all that are installed."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from engramia import Memory, ReuseTier
from engramia.sdk.context_block import BEGIN, END
from engramia.sdk.options import FinishedRun
from engramia.sdk.recollection import Earlier, Lesson, Pitfall
from engramia.sdk.session import Session
from engramia.sdk.webhook import EngramiaWebhook
from tests.sdk.adapters.hosts import Heard, Host, Play, Run

ROOT = Path(__file__).parents[3]
TASK = "Read prices.csv and print the median of the column price."
ANSWER = "import statistics  # read the column, then statistics.median"
PLAY = Play(TASK, ANSWER)
_NOTES = re.compile(rf"\s*{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)


def without_notes(heard: Heard) -> Heard:
    """Return what the model was asked, less the notes and a message that held nothing else."""
    return [
        [message for message in (_NOTES.sub("", each).strip() for each in call) if not message.endswith(":")]
        for call in heard
    ]


def play_apart(name: str, place: Path | str, play: Play) -> Heard:
    """Run the program in a process of its own and return what the model was asked."""
    words = json.dumps({"task": play.task, "answer": play.answer})
    done = subprocess.run(
        [sys.executable, "-m", "tests.sdk.adapters.play", name, str(place), words],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    heard: Heard = json.loads(done.stdout.splitlines()[-1])
    return heard


@pytest.mark.slow
def test_a_second_process_is_told_what_the_first_learned(name: str, played: Host, tmp_path: Path) -> None:
    alone = played.build(None)(PLAY)
    first = play_apart(name, tmp_path / "data", PLAY)
    second = play_apart(name, tmp_path / "data", PLAY)
    assert TASK in "".join(alone[0])
    assert first == alone, "an empty memory changes nothing"
    told = "\n".join(second[0])
    assert "The same task: its solution can be used as it is." in told
    assert f"| {ANSWER}" in told
    assert without_notes(second) == without_notes(alone), "the notes are all that is added"


def test_a_run_is_learned_once_with_the_task_and_the_answer(played: Host, memory: Memory) -> None:
    played.build(memory)(PLAY)
    records = memory.list_patterns().items
    assert [(each.task, each.success_score) for each in records] == [(TASK, 7.0)]
    assert ANSWER in (records[0].code, records[0].output)
    assert memory.metrics().runs == 1


def test_the_callers_function_scores_a_run_and_may_refuse_it(played: Host, memory: Memory) -> None:
    seen: list[FinishedRun] = []

    def score(run: FinishedRun) -> float | None:
        seen.append(run)
        return 9.0 if len(seen) == 1 else None

    played.build(memory, score=score)(PLAY)
    played.build(memory, score=score)(Play("Something else entirely: draw a red circle.", "circle()"))
    assert [run.task for run in seen] == [TASK, "Something else entirely: draw a red circle."]
    assert seen[0].result is not None
    assert [each.success_score for each in memory.list_patterns().items] == [9.0]


def test_a_run_that_fails_is_learned_only_if_asked(played: Host, memory: Memory) -> None:
    failing = Play(TASK, None)
    with pytest.raises(Exception, match=r"model is down|ModelDown"):
        played.build(memory)(failing)
    assert memory.metrics().runs == 0
    with pytest.raises(Exception, match=r"model is down|ModelDown"):
        played.build(memory, learn_failures=True)(failing)
    learned = memory.list_patterns().items
    assert [each.success_score for each in learned] == ([2.0] if played.LEARNS_FAILURES else [])
    assert all("model is down" in (each.output or "") for each in learned)


def test_without_the_service_the_run_goes_on(
    played: Host, closed_port: str, caplog: pytest.LogCaptureFixture
) -> None:
    alone = played.build(None)(PLAY)
    with EngramiaWebhook(closed_port, api_key="k", retries=0) as client:
        assert played.build(client)(PLAY) == alone
    assert "goes on without its memory" in caplog.text


def test_a_service_that_says_nothing_delays_a_run_by_the_timeout_at_most(
    played: Host, silent_server: str, caplog: pytest.LogCaptureFixture
) -> None:
    timeout = 0.5
    usual = _seconds(played, None)
    with EngramiaWebhook(silent_server, api_key="k", timeout=5, retries=0) as client:
        late = _seconds(played, client, timeout=timeout)
    assert "nothing was recalled in time" in caplog.text
    # What is beyond it is the machine's own noise: a call that was waited for to its end would take 5 s more.
    assert late - usual < timeout + 1.0


def _seconds(played: Host, memory: EngramiaWebhook | None, **options: float) -> float:
    run = played.build(memory, **options)
    began = time.perf_counter()
    run(PLAY)
    return time.perf_counter() - began


class Instant:
    """A memory that answers at once, and counts."""

    def __init__(self) -> None:
        self.recalled: list[str] = []
        self.learned: list[Lesson] = []

    def recall(self, task: str, limit: int) -> Sequence[Earlier]:
        self.recalled.append(task)
        code = "import statistics\n" + "print(statistics.median(prices))\n" * 20
        return [Earlier(task, code, "42.0", 1.0, 8.0, ReuseTier.DUPLICATE)] * limit

    def pitfalls(self, limit: int) -> Sequence[Pitfall]:
        return [Pitfall("An empty file is not handled.", 3, TASK)] * min(limit, 3)

    def learn(self, lesson: Lesson) -> None:
        self.learned.append(lesson)

    def judge(self, *_asked: object) -> float:
        raise NotImplementedError


@pytest.mark.slow
def test_the_adapter_itself_takes_two_milliseconds_at_most(name: str, played: Host) -> None:
    memory = Instant()
    alone, beside = played.build(None), played.build(Session(memory))
    spent: list[Spent] = []
    # The least processor time of runs in turn: neighbours on the machine lengthen the others, for seconds.
    while (extra := _extra(spent)) > 0.002 and len(spent) < 400:
        spent += [Spent(_cpu(alone), _cpu(beside), _cpu(_known_work)) for _ in range(40)]
    print(f"{name}: {extra * 1000:.2f} ms")  # noqa: T201 - the figure of the documents
    assert extra <= 0.002
    assert memory.recalled == [TASK] * len(spent)
    assert [lesson.task for lesson in memory.learned] == [TASK] * len(spent)


class Spent(NamedTuple):
    """Processor time, in seconds, of one run without the adapter, of one with it, and of known work."""

    alone: float
    beside: float
    known: float


_KNOWN = 0.00076
"""Seconds that the known work takes on the machine of the documents' figures, when nobody else uses it."""


def _known_work(_: Play) -> Heard:
    json.loads(json.dumps({str(number): [number, str(number)] for number in range(1000)}))
    return []


def _extra(spent: Sequence[Spent]) -> float:
    """Return what the adapter takes, as that machine would have it: a slower one must not fail for that."""
    if not spent:
        return float("inf")
    extra = min(each.beside for each in spent) - min(each.alone for each in spent)
    return extra / max(1.0, min(each.known for each in spent) / _KNOWN)


def _cpu(run: Run) -> float:
    began = time.process_time()
    run(PLAY)
    return time.process_time() - began
