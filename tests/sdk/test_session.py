"""Recall before a run and learn after it, without any framework."""

import asyncio
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from engramia import Memory, ReuseTier, ValidationError
from engramia.errors import StorageError
from engramia.providers import JSONStorage
from engramia.sdk.context_block import BEGIN
from engramia.sdk.options import FinishedRun, Judges
from engramia.sdk.recollection import Earlier, Lesson, Pitfall
from engramia.sdk.session import Session, session_of
from engramia.sdk.webhook import EngramiaWebhook
from engramia.testing import HashEmbeddings, ScriptedLLM
from tests.sdk.api_server import ApiServer, answer, refusal

TASK = "Read prices.csv and print the median of the column price."


class Listed:
    """A memory in lists, which can be told to fail or to wait."""

    def __init__(self) -> None:
        self.found: list[Earlier] = []
        self.issues: list[Pitfall] = []
        self.learned: list[Lesson] = []
        self.asked_of: list[str] = []
        self.judged: list[tuple[str, str, str | None]] = []
        self.error: Exception | None = None
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.threads: set[str] = set()

    def recall(self, task: str, limit: int) -> Sequence[Earlier]:
        self._step()
        self.asked_of.append(task)
        return self.found[:limit]

    def pitfalls(self, limit: int) -> Sequence[Pitfall]:
        return self.issues[:limit]

    def learn(self, lesson: Lesson) -> None:
        self._step()
        self.learned.append(lesson)

    def judge(self, task: str, code: str, output: str | None, num_evals: int) -> float:
        self._step()
        self.judged.append((task, code, output))
        return 4.0 + num_evals

    def _step(self) -> None:
        self.threads.add(threading.current_thread().name)
        self.may_go_on.wait(20)
        if self.error is not None:
            raise self.error


@pytest.fixture
def listed() -> Iterator[Listed]:
    memory = Listed()
    yield memory
    memory.may_go_on.set()


def test_what_one_run_learned_the_next_one_is_told(memory: Memory) -> None:
    session = Session(memory)
    first = session.begin(TASK)
    assert first.context == ""
    first.finish("print(statistics.median(prices))")
    second = session.begin(TASK)
    assert second.context.startswith(BEGIN)
    assert "| print(statistics.median(prices))" in second.context
    assert "quality 7.0 of 10" in second.context


def test_over_http_it_is_the_same(server: ApiServer, client: EngramiaWebhook) -> None:
    pattern: dict[str, object] = {
        "task": TASK,
        "code": "median()",
        "output": None,
        "success_score": 8.5,
        "reuse_count": 0,
        "classification": "internal",
        "source": "sdk",
        "created_at": "2026-03-02T09:30:00Z",
        "skills": [],
    }
    match = {"similarity": 0.8, "score": 0.7, "reuse_tier": "adapt", "pattern_key": "k", "pattern": pattern}
    issue = {"text": "Empty files fail.", "count": 4, "weight": 1.0, "task": TASK}
    server.then(
        answer({"matches": [match], "has_more": False, "next_offset": None}),
        answer({"feedback": [issue], "has_more": False, "next_offset": None}),
        answer({"stored": True, "pattern_count": 1, "pattern_key": "k", "duplicate_of": None}),
    )
    run = Session(client, skills=("csv",), classification="public").begin(TASK, run_id="run-1")
    assert "A similar task: its solution can be changed to fit." in run.context
    assert "| - Empty files fail. (said 4 times)" in run.context
    run.finish("42", code="print(42)")
    learned = server.asked[-1].body
    assert learned == {
        "task": TASK,
        "code": "print(42)",
        "eval_score": 7.0,
        "output": "42",
        "run_id": "run-1",
        "classification": "public",
        "source": "sdk",
        "skills": ["csv"],
    }


def test_judges_over_http(server: ApiServer, client: EngramiaWebhook) -> None:
    server.then(
        answer({"median_score": 6.5}),
        answer({"stored": True, "pattern_count": 1, "pattern_key": "k", "duplicate_of": None}),
    )
    session = Session(client, recall=False, score=Judges(2))
    session.begin(TASK).finish("42")
    assert session.flush()
    assert server.asked[0].body["num_evals"] == 2
    assert server.asked[1].body["eval_score"] == 6.5


def test_judges_of_the_library(tmp_path: Path) -> None:
    said = {
        "task_alignment": 9,
        "code_quality": 9,
        "workspace_usage": 9,
        "robustness": 9,
        "overall": 9,
        "feedback": "Good.",
    }
    storage = JSONStorage(tmp_path)
    with Memory(embeddings=HashEmbeddings(), llm=ScriptedLLM([said]), storage=storage) as memory:
        session = Session(memory, score=Judges(1))
        session.begin(TASK).finish("42")
        assert session.flush()
        assert [each.success_score for each in memory.list_patterns().items] == [9.0]


