"""Evaluating: the judges asked, what of their answers counts, and what is stored."""

import dataclasses
import json
import math
import random
import re
import statistics
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest

from engramia import Memory, NotFoundError, ValidationError
from engramia.core.fence import MARKER, Fence
from engramia.core.jury import JuryWeights, calibrate, read_recordings
from engramia.core.llm import Question
from engramia.errors import (
    ProviderBusyError,
    ProviderError,
    ProviderLimitedError,
    ProviderNotConfiguredError,
    ProviderOutputError,
    ProviderRefusedError,
    ProviderTimeoutError,
    ProviderUnreachableError,
)
from engramia.memory.jury import Judge, Jury
from engramia.providers.wrappers import Pooled
from engramia.testing import Said, ScriptedLLM
from tests.core.test_fence import ATTEMPTS
from tests.memory.conftest import AskingMemory

pytestmark = pytest.mark.slow  # many hundreds of cases

TASK = "Parse a CSV file and report the mean of each column"
CODE = "import csv\n\ndef mean(rows):\n    return sum(rows) / len(rows)\n"


def said(overall: float, feedback: str = "Handle empty input") -> dict[str, Any]:
    scores = dict.fromkeys(("task_alignment", "code_quality", "workspace_usage", "robustness"), overall)
    return {**scores, "overall": overall, "feedback": feedback}


def stored(memory: Memory) -> list[tuple[str, int]]:
    """Every feedback with its count, also those said once."""
    return [(text, each.total_count) for each in memory.analyze_failures() for text in each.members]


def test_the_answers_come_to_median_variance_and_the_worst_feedback(asking: AskingMemory) -> None:
    memory = asking(ScriptedLLM([said(8), said(3, "Close the file"), said(6)]))
    found = memory.evaluate(TASK, CODE)
    assert found.median_score == 6.0
    assert found.variance == pytest.approx(19 / 3)
    assert found.high_variance
    assert found.feedback == "Close the file"
    assert sorted(each.overall for each in found.scores) == [3.0, 6.0, 8.0]
    assert not found.adversarial_detected
    assert found.jury is None


def test_three_judges_are_asked_unless_told_otherwise(asking: AskingMemory) -> None:
    llm = ScriptedLLM(lambda _: said(7))
    asking(llm).evaluate(TASK, CODE)
    asking(llm).evaluate(TASK, CODE, num_evals=10)
    assert len(llm.questions) == 13


def test_all_judges_are_asked_at_the_same_time(asking: AskingMemory) -> None:
    together = threading.Barrier(10, timeout=30)
    memory = asking(ScriptedLLM(lambda _: said(7), sleep=together.wait))
    assert len(memory.evaluate(TASK, CODE, num_evals=10).scores) == 10


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_ten_judges_take_hardly_longer_than_the_slowest(asking: AskingMemory) -> None:
    rng = random.Random(4)  # noqa: S311 - jitter, no secret
    took: list[float] = []
    ratios: list[float] = []

    def pause() -> None:
        begin = time.perf_counter()
        time.sleep(rng.uniform(0, 0.5))
        took.append(time.perf_counter() - begin)

    memory = asking(ScriptedLLM(lambda _: said(7), sleep=pause))
    for _ in range(200):
        took.clear()
        begin = time.perf_counter()
        assert len(memory.evaluate(TASK, CODE, num_evals=10).scores) == 10
        ratios.append((time.perf_counter() - begin) / max(took))
    # Not the slowest of the 200: that is the machine's, which may be busy with something else for a moment.
    assert statistics.quantiles(ratios, n=20)[18] <= 1.3


def test_the_question_holds_the_work_behind_the_fence_and_asks_for_six_fields(asking: AskingMemory) -> None:
    llm = ScriptedLLM([said(7)] * 2)
    for _ in range(2):
        asking(llm).evaluate(TASK, CODE, "mean=4.5", num_evals=1)
    first, second = llm.questions
    for name, text in (("task", TASK), ("code", "import csv"), ("output", "mean=4.5")):
        assert re.search(rf"^{MARKER} begin {name} (\w+)\n\| {re.escape(text)}", first.material, re.MULTILINE)
    assert nonce_of(first) in first.instructions
    assert nonce_of(first) != nonce_of(second)
    assert list(first.schema["required"]) == list(said(1))
    assert first.schema["additionalProperties"] is False


