"""Requests with an `Idempotency-Key`, over HTTP."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engramia.core import limits
from engramia.core.llm import Question
from engramia.core.model import Scope
from engramia.errors import ProviderUnreachableError
from engramia.providers.json.storage import JSONStorage
from engramia.providers.postgres.storage import PostgresStorage
from engramia.testing import FrozenClock, HashEmbeddings, ScriptedLLM
from tests.server.api import Api, service
from tests.server.serving import Answer

pytestmark = pytest.mark.slow

RUN = {"task": "Sort rows by date", "code": "rows.sort()", "eval_score": 8, "on_duplicate": "keep_both"}
WORK = {"task": "Sort rows by date", "code": "rows.sort()", "num_evals": 1}
REPLAYED = "Idempotency-Replayed"
KEY = "Idempotency-Key"


def count(api: Api) -> int:
    return int(api.get("/v1/metrics").json()["pattern_count"])


def keyed(api: Api, path: str, body: Any, key: str, **headers: str) -> Answer:
    return api.post(path, body, {KEY: key, **headers})


def same(first: Answer, again: Answer) -> None:
    assert (again.status, again.body) == (first.status, first.body)
    assert REPLAYED not in first
    assert again[REPLAYED] == "true"


def refused(answer: Answer, status: int, code: str) -> None:
    assert (answer.status, answer.json()["error"]) == (status, code), answer.body


def test_a_learn_that_is_sent_again_is_done_once(api: Api) -> None:
    first, again = (keyed(api, "/v1/learn", RUN, "k1") for _ in range(2))
    assert first.status == 200
    same(first, again)
    assert count(api) == 1
    assert api.get("/v1/metrics").json()["runs"] == 1
    assert keyed(api, "/v1/learn", RUN, "k2").json()["pattern_count"] == 2


def test_what_counts_as_the_same_body_is_its_meaning(api: Api) -> None:
    first = keyed(api, "/v1/learn", RUN, "k1")
    turned = dict(reversed(RUN.items())) | {"unknown": 1, "skills": []}
    same(first, keyed(api, "/v1/learn", turned, "k1"))


@pytest.mark.parametrize("other", [{"eval_score": 9}, {"task": "Sort rows by name"}, {"skills": ["csv"]}])
def test_another_body_under_the_key_is_refused(api: Api, other: dict[str, Any]) -> None:
    keyed(api, "/v1/learn", RUN, "k1")
    refused(keyed(api, "/v1/learn", RUN | other, "k1"), 422, "idempotency_key_reused")
    assert count(api) == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\there", "d\xe9j\xe0"])
def test_a_key_that_is_none(api: Api, key: str) -> None:
    answer = keyed(api, "/v1/learn", RUN, key)
    refused(answer, 422, "validation_error")
    assert answer.json()["issues"][0]["loc"] == [KEY]
    assert count(api) == 0


@pytest.mark.parametrize("key", ["x", "x" * 255, '"quoted, with ~!{} and spaces"'])
def test_a_key_that_is_one(api: Api, key: str) -> None:
    same(keyed(api, "/v1/learn", RUN, key), keyed(api, "/v1/learn", RUN, key))


def test_operations_that_take_no_key_pass_it_over(api: Api) -> None:
    api.learn("Sort rows by date")
    answers = [keyed(api, "/v1/recall", {"task": "Sort rows by date"}, "k1") for _ in range(2)]
    assert [answer.json()["matches"][0]["pattern"]["reuse_count"] for answer in answers] == [0, 1]


def test_keys_belong_to_an_operation_and_to_who_sent_them(tmp_path: Path) -> None:
    with service(tmp_path, api_keys="key-of-one,key-of-another") as api:
        one, another = ({"Authorization": f"Bearer key-of-{name}"} for name in ("one", "another"))
        assert keyed(api, "/v1/learn", RUN, "k1", **one).json()["pattern_count"] == 1
        assert keyed(api, "/v1/learn", RUN, "k1", **another).json()["pattern_count"] == 2
        assert keyed(api, "/v1/import", {"records": []}, "k1", **one).json()["total"] == 0
        other = RUN | {"eval_score": 1}
        assert keyed(api, "/v1/learn", other, "k2", **another).json()["pattern_count"] == 3


def test_what_failed_may_be_sent_again(api: Api) -> None:
    refused(keyed(api, "/v1/learn", RUN | {"task": " "}, "k1"), 422, "validation_error")
    assert keyed(api, "/v1/learn", RUN, "k1").json()["pattern_count"] == 1


def test_an_answer_is_replayed_for_a_day_and_by_another_process(tmp_path: Path) -> None:
    clock = FrozenClock()
    with running(tmp_path, clock) as api:
        first = keyed(api, "/v1/learn", RUN, "k1")
    with running(tmp_path, clock) as api:
        clock.advance(timedelta(hours=limits.IDEMPOTENCY_HOURS, seconds=-1))
        same(first, keyed(api, "/v1/learn", RUN, "k1"))
        clock.advance(timedelta(seconds=1))
        late = keyed(api, "/v1/learn", RUN, "k1")
        assert REPLAYED not in late
        assert late.json()["pattern_count"] == 2


def test_twenty_at_once_are_one(api: Api) -> None:
    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(lambda _: keyed(api, "/v1/learn", RUN, "k1"), range(20)))
    done = [answer for answer in answers if answer.status == 200]
    assert len({answer.body for answer in done}) == 1
    assert [REPLAYED in answer for answer in done].count(False) == 1
    for answer in answers:
        if answer.status != 200:
            refused(answer, 409, "idempotency_in_progress")
            assert answer["Retry-After"] == "1"
    assert count(api) == 1


def test_two_servers_on_one_folder_do_it_once(tmp_path: Path) -> None:
    with service(tmp_path) as one, service(tmp_path) as another:
        check_each_is_done_once(one, another)


@pytest.mark.slow
def test_two_servers_on_one_database_do_it_once(tmp_path: Path, postgres_url: str) -> None:
    with (
        service(tmp_path, storage=PostgresStorage(postgres_url)) as one,
        service(tmp_path, storage=PostgresStorage(postgres_url)) as another,
    ):
        check_each_is_done_once(one, another)
        body = {"records": [record(1)]}
        first = keyed(one, "/v1/import", body, "k1", Prefer="respond-async")
        same(first, keyed(another, "/v1/import", body, "k1", Prefer="respond-async"))
        assert one.finished(first.json()["job_id"])["result"]["imported"] == 1


def check_each_is_done_once(one: Api, another: Api) -> None:
    with ThreadPoolExecutor(2) as threads:
        for turn in range(20):
            asks = [(api, f"k{turn}") for api in (one, another)]
            answers = list(threads.map(lambda ask: keyed(ask[0], "/v1/learn", RUN, ask[1]), asks))
            assert len({answer.body for answer in answers}) == 1, answers
            assert sorted(REPLAYED in answer for answer in answers) == [False, True]
        assert count(one) == 20


def record(number: int, **data: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "key": f"patterns/{number:026d}",
        "data": {"task": f"Translate page {number}", "code": "x", "success_score": 7, **data},
    }


def test_an_import_is_replayed(api: Api) -> None:
    body = {"records": [record(1), record(2), {"key": 5}]}
    first = keyed(api, "/v1/import", body, "k1")
    assert (first.json()["imported"], first.json()["skipped"]) == (2, 1)
    same(first, keyed(api, "/v1/import", body, "k1"))


def test_of_a_long_answer_the_beginning_is_kept_and_nothing_that_redaction_takes(tmp_path: Path) -> None:
    secret = "ghp_" + "R4nd0mLookingTokenOfGitHub36Characte"[:36]
    with service(tmp_path) as api:
        bad = [{"key": f"{secret} {number}"} for number in range(limits.IDEMPOTENCY_REASONS_KEPT + 50)]
        first = keyed(api, "/v1/import", {"records": [record(1), *bad]}, "k1").json()
        again = keyed(api, "/v1/import", {"records": [record(1), *bad]}, "k1").json()
    assert len(first["reasons"]) == 150
    assert len(again["reasons"]) == limits.IDEMPOTENCY_REASONS_KEPT
    assert {name: first[name] for name in ("imported", "skipped", "total")} == {
        name: again[name] for name in ("imported", "skipped", "total")
    }
    assert secret in first["reasons"][0]["key"]
    assert secret not in str(again)
    assert not [
        file for file in tmp_path.rglob("*") if file.is_file() and secret.encode() in file.read_bytes()
    ]


@pytest.mark.parametrize("second_waits", [True, False])
def test_a_job_is_left_once(api: Api, second_waits: bool) -> None:
    body = {"records": [record(1)]}
    first = keyed(api, "/v1/import", body, "k1", Prefer="respond-async")
    assert first.status == 202
    again = keyed(api, "/v1/import", body, "k1", **({} if second_waits else {"Prefer": "respond-async"}))
    same(first, again)
    assert again["Location"] == first["Location"]
    assert again["Preference-Applied"] == "respond-async"
    assert api.finished(first.json()["job_id"])["result"]["imported"] == 1
    assert len(api.get("/v1/jobs").json()["jobs"]) == 1


def test_a_job_is_begun_as_soon_as_it_is_kept(tmp_path: Path) -> None:
    with service(tmp_path, job_poll_interval=3600) as api:
        job = keyed(api, "/v1/import", {"records": [record(1)]}, "k1", Prefer="respond-async")
        assert api.finished(job.json()["job_id"])["status"] == "completed"


class Judge:
    """What a model says when it is let to, failing as often as it is told to."""

    def __init__(self, *, failures: int = 0) -> None:
        self.asked = 0
        self.failures = failures
        self.reached = threading.Event()
        self.go = threading.Event()
        self.llm = ScriptedLLM(self.answer, sleep=self.wait)

    def answer(self, _question: Question) -> object:
        self.asked += 1
        if self.asked <= self.failures:
            return ProviderUnreachableError("gone")
        scores = dict.fromkeys(("task_alignment", "code_quality", "workspace_usage", "robustness"), 7)
        return {**scores, "overall": 7, "feedback": "No handling of time zones."}

    def wait(self, *_: object) -> None:
        self.reached.set()
        assert self.go.wait(20)


@contextmanager
def running(folder: Path, clock: FrozenClock, judge: Judge | None = None, **parts: Any) -> Iterator[Api]:
    with service(folder, llm=None if judge is None else judge.llm, clock=clock, **parts) as api:
        yield api


def test_an_evaluation_is_asked_for_once(tmp_path: Path) -> None:
    judge = Judge()
    judge.go.set()
    with running(tmp_path, FrozenClock(), judge) as api:
        same(keyed(api, "/v1/evaluate", WORK, "k1"), keyed(api, "/v1/evaluate", WORK, "k1"))
    assert judge.asked == 1


def test_one_that_is_under_way_is_not_begun_again_by_this_process_or_another(tmp_path: Path) -> None:
    clock, judge = FrozenClock(), Judge()
    with (
        running(tmp_path, clock, judge) as one,
        running(tmp_path, clock, judge) as another,
        ThreadPoolExecutor(1) as threads,
    ):
        first = threads.submit(keyed, one, "/v1/evaluate", WORK, "k1")
        assert judge.reached.wait(20)
        for api in (one, another):
            refused(keyed(api, "/v1/evaluate", WORK, "k1"), 409, "idempotency_in_progress")
            other = WORK | {"code": "rows.sort(key=date)"}
            refused(keyed(api, "/v1/evaluate", other, "k1"), 422, "idempotency_key_reused")
        judge.go.set()
        assert first.result().status == 200
        same(first.result(), keyed(another, "/v1/evaluate", WORK, "k1"))
    assert judge.asked == 1


def test_one_that_outlasts_its_lease_is_done_by_the_next_and_keeps_nothing(tmp_path: Path) -> None:
    clock, slow, quick = FrozenClock(), Judge(), Judge()
    quick.go.set()
    with (
        running(tmp_path, clock, slow) as one,
        running(tmp_path, clock, quick) as another,
        ThreadPoolExecutor(1) as threads,
    ):
        late = threads.submit(keyed, one, "/v1/evaluate", WORK, "k1")
        assert slow.reached.wait(20)
        clock.advance(timedelta(minutes=2))
        first = keyed(another, "/v1/evaluate", WORK, "k1")
        assert first.status == 200
        slow.go.set()
        same(first, late.result())
        assert one.get("/v1/feedback").json()["feedback"] == [], "an opinion that was said once"


@pytest.mark.parametrize("kind", ["this process", "another"])
def test_an_evaluation_that_failed_may_be_sent_again_at_once(tmp_path: Path, kind: str) -> None:
    judge = Judge(failures=1)
    judge.go.set()
    with running(tmp_path, FrozenClock(), judge) as one, running(tmp_path, FrozenClock(), judge) as another:
        refused(keyed(one, "/v1/evaluate", WORK, "k1"), 503, "unavailable")
        assert keyed(one if kind == "this process" else another, "/v1/evaluate", WORK, "k1").status == 200


class Flaky(HashEmbeddings):
    """Embeddings that are down at first; `beside` is called whenever they are asked once they are back."""

    def __init__(self, beside: Callable[[], None]) -> None:
        super().__init__()
        self.down = True
        self.asked = list[str]()
        self._beside = beside

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if self.down:
            raise ProviderUnreachableError("gone")
        self._beside()
        self.asked += texts
        return super().embed(texts)


def test_what_waits_for_a_vector_gets_it_while_nobody_is_held_up(tmp_path: Path) -> None:
    other = JSONStorage(tmp_path, lock_timeout=0.2)

    def write() -> None:
        with other.scoped(Scope()).writing(durable=False) as stores:
            stores.patterns.count_reuse([])

    clock, flaky = FrozenClock(), Flaky(write)
    with running(tmp_path, clock, embeddings=flaky) as api:
        api.learn("Sort rows by name")
        flaky.down = False
        clock.advance(timedelta(minutes=1))
        assert keyed(api, "/v1/learn", RUN, "k1").status == 200
    assert flaky.asked == [RUN["task"], "Sort rows by name"]
    other.close()
