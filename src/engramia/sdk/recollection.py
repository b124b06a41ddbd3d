"""What an adapter asks of a memory, over the library and over HTTP alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from engramia.core.model import ReuseTier
from engramia.errors import ValidationError
from engramia.memory.facade import Memory
from engramia.sdk import answers
from engramia.sdk.webhook import EngramiaWebhook


@dataclass(frozen=True, slots=True)
class Earlier:
    """An earlier run that was found; `similarity` is 0 to 1, `quality` 0 to 10."""

    task: str
    code: str
    output: str | None
    similarity: float
    quality: float
    tier: ReuseTier


@dataclass(frozen=True, slots=True)
class Pitfall:
    """A recurring issue, how often it was said, and the task of the run that it was last said of."""

    text: str
    count: int
    task: str


@dataclass(frozen=True, slots=True)
class Lesson:
    """A run to be stored; `eval_score` is 0 to 10."""

    task: str
    code: str
    output: str | None
    eval_score: float
    run_id: str | None = None
    skills: tuple[str, ...] = ()
    classification: str = "internal"


@runtime_checkable
class Recollection(Protocol):
    """A memory as adapters see it. Every method may block and may raise; it is called from worker threads."""

    def recall(self, task: str, limit: int) -> Sequence[Earlier]:
        """Return at most `limit` earlier runs for `task`, best first."""

    def pitfalls(self, limit: int) -> Sequence[Pitfall]:
        """Return at most `limit` recurring issues, most pressing first."""

    def learn(self, lesson: Lesson) -> None:
        """Store a run."""

    def judge(self, task: str, code: str, output: str | None, num_evals: int) -> float:
        """Return the median score of `num_evals` judges, 0 to 10."""


type AnyMemory = Memory | EngramiaWebhook | Recollection


class LibraryView:
    """A `Memory` in this process."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def recall(self, task: str, limit: int) -> list[Earlier]:
        return [
            Earlier(
                match.pattern.task,
                match.pattern.code,
                match.pattern.output,
                match.similarity,
                match.pattern.success_score,
                match.reuse_tier,
            )
            for match in self._memory.recall(task, limit=limit)
        ]

    def pitfalls(self, limit: int) -> list[Pitfall]:
        found = self._memory.get_feedback(limit=limit)
        return [Pitfall(item.text, item.count, item.task) for item in found.items]

    def learn(self, lesson: Lesson) -> None:
        self._memory.learn(
            task=lesson.task,
            code=lesson.code,
            eval_score=lesson.eval_score,
            output=lesson.output,
            run_id=lesson.run_id,
            skills=lesson.skills,
            classification=lesson.classification,
        )

    def judge(self, task: str, code: str, output: str | None, num_evals: int) -> float:
        return self._memory.evaluate(task, code, output, num_evals=num_evals).median_score


class ServiceView:
    """A server, through its client."""

    def __init__(self, client: EngramiaWebhook) -> None:
        self._client = client

    def recall(self, task: str, limit: int) -> list[Earlier]:
        return [_earlier(match) for match in self._client.recall(task, limit)]

    def pitfalls(self, limit: int) -> list[Pitfall]:
        found = self._client.feedback(limit=limit)
        return [Pitfall(issue["text"], issue["count"], issue["task"]) for issue in found]

    def learn(self, lesson: Lesson) -> None:
        self._client.learn(
            lesson.task,
            lesson.code,
            lesson.eval_score,
            lesson.output,
            run_id=lesson.run_id,
            skills=lesson.skills,
            classification=lesson.classification,
        )

    def judge(self, task: str, code: str, output: str | None, num_evals: int) -> float:
        return self._client.evaluate(task, code, output, num_evals=num_evals)["median_score"]


def _earlier(match: answers.Match) -> Earlier:
    pattern = match["pattern"]
    return Earlier(
        pattern["task"],
        pattern["code"],
        pattern["output"],
        match["similarity"],
        pattern["success_score"],
        ReuseTier(match["reuse_tier"]),
    )


def view_of(memory: AnyMemory) -> Recollection:
    """Return `memory` as adapters see it; `ValidationError` if it is none."""
    match memory:
        case Memory():
            return LibraryView(memory)
        case EngramiaWebhook():
            return ServiceView(memory)
        case Recollection():
            return memory
    raise ValidationError(
        f"memory must be a Memory or an EngramiaWebhook; got {type(memory).__name__}.", field="memory"
    )
