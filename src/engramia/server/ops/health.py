"""The deep look at the service's health: what it stands on, probed."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from engramia.core.calibration import Calibration
from engramia.core.llm import LLM, probe
from engramia.errors import (
    EngramiaError,
    ProviderTimeoutError,
    StorageError,
    StorageUnavailableError,
    UnavailableError,
)
from engramia.memory.engine import Embedder, Engine, check_model
from engramia.server.kit.errors import problem_of
from engramia.server.kit.lanes import Lane, Lanes
from engramia.server.ops.probing import DEADLINE_SECONDS, KEPT_SECONDS, Outcome, Probe

if TYPE_CHECKING:
    from engramia.db.replica import ReplicaState

_WORD = "ready"
_WORDS_ALONE = "No embedding model is set up: recall compares words alone."
_RESTING = "Recall answers from words alone until it tries the embedding model again, within half a minute."
_APART = "Redis does not answer: until it does, rate limits hold for each server process by itself."
_NOT_COMPARED = "The primary does not answer, so nobody knows how far the replica is."
_NOT_PROBED = "This model's server does not tell whether it knows the model; it was not asked for an answer."

type Check = Mapping[str, Any]
"""One entry of `checks`."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a request waits for each probe, and how long its outcome is told again; seconds."""

    deadline: float = DEADLINE_SECONDS
    kept: float = KEPT_SECONDS


@dataclass(frozen=True, slots=True)
class Report:
    """What was found: `failure` is what keeps the service from working at all."""

    status: str
    checks: Mapping[str, Check]
    failure: EngramiaError | None