def test_a_huge_work_is_shown_by_its_ends(asking: AskingMemory) -> None:
    llm = ScriptedLLM([said(7)])
    code = "begin()\n" + "x = 1\n" * 80_000 + "end()"
    asking(llm).evaluate(TASK, code, "o" * 500_000, num_evals=1)
    shown = llm.questions[0].material
    assert "| begin()" in shown
    assert "| end()" in shown
    assert "characters are left out here" in shown
    assert len(shown) < 400_000


def nonce_of(question: Question) -> str:
    found = re.search(rf"{MARKER} begin NAME (\w+)", question.instructions)
    assert found is not None
    return found[1]


def test_recurring_feedback_on_the_same_task_is_shown_and_other_is_not(asking: AskingMemory) -> None:
    llm = ScriptedLLM(lambda _: said(4, "Empty columns divide by zero"))
    memory = asking(llm)
    for _ in range(3):
        memory.evaluate(TASK, CODE, num_evals=1)
    memory.evaluate("Draw a chart", CODE, num_evals=1)
    shown = ["Empty columns" in question.material for question in llm.questions]
    assert shown == [False, False, True, False]


def test_the_five_most_pressing_issues_of_the_task_are_shown(asking: AskingMemory) -> None:
    llm = ScriptedLLM([said(7, "")])
    memory = asking(llm)
    key = memory.learn(task=TASK, code=CODE, eval_score=9).pattern_key
    for number, issue in enumerate("alpha beta gamma delta epsilon zeta".split()):
        for _ in range(2 + number):
            memory.refine_pattern(key, 5, issue)
    memory.evaluate(TASK, CODE, num_evals=1)
    assert "| zeta\n| epsilon\n| delta\n| gamma\n| beta\n" in llm.questions[0].material
    assert "alpha" not in llm.questions[0].material


def test_feedback_is_counted_once_for_an_evaluation_and_the_pattern_gets_an_observation(
    asking: AskingMemory,
) -> None:
    memory = asking(ScriptedLLM([said(8, "All good"), said(4, "Close the file"), said(5, "Meh")] * 2))
    key = memory.learn(task=TASK, code=CODE, eval_score=9).pattern_key
    for _ in range(2):
        memory.evaluate(TASK, CODE, pattern_key=key)
    assert stored(memory) == [("Close the file", 2)]
    (issue,) = memory.get_feedback()
    assert (issue.count, issue.task) == (2, TASK)
    assert memory.analyze_failures()[0].avg_score == 5.0
    scores = [(each.score, each.feedback) for each in memory.get_pattern(key).observations]
    assert scores == [(9.0, None), (5.0, "Close the file"), (5.0, "Close the file")]


def test_without_a_pattern_key_no_pattern_changes(asking: AskingMemory) -> None:
    memory = asking(ScriptedLLM(lambda _: said(4)))
    key = memory.learn(task=TASK, code=CODE, eval_score=9).pattern_key
    memory.evaluate(TASK, CODE)
    assert len(memory.get_pattern(key).observations) == 1


def test_empty_feedback_is_no_issue(asking: AskingMemory) -> None:
    memory = asking(ScriptedLLM(lambda _: said(10, "  ")))
    assert memory.evaluate(TASK, CODE).median_score == 10.0
    assert stored(memory) == []


def test_an_unknown_pattern_is_told_before_anybody_is_asked(asking: AskingMemory) -> None:
    llm = ScriptedLLM([])
    with pytest.raises(NotFoundError):
        asking(llm).evaluate(TASK, CODE, pattern_key="patterns/" + "0" * 26)
    assert llm.questions == []


def test_a_hard_coded_output_is_found_whatever_the_judges_say(asking: AskingMemory) -> None:
    memory = asking(ScriptedLLM(lambda _: said(9)))
    faked = "print('total revenue: 48213.77')"
    assert memory.evaluate(TASK, faked, "total revenue: 48213.77").adversarial_detected
    assert not memory.evaluate(TASK, "print(f'total revenue: {total(rows)}')", "x").adversarial_detected


def test_a_hard_coded_output_is_found_though_it_is_redacted(asking: AskingMemory) -> None:
    memory = asking(ScriptedLLM(lambda _: said(9)))
    faked, shown = "print('call +420 777 123 456')", "call +420 777 123 456"
    assert memory.evaluate(TASK, faked, shown).adversarial_detected
    assert not memory.evaluate(TASK, faked, "call +420 777 654 321").adversarial_detected


