"""Learn: store a run as a pattern, unless the same task is already known with a run at least as good."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engramia.core import limits, validation
from engramia.core.model import (
    Classification,
    Event,
    EventKind,
    LearnResult,
    Observation,
    OnDuplicate,
    Pattern,
    PatternRecord,
    Source,
    Version,
)
from engramia.core.ports import PatternStore, Stores
from engramia.core.similarity import near_identical
from engramia.errors import EngramiaError, QuotaExceededError
from engramia.memory.engine import Engine, check_model, embed
from engramia.memory.quota import check_room
from engramia.memory.upkeep import fill_some


class Run(NamedTuple):
    """One agent run, checked and redacted."""

    task: str
    code: str
    eval_score: float
    output: str | None
    classification: Classification
    source: Source
    run_id: str | None
    author: str | None
    skills: tuple[str, ...]


def learn(engine: Engine, run: Run, on_duplicate: OnDuplicate) -> LearnResult:
    """Store `run` and count it; the decision about near-identical tasks and the write are one transaction."""
    (result,) = learn_many(engine, [(run, on_duplicate)])
    if isinstance(result, EngramiaError):
        raise result
    return result


def learn_many(
    engine: Engine, runs: Sequence[tuple[Run, OnDuplicate]]
) -> list[LearnResult | QuotaExceededError]:
    """Store each run, in order, as `learn` does, all in one transaction that waits for the disk once.

    In the place of a run for which there is no room stands the error. Whatever else goes wrong is raised, and
    nothing of any run is kept.
    """
    vectors = embed(engine, [run.task for run, _ in runs])
    each = [None] * len(runs) if vectors is None else list(vectors)
    with engine.storage.writing() as stores:
        check_model(stores.patterns, engine.embedder)
        waiting = vectors is not None and stores.patterns.waiting_count() > 0
        results = [
            _learned(engine, stores, run, vector, on_duplicate)
            for (run, on_duplicate), vector in zip(runs, each, strict=True)
        ]
    if waiting:
        engine.afterwards(fill_some)
    return results


def _learned(
    engine: Engine,
    stores: Stores,
    run: Run,
    vector: NDArray[np.float32] | None,
    on_duplicate: OnDuplicate,
) -> LearnResult | QuotaExceededError:
    now = engine.clock.now()
    try:
        result = _store(engine, stores.patterns, run, vector, on_duplicate, now)
    except QuotaExceededError as error:  # raised before anything of this run was written
        return error
    stores.activity.record(
        Event(EventKind.LEARN, now, eval_score=run.eval_score, pattern_key=result.pattern_key)
    )
    return result


def check_run(  # noqa: PLR0913 - one argument for each field of a run
    engine: Engine,
    *,
    task: object,
    code: object,
    eval_score: object,
    output: object,
    classification: object,
    source: object,
    run_id: object,
    author: object,
    skills: object,
) -> Run:
    """Return the run that these values describe, validated first and redacted then."""
    task = validation.text(task, field="task", max_chars=limits.TASK_MAX_CHARS)
    code = validation.text(code, field="code", max_chars=limits.CODE_MAX_CHARS)
    output = validation.optional_text(output, field="output", max_chars=limits.OUTPUT_MAX_CHARS)
    run_id = validation.optional_text(run_id, field="run_id", max_chars=limits.ID_MAX_CHARS)
    tags = validation.skills(skills)
    clean = engine.cleaner([task, code, output or "", run_id or "", *tags])
    return Run(
        task=clean(task),
        code=clean(code),
        eval_score=validation.score(eval_score, field="eval_score"),
        output=clean(output) if output else output,
        classification=validation.choice(classification, Classification, field="classification"),
        source=validation.choice(source, Source, field="source"),
        run_id=clean(run_id) if run_id else run_id,
        author=validation.optional_text(author, field="author", max_chars=limits.ID_MAX_CHARS),
        skills=tuple(map(clean, tags)),
    )


def _store(
    engine: Engine,
    patterns: PatternStore,
    run: Run,
    vector: NDArray[np.float32] | None,
    on_duplicate: OnDuplicate,
    now: datetime,
) -> LearnResult:
    known = None if on_duplicate is OnDuplicate.KEEP_BOTH else _near_identical(patterns, run.task)
    count = patterns.count()
    if known is None:
        check_room(engine.max_patterns, count, 1)
        key = _add(engine, patterns, run, vector, now)
        return LearnResult(stored=True, pattern_count=count + 1, pattern_key=key, duplicate_of=None)
    better = on_duplicate is OnDuplicate.REPLACE_IF_BETTER and run.eval_score > known.success_score
    if better:
        _replace(patterns, known, run, now)
    return LearnResult(stored=better, pattern_count=count, pattern_key=known.key, duplicate_of=known.key)


def _near_identical(patterns: PatternStore, task: str) -> Pattern | None:
    candidates = patterns.near_identical(task, limits.NEAR_IDENTICAL_JACCARD)
    return next((known for known in candidates if near_identical(task, known.task)), None)


def _add(
    engine: Engine, patterns: PatternStore, run: Run, vector: NDArray[np.float32] | None, now: datetime
) -> str:
    model = engine.embedder.model if vector is not None else None
    if model and patterns.embedding_model() is None:
        patterns.use_embedding_model(model)
    pattern = Pattern(
        key=engine.new_key(now),
        task=run.task,
        code=run.code,
        output=run.output,
        success_score=run.eval_score,
        created_at=now,
        decayed_at=now,
        classification=run.classification,
        source=run.source,
        run_id=run.run_id,
        author=run.author,
        skills=run.skills,
        embedding_model=model,
    )
    patterns.add(PatternRecord(pattern, observations=(Observation(run.eval_score, now),)), vector)
    return pattern.key


def _replace(patterns: PatternStore, known: Pattern, run: Run, now: datetime) -> None:
    """Put the better run in the known pattern's place; its task, vector, tags and counts stay."""
    better = replace(
        known,
        code=run.code,
        output=run.output,
        success_score=run.eval_score,
        decayed_at=now,
        run_id=run.run_id,
        author=run.author,
    )
    patterns.replace(better, Version(known.code, known.output, known.success_score, now))
    patterns.observe(known.key, Observation(run.eval_score, now))