class Health:
    """Probes the storage, the language model and the embeddings of one server process."""

    def __init__(
        self,
        lanes: Lanes,
        check_writes: Callable[[], None] | None = None,
        *,
        check_limits: Callable[[], Awaitable[float | None]] | None = None,
        look_at_replica: "Callable[[], ReplicaState] | None" = None,
        pace: Pace | None = None,
    ) -> None:
        """Read in `lanes`, and write by `check_writes`; without it only reading shows how the storage is.

        `check_limits` tells the seconds that shared rate limits take, None if they are not shared now;
        `look_at_replica` how the database's replica is.
        """
        self._lanes = lanes
        self._pace = pace or Pace()
        self._writes = None if check_writes is None else self._probe("storage", check_writes, _late_storage)
        self._check_limits = check_limits
        look = look_at_replica
        self._replica_looks = None if look is None else self._probe("replica", look, _late_storage)
        self._answers: Probe[bool] | None = None
        self._embeds: Probe[Any] | None = None

    async def report(self, engine: Engine) -> Report:
        """Return how everything is that a memory with the parts `engine` needs."""
        (storage, failure), llm, embedding, limits, replica = await asyncio.gather(
            self._storage(engine),
            self._llm(engine.llm),
            self._embedding(engine.embedder),
            self._limits(),
            self._replica(),
        )
        others = {"llm": llm, "embedding": embedding, **limits, **replica}
        return Report(_overall(storage, *others.values()), {"storage": storage, **others}, failure)

    async def _storage(self, engine: Engine) -> tuple[Check, EngramiaError | None]:
        begun = time.monotonic()
        outcomes = await asyncio.gather(self._read(engine), self._write())
        # A request that waits for nothing new still did read.
        seconds = max(time.monotonic() - begun, *(outcome.seconds for outcome in outcomes))
        failure = next((outcome.error for outcome in outcomes if outcome.error is not None), None)
        if failure is not None and not isinstance(failure, StorageError | UnavailableError):
            failure = StorageError(str(failure))
        return _check(Outcome(None, failure, seconds)), failure

    async def _read(self, engine: Engine) -> Outcome[None]:
        begun = time.monotonic()
        reading = self._lanes.run(Lane.QUICK, partial(_look, engine))
        error: EngramiaError | None = None
        try:
            await asyncio.wait_for(reading, self._pace.deadline)
        except EngramiaError as failure:
            error = failure
        except TimeoutError:
            error = _late_storage()
        return Outcome(None, error, time.monotonic() - begun)

    async def _write(self) -> Outcome[None]:
        return Outcome(None, None, 0.0) if self._writes is None else await self._writes.outcome()

    async def _llm(self, llm: LLM | None) -> Check:
        if llm is None:
            return {"status": "not_configured", "latency_ms": None, "model": None}
        if self._answers is None:
            self._answers = self._probe("language model", partial(probe, llm), _late_model)
        outcome = await self._answers.outcome()
        if outcome.error is None and not outcome.answer:
            return {"status": "unknown", "latency_ms": None, "model": llm.model, "detail": _NOT_PROBED}
        return {**_check(outcome), "model": llm.model}

    async def _embedding(self, embedder: Embedder) -> Check:
        model = embedder.embeddings
        facts = {
            "model": embedder.model,
            "thresholds": _thresholds(embedder.calibration, words=model is None),
        }
        if model is None:
            return {"status": "degraded", "latency_ms": None, "detail": _WORDS_ALONE, **facts}
        if self._embeds is None:
            self._embeds = self._probe("embedding model", partial(model.embed, [_WORD]), _late_model)
        check = _check(await self._embeds.outcome())
        if check["status"] == "ok" and embedder.reason is not None:
            return {**check, "status": "degraded", "detail": _RESTING, **facts}
        return {**check, **facts}

    async def _limits(self) -> Mapping[str, Check]:
        if self._check_limits is None:
            return {}
        seconds = await self._check_limits()
        if seconds is None:
            return {"rate_limits": {"status": "degraded", "latency_ms": None, "detail": _APART}}
        return {"rate_limits": {"status": "ok", "latency_ms": round(seconds * 1000, 1)}}

    async def _replica(self) -> Mapping[str, Check]:
        if self._replica_looks is None:
            return {}
        outcome = await self._replica_looks.outcome()
        check: dict[str, Any] = {"status": "unknown", "latency_ms": round(outcome.seconds * 1000, 1)}
        if outcome.answer is None:
            return {"replica": {**check, "detail": _NOT_COMPARED}}
        found = {"lag_bytes": outcome.answer.lag_bytes, "lag_seconds": outcome.answer.lag_seconds}
        if outcome.answer.in_use:
            return {"replica": {**check, **found, "status": "ok"}}
        detail = f"The primary serves all reads for now. {outcome.answer.reason}"
        return {"replica": {**check, **found, "status": "degraded", "detail": detail}}

    def _probe[T](self, name: str, ask: Callable[[], T], late: Callable[[], EngramiaError]) -> Probe[T]:
        return Probe(name, ask, late, deadline=self._pace.deadline, kept=self._pace.kept)


def _look(engine: Engine) -> None:
    """Read the scope, and see whether recall could compare with its vectors."""
    with engine.storage.reading() as stores:
        stores.patterns.count()
        check_model(stores.patterns, engine.embedder)


def _overall(storage: Check, *others: Check) -> str:
    if storage["status"] != "ok":
        return "error"
    return "degraded" if any(check["status"] in {"error", "degraded"} for check in others) else "ok"


def _check(outcome: Outcome[Any]) -> dict[str, Any]:
    """Return an outcome without what only the operator may read; the log has it."""
    latency_ms = round(outcome.seconds * 1000, 1)
    if outcome.error is None:
        return {"status": "ok", "latency_ms": latency_ms}
    problem = problem_of(outcome.error)
    return {"status": "error", "latency_ms": latency_ms, "error": problem.error, "detail": problem.detail}


def _thresholds(calibration: Calibration, *, words: bool) -> Mapping[str, float | None]:
    thresholds = calibration.words if words else calibration.thresholds
    return {**asdict(thresholds), "min_similarity": None if words else calibration.min_similarity}


def _late_storage() -> EngramiaError:
    return StorageUnavailableError("The storage does not answer.")


def _late_model() -> EngramiaError:
    return ProviderTimeoutError("The model did not answer in time.")