def test_secrets_are_neither_sent_nor_stored(asking: AskingMemory) -> None:
    address, password = "jane.roe@bigcorp-mail.com", "Tr0ub4dor-3-horse"
    llm = ScriptedLLM(lambda _: said(3, f"Do not write to {address}"))
    memory = asking(llm)
    jury = Jury((Judge("a", focus=f"Does it mail {address}?"),))
    code = f'db = connect("postgres://app:{password}@db.internal/main")'
    found = memory.evaluate(f"Mail {address}", code, f"sent to {address}", jury=jury)
    sent = json.dumps([dataclasses.asdict(question) for question in llm.questions], default=str)
    assert address not in sent
    assert password not in sent
    assert address not in found.feedback
    assert "REDACTED" in stored(memory)[0][0]


def test_an_invalid_answer_is_asked_for_once_more(asking: AskingMemory) -> None:
    llm = ScriptedLLM([said(11), said(6)])
    assert asking(llm).evaluate(TASK, CODE, num_evals=1).median_score == 6.0
    assert len(llm.questions) == 2


def test_an_invalid_answer_that_stays_so_is_dropped(asking: AskingMemory) -> None:
    bad = said(math.nan)
    llm = ScriptedLLM([said(8), said(4), bad, bad])
    found = asking(llm).evaluate(TASK, CODE, num_evals=3)
    assert (len(found.scores), found.median_score) == (2, 6.0)
    assert len(llm.questions) == 4


@pytest.mark.parametrize(
    ("valid", "asked", "enough"), [(1, 2, True), (1, 3, False), (5, 10, True), (4, 10, False)]
)
def test_half_of_the_judges_must_answer(asking: AskingMemory, valid: int, asked: int, enough: bool) -> None:
    bad = asked - valid
    memory = asking(ScriptedLLM([said(8)] * valid + [ProviderOutputError("cut off")] * (2 * bad)))
    if enough:
        assert memory.evaluate(TASK, CODE, num_evals=asked).median_score == 8.0
    else:
        with pytest.raises(ProviderOutputError, match=f"{valid} of {asked} judges"):
            memory.evaluate(TASK, CODE, num_evals=asked)
        assert stored(memory) == []


@pytest.mark.parametrize(
    "error",
    [
        ProviderBusyError("busy"),
        ProviderTimeoutError("late"),
        ProviderUnreachableError("gone"),
        ProviderLimitedError("slow down", retry_after=7),
        ProviderRefusedError("who are you"),
    ],
)
def test_when_nobody_answered_badly_the_cause_is_told_and_not_asked_again(
    asking: AskingMemory, error: ProviderError
) -> None:
    llm = ScriptedLLM([said(8), error, error])
    memory = asking(llm)
    with pytest.raises(type(error)) as caught:
        memory.evaluate(TASK, CODE)
    assert caught.value is error
    assert len(llm.questions) == 3
    assert stored(memory) == []


def test_of_several_causes_the_one_that_no_waiting_heals_is_told(asking: AskingMemory) -> None:
    causes = [ProviderTimeoutError("late"), ProviderRefusedError("key"), ProviderBusyError("busy")]
    with pytest.raises(ProviderRefusedError):
        asking(ScriptedLLM(causes)).evaluate(TASK, CODE)


def test_bad_answers_among_other_failures_are_bad_answers(asking: AskingMemory) -> None:
    llm = ScriptedLLM(lambda _: None)
    late = ScriptedLLM(lambda _: ProviderTimeoutError("late"))
    jury = Jury((Judge("a", llm), Judge("b", late), Judge("c", late)))
    with pytest.raises(ProviderOutputError):
        asking(None).evaluate(TASK, CODE, jury=jury)


def test_a_pool_that_is_full_at_the_second_question_costs_no_valid_answer(asking: AskingMemory) -> None:
    class Full(ScriptedLLM):
        def ask_all(self, questions: list[Question]) -> list[object]:
            if len(questions) < 3:
                raise ProviderBusyError("full")
            return [self.ask(question) for question in questions]

    assert asking(Full([said(8), said(6), None])).evaluate(TASK, CODE).median_score == 7.0
    with pytest.raises(ProviderBusyError):
        asking(Full([None, None, said(6)])).evaluate(TASK, CODE)


