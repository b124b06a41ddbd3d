"""Operations that can be jobs do what is slow before their first write; each part is one transaction."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engramia.bootstrap import NoRedaction, SystemClock, new_pattern_key
from engramia.core import limits
from engramia.core.llm import Question
from engramia.core.model import ImportResult, Scope
from engramia.core.ports import Stores
from engramia.memory.engine import Embedder, Engine
from engramia.memory.facade import Memory
from engramia.memory.transfer import import_next
from engramia.server.jobs.run_storage import RunStorage
from engramia.testing import HashEmbeddings, ScriptedLLM
from tests.contract.job_samples import at, job
from tests.contract.samples import key
from tests.server.jobs.conftest import Shop, memory_for

TASK = "Parse a CSV file and report the mean of each column"
PROMPT = "You are a Python coding agent. Write clean code. Never delete files."


class Watched(RunStorage):
    """A job's storage that counts its blocks for writing."""

    writes = 0

    @contextlib.contextmanager
    def writing(self, *, durable: bool = True) -> Iterator[Stores]:
        self.writes += 1
        with super().writing(durable=durable) as stores:
            yield stores


class WatchfulEmbeddings(HashEmbeddings):
    """Embeddings that mind being asked while the transaction is open."""

    def __init__(self, storage: RunStorage) -> None:
        super().__init__()
        self._storage = storage

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        assert not self._storage.is_open
        return super().embed(texts)


def answer(question: Question) -> object:
    if question.name == "judgement":
        scores = dict.fromkeys(("task_alignment", "code_quality", "workspace_usage", "robustness"), 6)
        return {**scores, "overall": 6, "feedback": "Handle empty input"}
    if question.name == "plan":
        stages = [
            {"name": "read", "task": "Parse a CSV file", "reads": [], "writes": ["rows"]},
            {"name": "sum", "task": "Take the mean", "reads": ["rows"], "writes": ["mean"]},
        ]
        return {"initial_inputs": [], "stages": stages}
    return {
        "improved_prompt": f"{PROMPT} Always handle empty input.",
        "changes": ["Added a rule"],
        "issues_addressed": ["Handle empty input"],
    }


def evaluate(memory: Memory) -> bool:
    return memory.evaluate(TASK, "x = 1", pattern_key=key(1)).median_score == 6


def compose(memory: Memory) -> bool:
    return memory.compose(TASK).fallback is None


def evolve(memory: Memory) -> bool:
    return memory.evolve_prompt("coder", PROMPT).accepted


def aging(memory: Memory) -> bool:
    return memory.run_aging() == 0


def feedback_decay(memory: Memory) -> bool:
    return memory.run_feedback_decay() == 0


def records() -> list[dict[str, Any]]:
    data = {"code": "x", "success_score": 5}
    return [
        {"version": 1, "key": key(number), "data": {"task": f"t {number}"} | data} for number in range(600)
    ]


def bring_in(memory: Memory) -> bool:
    return memory.import_data(records(), whole=True).imported == 599


def bring_in_a_batch(memory: Memory) -> bool:
    """Do the second part of an import: its first writes are those of a transaction of its own, too."""
    before = ImportResult(imported=limits.EMBED_BATCH, skipped=0, total=limits.EMBED_BATCH)
    after = import_next(memory.engine, records(), before, overwrite=False)
    return after.imported == after.total == 2 * limits.EMBED_BATCH


@pytest.mark.parametrize(
    ("operation", "writes"),
    [
        (evaluate, 1),
        (compose, 0),
        (evolve, 0),
        (aging, 1),
        (feedback_decay, 1),
        (bring_in, 1),
        (bring_in_a_batch, 1),
    ],
)
def test_nobody_is_asked_while_the_transaction_is_open(
    shop: Shop, operation: Callable[[Memory], bool], writes: int
) -> None:
    scope = shop.storage.scoped(Scope())
    plain = memory_for(Scope(), scope)
    plain.import_data([records()[1]])
    for _ in range(2):
        plain.refine_pattern(key(1), 3, "Handle empty input")
    with scope.writing() as stores:
        stores.jobs.add(job(1))
        mine = stores.jobs.claim(worker="w", now=at(1), lease_until=at(31))
    assert mine is not None
    run = Watched(scope, mine)

    def ask(question: Question) -> object:
        assert not run.is_open
        return answer(question)

    clock = SystemClock()
    embedder = Embedder(WatchfulEmbeddings(run), clock)
    engine = Engine(run, embedder, NoRedaction(), clock, new_pattern_key, llm=ScriptedLLM(ask))
    with run.transaction():
        assert operation(Memory(engine))
        assert run.writes == writes
        run.finish({}, at(2))
    with scope.reading() as stores:
        assert stores.jobs.get(mine.id) == mine.completed({}, at(2))