def test_a_run_ends_once(listed: Listed) -> None:
    run = Session(listed).begin(TASK)
    threads = [threading.Thread(target=run.finish, args=("42",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run.fail(RuntimeError("late"))
    assert [lesson.code for lesson in listed.learned] == ["42"]


def test_failures_are_learned_only_if_asked(listed: Listed) -> None:
    Session(listed).begin(TASK).fail(RuntimeError("No such file."))
    assert listed.learned == []
    Session(listed, learn_failures=True).begin(TASK).fail(RuntimeError("No such file."), code="open()")
    assert [(each.code, each.output, each.eval_score) for each in listed.learned] == [
        ("open()", "RuntimeError: No such file.", 2.0)
    ]


def test_the_callers_function_sees_the_run_in_another_thread(listed: Listed) -> None:
    seen: list[tuple[FinishedRun, str]] = []

    def score(run: FinishedRun) -> float:
        seen.append((run, threading.current_thread().name))
        return 9.5

    Session(listed, score=score).begin(TASK).finish({"median": 42}, result="whole")
    run, thread = seen[0]
    assert (run.task, run.code, run.output, run.result) == (TASK, '{"median": 42}', None, "whole")
    assert thread != threading.current_thread().name
    assert listed.learned[0].eval_score == 9.5


def test_no_score_no_lesson(listed: Listed, caplog: pytest.LogCaptureFixture) -> None:
    def broken(_run: FinishedRun) -> float:
        raise ZeroDivisionError

    Session(listed, score=lambda _run: None).begin(TASK).finish("42")
    assert caplog.records == []
    Session(listed, score=broken).begin(TASK).finish("42")
    assert listed.learned == []
    assert "goes on without its memory: ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("nothing", ["", "  \n", None])
def test_nothing_is_done_for_nothing(listed: Listed, nothing: str | None) -> None:
    Session(listed).begin(nothing).finish("42")
    Session(listed).begin(TASK).finish(nothing)
    assert listed.learned == []


def test_recall_and_learn_can_be_switched_off(listed: Listed) -> None:
    listed.found = [Earlier(TASK, "x", None, 1.0, 8.0, ReuseTier.DUPLICATE)]
    assert Session(listed, recall=False).begin(TASK).context == ""
    assert listed.asked_of == []
    Session(listed, learn=False).begin(TASK).finish("42")
    assert listed.learned == []


def test_what_goes_wrong_is_a_warning(listed: Listed, caplog: pytest.LogCaptureFixture) -> None:
    listed.error = StorageError("The disk is gone.")
    run = Session(listed).begin(TASK)
    run.finish("42")
    assert run.context == ""
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "StorageError: The disk is gone." in caplog.text


def test_the_words_of_foreign_errors_stay_out_of_the_log(
    listed: Listed, caplog: pytest.LogCaptureFixture
) -> None:
    listed.error = RuntimeError("token=secret")
    with caplog.at_level(logging.INFO):
        Session(listed).begin(TASK)
    assert "RuntimeError" in caplog.text
    assert "secret" not in caplog.text


def test_issues_that_cannot_be_read_take_nothing_from_the_rest(
    server: ApiServer, client: EngramiaWebhook
) -> None:
    pattern: dict[str, object] = {"task": TASK, "code": "median()", "output": None, "success_score": 8.5}
    match = {"similarity": 0.8, "reuse_tier": "duplicate", "pattern": pattern}
    server.then(
        answer({"matches": [match], "has_more": False, "next_offset": None}),
        refusal(403, "forbidden"),
    )
    assert "| median()" in Session(client).begin(TASK).context


def test_a_run_waits_for_its_timeout_once(listed: Listed, caplog: pytest.LogCaptureFixture) -> None:
    listed.may_go_on.clear()
    session = Session(listed, timeout=1.0)
    began = time.monotonic()
    run = session.begin(TASK)
    recalled = time.monotonic() - began
    run.finish("42")
    assert 1.0 <= recalled < 5.0
    assert time.monotonic() - began - recalled < 0.9, "recalling has used up the time"
    assert "nothing was recalled in time" in caplog.text
    listed.may_go_on.set()
    assert session.flush()
    assert [lesson.code for lesson in listed.learned] == ["42"], "learning goes on behind the run"


def test_judges_are_not_waited_for(listed: Listed) -> None:
    session = Session(listed, recall=False, score=Judges(3), timeout=20)
    listed.may_go_on.clear()
    session.begin(TASK).finish("42")
    assert not session.flush(0.01)
    listed.may_go_on.set()
    assert session.flush()
    assert listed.judged == [(TASK, "42", None)]
    assert listed.learned[0].eval_score == 7.0


def test_an_event_loop_is_never_blocked(listed: Listed) -> None:
    listed.found = [Earlier(TASK, "median()", None, 1.0, 8.0, ReuseTier.DUPLICATE)]
    listed.may_go_on.clear()
    session = Session(listed, timeout=20)

    async def turns() -> str:
        beginning = asyncio.create_task(session.abegin(TASK))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not beginning.done()
        listed.may_go_on.set()
        run = await beginning
        await run.afinish("42")
        return run.context

    assert "| median()" in asyncio.run(turns())
    assert [lesson.code for lesson in listed.learned] == ["42"]
    assert all(name.startswith("engramia-sdk") for name in listed.threads)


def test_a_loop_may_be_closed_before_the_answer(listed: Listed, caplog: pytest.LogCaptureFixture) -> None:
    listed.may_go_on.clear()
    session = Session(listed, timeout=0.05, learn_failures=True)

    async def abandoned() -> None:
        run = await session.abegin(TASK)
        await run.afail(RuntimeError("gone"))

    asyncio.run(abandoned())
    listed.may_go_on.set()
    assert session.flush()
    assert [record.getMessage() for record in caplog.records] == [
        "The agent's run goes on without its memory: nothing was recalled in time."
    ]


def test_many_runs_at_once(listed: Listed) -> None:
    session = Session(listed, timeout=20)

    async def many() -> None:
        runs = await asyncio.gather(*(session.abegin(f"Task {number}") for number in range(100)))
        await asyncio.gather(*(run.afinish(run.task) for run in runs))

    asyncio.run(many())
    assert sorted(lesson.code for lesson in listed.learned) == sorted(f"Task {n}" for n in range(100))


def test_when_too_many_wait_the_rest_is_not_told(listed: Listed, caplog: pytest.LogCaptureFixture) -> None:
    listed.may_go_on.clear()
    session = Session(listed, timeout=0.0, recall=False)
    for number in range(400):
        session.begin(TASK).finish(str(number))
    assert "Too many calls to the memory are waiting already." in caplog.text
    listed.may_go_on.set()
    assert session.flush()
    assert 256 <= len(listed.learned) < 400


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"score": 11}, "score"),
        ({"score": Judges(0)}, "score"),
        ({"limit": 0}, "limit"),
        ({"token_budget": 0}, "token_budget"),
        ({"timeout": -1}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"skills": ("",)}, "skills"),
        ({"classification": "secret"}, "classification"),
        ({"tiemout": 3}, "tiemout"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    listed: Listed, options: dict[str, object], field: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        Session(listed, **options)  # type: ignore[arg-type]  # as a user might
    assert caught.value.field == field


def test_something_else_than_a_memory_is_refused() -> None:
    with pytest.raises(ValidationError, match="must be a Memory or an EngramiaWebhook; got str"):
        Session("http://localhost:8000")  # type: ignore[arg-type]  # as a user might


def test_one_session_serves_several_adapters(listed: Listed) -> None:
    session = Session(listed, score=9.0)
    assert session_of(session, {}) is session
    with pytest.raises(ValidationError, match="belong to the Session"):
        session_of(session, {"score": 5.0})


def test_a_task_is_taken_from_messages_and_cut_to_what_can_be_stored(memory: Memory) -> None:
    session = Session(memory)
    session.begin([{"type": "text", "text": "x" * 20_000}]).finish("42")
    assert [len(each.task) for each in memory.list_patterns().items] == [10_000]


def test_a_system_prompt_is_followed_by_the_notes(listed: Listed) -> None:
    run = Session(listed).begin(TASK)
    assert run.context_after("Be brief.") == "Be brief."
    assert run.context_after(None) is None
    listed.found = [Earlier(TASK, "median()", None, 1.0, 8.0, ReuseTier.DUPLICATE)]
    told = Session(listed).begin(TASK)
    assert told.context_after("Be brief.") == f"Be brief.\n\n{told.context}"
    assert told.context_after(None) == told.context


ENDING = """
import sys, threading
from engramia.sdk.options import Judges
from engramia.sdk.session import Session

class Slow:
    def recall(self, task, limit): return []
    def pitfalls(self, limit): return []
    def learn(self, lesson): print("learned", lesson.code, flush=True)
    def judge(self, *asked):
        threading.Event().wait(float(sys.argv[1]))
        return 5.0

Session(Slow(), score=Judges(1), timeout=float(sys.argv[2])).begin("Read a file.").finish("42")
print("ended", flush=True)
"""


def _ended(takes: float, timeout: float) -> tuple[str, float]:
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", ENDING, str(takes), str(timeout)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stderr == ""
    return done.stdout, time.monotonic() - began


@pytest.mark.slow
def test_a_program_that_ends_gives_what_is_being_learned_its_time() -> None:
    said, _ = _ended(takes=0.3, timeout=20)
    assert said == "ended\nlearned 42\n"


@pytest.mark.slow
def test_a_call_that_hangs_keeps_no_program_from_ending() -> None:
    said, seconds = _ended(takes=50, timeout=0.1)
    assert said == "ended\n"
    assert seconds < 30