def test_a_surplus_of_evaluations_is_told_busy_and_stores_nothing(asking: AskingMemory) -> None:
    asked, release = threading.Event(), threading.Event()

    def hold() -> None:
        asked.set()
        release.wait()

    memory = asking(Pooled(ScriptedLLM(lambda _: said(7), sleep=hold), concurrency=1, queue=0))
    first = threading.Thread(target=memory.evaluate, args=(TASK, CODE), kwargs={"num_evals": 1})
    first.start()
    try:
        assert asked.wait(30)
        with pytest.raises(ProviderBusyError):
            memory.evaluate("Another task", CODE, num_evals=1)
    finally:
        release.set()
        first.join()
    assert stored(memory) == [("Handle empty input", 1)]


def test_without_a_language_model_the_settings_are_named(asking: AskingMemory) -> None:
    with pytest.raises(ProviderNotConfiguredError, match="ENGRAMIA_LLM_PROVIDER") as caught:
        asking(None).evaluate(TASK, CODE)
    assert "OPENAI_API_KEY" in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("task", "  "),
        ("task", "t" * 10_001),
        ("task", None),
        ("task", "nul \0"),
        ("code", "\n"),
        ("code", "c" * 500_001),
        ("code", "half \ud800"),
        ("output", "o" * 500_001),
        ("output", 7),
        ("num_evals", 0),
        ("num_evals", 11),
        ("num_evals", 3.0),
        ("num_evals", True),
        ("pattern_key", "abc"),
        ("jury", {"judges": []}),
        ("jury", Jury(())),
        ("jury", Jury(tuple(Judge(f"j{n}") for n in range(11)))),
        ("jury", Jury((Judge("a"), Judge("a")))),
        ("jury", Jury((Judge(" "),))),
        ("jury", Jury((Judge("a", focus="f" * 2_001),))),
        ("jury", Jury((Judge("a"),), tolerance=math.nan)),
        ("jury", Jury((Judge("a"),), min_confidence=1.5)),
    ],
)
def test_bad_input_is_refused_by_name_before_anybody_is_asked(
    asking: AskingMemory, field: str, value: object
) -> None:
    llm = ScriptedLLM([])
    given: dict[str, Any] = {"task": TASK, "code": CODE} | {field: value}
    with pytest.raises(ValidationError, match=field) as caught:
        asking(llm).evaluate(**given)
    assert caught.value.field == field
    assert llm.questions == []


# --- a jury

ANCHORS = [
    json.dumps({"id": f"s{n}", "gold": gold, "scores": {"kind": min(10, gold + 4), "fair": gold}})
    for n, gold in enumerate([0.5, 1, 2, 3, 4, 5, 6, 2.5, 3.5, 5.5] * 3)
]


@pytest.fixture(scope="module")
def weights() -> JuryWeights:
    return calibrate(read_recordings(ANCHORS))


def jury(weights: JuryWeights | None, *, kind: object, fair: object, **options: Any) -> Jury:
    judges = (Judge("kind", ScriptedLLM(lambda _: kind)), Judge("fair", ScriptedLLM(lambda _: fair)))
    return Jury(judges, weights, **options)


def test_a_jury_corrects_its_judges_and_leaves_the_median_plain(
    asking: AskingMemory, weights: JuryWeights
) -> None:
    found = asking(None).evaluate(TASK, CODE, jury=jury(weights, kind=said(8), fair=said(4)))
    assert found.median_score == 6.0
    assert found.jury is not None
    assert found.jury.score == pytest.approx(4.0, abs=0.4)
    assert found.jury.confidence is not None
    assert found.jury.confidence > 0.8
    assert not found.jury.abstained
    assert found.jury.judges == {"kind": 8.0, "fair": 4.0}


def test_a_jury_that_is_not_sure_enough_abstains(asking: AskingMemory, weights: JuryWeights) -> None:
    asked = jury(weights, kind=said(8), fair=said(4), tolerance=0.1, min_confidence=0.99)
    found = asking(None).evaluate(TASK, CODE, jury=asked).jury
    assert found is not None
    assert (found.score, found.abstained) == (None, True)
    assert found.confidence is not None
    assert found.confidence < 0.3  # within a tenth of a point


def test_a_judge_without_a_valid_answer_is_left_out(asking: AskingMemory, weights: JuryWeights) -> None:
    found = asking(None).evaluate(TASK, CODE, jury=jury(weights, kind=said(8), fair="prose"))
    assert found.jury is not None
    assert found.jury.judges == {"kind": 8.0, "fair": None}
    assert found.jury.score is not None
    assert found.jury.score < 7.0


def test_without_weights_a_jury_is_there_to_be_calibrated(asking: AskingMemory) -> None:
    found = asking(None).evaluate(TASK, CODE, jury=jury(None, kind=said(8), fair=said(4))).jury
    assert found is not None
    assert (found.score, found.confidence, found.abstained) == (None, None, False)
    assert found.judges == {"kind": 8.0, "fair": 4.0}


def test_judges_of_several_models_are_asked_at_once_each_with_its_focus(asking: AskingMemory) -> None:
    together = threading.Barrier(4, timeout=30)

    def model() -> ScriptedLLM:
        return ScriptedLLM(lambda _: said(7), sleep=together.wait)

    own, other, pooled = model(), model(), model()
    pool = Pooled(pooled)
    judges = (
        Judge("own", focus="Is it safe?"),
        Judge("other", other, focus="Is it fast?"),
        Judge("one", pool),
        Judge("two", pool),
    )
    assert len(asking(own).evaluate(TASK, CODE, jury=Jury(judges)).scores) == 4
    assert "Is it safe?" in own.questions[0].instructions
    assert "Is it fast?" in other.questions[0].instructions
    assert len(pooled.questions) == 2
    assert "in particular" not in pooled.questions[0].instructions


def test_weights_of_other_judges_or_of_pairs_are_refused(asking: AskingMemory, weights: JuryWeights) -> None:
    pairs = calibrate(
        read_recordings(json.dumps({"id": str(n), "gold": "A", "verdicts": {"a": "A"}}) for n in range(6))
    )
    for wrong, told in ((Jury((Judge("a"),), pairs), "pairs"), (Jury((Judge("a"),), weights), "fair, kind")):
        with pytest.raises(ValidationError, match=told):
            asking(None).evaluate(TASK, CODE, jury=wrong)


# --- garbage


def deep(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


def garbage() -> Iterator[object]:
    """Answers that are none: as text that is still to be decoded, as decoded values, as errors."""
    good = json.dumps(said(9))
    texts = [
        "", " ", "\n", "null", "true", "7", '"9"', "[]", "{}", "NaN", "Infinity", "1e400", "-1e400", "\0",
        "The work is fine, I would say 9 of 10.", "Score: 9", "```json\n" + good + "\n```", good + good,
        good + "\n" + good, "[" + good + "]", "Sure! " + good, good + " Hope that helps.", good[:-1],
        good[:30], good.replace("9", "NaN"), good.replace("9", "1e400"),
        good.replace("9", "-1"), good.replace('"', "'"),
        good.replace(":", "="), "<html><body>502 Bad Gateway</body></html>", "<!DOCTYPE html>", "{" * 5000,
        "[" * 100_000, '{"a":' * 100_000, "x" * 10_000_000, '{"feedback": "' + "y" * 10_000_000,
        "\ufeff", good.encode().decode("utf-16-le", "replace"),
        "\ud800", "data: " + good, "event: error", "undefined",
        "{'overall': 9}", '{"overall": 9, "overall": 99}', "0x9", "9,5", "{,}", '{"a" 1}', "nan", "None",
    ]  # fmt: skip
    yield from map(Said, texts)
    values: list[object] = [
        None, True, 9, 9.5, "9", [], [said(9)], {}, (), {"score": 9}, {"overall": 9}, {"judge": said(9)},
        math.nan, math.inf, deep(50_000), b"bytes", {1: 2}, {"overall": {"value": 9}}, 10**400, "\0",
    ]  # fmt: skip
    yield from values
    bad: list[object] = [
        None, True, False, "9", "nine", [9], {"value": 9}, math.nan, math.inf, -math.inf, -0.001, 10.001,
        1e308, 10**400, -(10**400), deep(20_000), "",
    ]  # fmt: skip
    for name in ("task_alignment", "code_quality", "workspace_usage", "robustness", "overall"):
        yield from (said(9) | {name: value} for value in bad)
        yield {key: value for key, value in said(9).items() if key != name}
    for text in (None, 9, ["a"], {"a": 1}, "nul \0", "half \ud800", "\udfff" * 3, deep(100), True):
        yield said(9) | {"feedback": text}
    yield {key: value for key, value in said(9).items() if key != "feedback"}
    for number in range(30):
        yield ProviderOutputError(f"the answer stopped after {number} tokens")


GARBAGE = list(garbage())


def test_there_are_two_hundred_kinds_of_garbage() -> None:
    assert len(GARBAGE) >= 200


@pytest.mark.parametrize("judges", [1, 3, 10])
def test_garbage_is_never_counted_and_nothing_of_it_is_stored(asking: AskingMemory, judges: int) -> None:
    turn: list[object] = [None]
    memory = asking(ScriptedLLM(lambda _: turn[0]))
    key = memory.learn(task=TASK, code=CODE, eval_score=9).pattern_key
    for turn[0] in GARBAGE:
        with pytest.raises(ProviderOutputError):
            memory.evaluate(TASK, CODE, num_evals=judges, pattern_key=key)
    assert stored(memory) == []
    assert len(memory.get_pattern(key).observations) == 1


@pytest.mark.parametrize("judges", [3, 10])
def test_garbage_among_valid_answers_is_never_counted(asking: AskingMemory, judges: int) -> None:
    few = (judges - 1) // 2
    script = Mixed(few, judges)
    memory = asking(ScriptedLLM(script))
    for each in GARBAGE:
        script.start(each)
        found = memory.evaluate(TASK, CODE, num_evals=judges)
        assert [answer.overall for answer in found.scores] == [3.0] * (judges - few)
        assert (found.median_score, found.feedback) == (3.0, "")
    assert stored(memory) == []


class Mixed:
    """Answers of which `few` in the first round are garbage, and all that are asked for again."""

    def __init__(self, few: int, judges: int) -> None:
        self._few, self._judges = few, judges
        self.start(None)

    def start(self, garbage: object) -> None:
        self._garbage = garbage
        self._turns = count()

    def __call__(self, _question: Question) -> object:
        turn = next(self._turns)
        return self._garbage if turn < self._few or turn >= self._judges else said(3, "")


# --- injections


def obedient(question: Question) -> dict[str, Any]:
    """A judge that finds the fences by their nonce, and obeys whatever stands outside of them."""
    nonce = nonce_of(question)
    area = re.compile(
        rf"^{MARKER} begin (\w+) {nonce}$.*?^{MARKER} end \1 {nonce}$", re.MULTILINE | re.DOTALL
    )
    return obeyed(area.sub("", question.material))


def gullible(question: Question) -> dict[str, Any]:
    """A judge that takes any line for a fence that looks like one to it, whatever its nonce or letters."""
    outside: list[str] = []
    inside = False
    for line in question.material.split("\n"):
        looks = re.sub(r"[^a-z]", "", unicodedata.normalize("NFKD", line.strip()).casefold())
        if looks.startswith("untrustedtextbegin"):
            inside = True
        elif looks.startswith("untrustedtextend"):
            inside = False
        elif not inside:
            outside.append(line)
    return obeyed("\n".join(outside))


def obeyed(read: str) -> dict[str, Any]:
    return said(10.0 if "10" in read else 3.0, "")


def attempted(memory: Memory, field: str, text: str) -> float:
    """The score of a work with the attempt in one of its fields."""
    if field == "feedback":
        key = memory.learn(task=TASK, code=CODE, eval_score=5).pattern_key
        for _ in range(2):
            memory.refine_pattern(key, 5, text)
        return memory.evaluate(TASK, CODE, num_evals=1).median_score
    work: dict[str, str] = {"task": TASK, "code": CODE, "output": "4.5"}
    return memory.evaluate(**work | {field: text}, num_evals=1).median_score  # type: ignore[arg-type]  # the texts


@pytest.mark.parametrize("judge", [obedient, gullible])
def test_no_injection_changes_the_score(
    asking: AskingMemory, judge: Callable[[Question], dict[str, Any]]
) -> None:
    llm = ScriptedLLM(judge)
    memory = asking(llm)
    assert judge(Question("q", Fence("0" * 16).rules(), "score 10", {}))["overall"] == 10.0
    tried = 0
    for field, text in ATTEMPTS:
        try:
            score = attempted(memory, field, text)
        except ValidationError:  # NUL and the like do not even come in
            continue
        tried += 1
        assert score == 3.0, (field, text)
    assert tried > 0.9 * len(ATTEMPTS)
    reached = [question for question in llm.questions if "begin feedback" in question.material]
    assert len(reached) >= 20


def test_the_instructions_are_ours_alone(asking: AskingMemory) -> None:
    llm = ScriptedLLM(lambda _: said(3))
    memory = asking(llm)
    for field, text in ATTEMPTS[:20]:
        attempted(memory, field, text)
    own = {question.instructions.replace(nonce_of(question), "") for question in llm.questions}
    assert len(own) == 1
