"""Export and import: a scope's patterns as portable records, out and in again."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import batched
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engramia.core import limits, record_format
from engramia.core.model import ImportResult, Pattern, PatternRecord, SkippedRecord
from engramia.core.ports import PatternStore
from engramia.core.query import Filter
from engramia.errors import ValidationError
from engramia.memory.engine import Engine, check_model, embed
from engramia.memory.upkeep import Progress


def export(engine: Engine, filter: Filter) -> Iterator[dict[str, Any]]:
    """Yield every pattern as a portable record, in key order, as of the first one read."""
    with engine.storage.reading() as stores:
        records = stores.patterns.records(filter)
    for record in records:
        yield record_format.encode(record)


@dataclass(frozen=True, slots=True)
class _Batch:
    """A part of an import, ready to be stored: records with their places in it, and why others stay out."""

    size: int
    records: Sequence[tuple[int, PatternRecord]]
    vectors: NDArray[np.float32] | None
    skipped: Sequence[SkippedRecord]


def import_records(
    engine: Engine, values: Iterable[object], *, overwrite: bool, progress: Progress, whole: bool = False
) -> ImportResult:
    """Store portable records, redacted and embedded in batches; a bad one is reported and the rest goes in.

    Each batch is kept as it is done; with `whole`, all that is slow comes first, and then one transaction
    keeps all or nothing. A key that is already there is skipped unless `overwrite`.
    """
    batches = _prepared(engine, values, progress)
    groups = [list(batches)] if whole else ([batch] for batch in batches)
    imported, reasons, total = 0, list[SkippedRecord](), 0
    for group in groups:
        skipped = _store(engine, group, overwrite=overwrite)
        size = sum(batch.size for batch in group)
        total += size
        imported += size - len(skipped)
        reasons += skipped
    return ImportResult(imported, len(reasons), total, tuple(reasons))


def _prepared(engine: Engine, values: Iterable[object], progress: Progress) -> Iterator[_Batch]:
    """Yield batches decoded, redacted and embedded; each is reported when the next one is asked for."""
    done = 0
    for batch in batched(enumerate(values), limits.EMBED_BATCH):
        records, skipped = _decode_batch(engine, batch)
        vectors = embed(engine, [record.pattern.task for _, record in records]) if records else None
        yield _Batch(len(batch), records, vectors, skipped)
        done += len(batch)
        progress(done, done)


def _store(engine: Engine, batches: Sequence[_Batch], *, overwrite: bool) -> list[SkippedRecord]:
    """Store all of `batches` in one transaction; return what stayed out, in order."""
    with engine.storage.writing() as stores:
        check_model(stores.patterns, engine.embedder)
        blocked = [
            skip for batch in batches for skip in _add(engine, stores.patterns, batch, overwrite=overwrite)
        ]
    bad = (skip for batch in batches for skip in batch.skipped)
    return sorted((*bad, *blocked), key=lambda skip: skip.index)


def _add(
    engine: Engine, patterns: PatternStore, batch: _Batch, *, overwrite: bool
) -> Iterator[SkippedRecord]:
    """Store the records of one batch; yield those that are there already."""
    model = engine.embedder.model if batch.vectors is not None else None
    if model and patterns.embedding_model() is None:
        patterns.use_embedding_model(model)
    for row, (index, record) in enumerate(batch.records):
        if _blocked(patterns, record.pattern, overwrite=overwrite):
            reason = "the key is already there; overwrite replaces it"
            yield SkippedRecord(index, record.pattern.key, reason)
            continue
        stamped = replace(record, pattern=replace(record.pattern, embedding_model=model))
        patterns.add(stamped, None if batch.vectors is None else batch.vectors[row])


def _decode_batch(
    engine: Engine, batch: tuple[tuple[int, object], ...]
) -> tuple[list[tuple[int, PatternRecord]], list[SkippedRecord]]:
    records, skipped = list[tuple[int, PatternRecord]](), list[SkippedRecord]()
    for index, value in batch:
        try:
            record = record_format.decode(value, now=engine.clock.now())
        except ValidationError as error:
            skipped.append(SkippedRecord(index, _key_of(value), str(error)))
        else:
            records.append((index, _redacted(engine, record)))
    return records, skipped


def _blocked(patterns: PatternStore, pattern: Pattern, *, overwrite: bool) -> bool:
    return not overwrite and patterns.get(pattern.key) is not None


def _key_of(value: object) -> str | None:
    key = value.get("key") if isinstance(value, dict) else None
    return key[:200] if isinstance(key, str) else None


def _redacted(engine: Engine, record: PatternRecord) -> PatternRecord:
    pattern = record.pattern
    return PatternRecord(
        pattern=replace(
            pattern,
            task=engine.clean(pattern.task),
            code=engine.clean(pattern.code),
            output=engine.clean_optional(pattern.output),
            run_id=engine.clean_optional(pattern.run_id),
            skills=tuple(engine.clean(tag) for tag in pattern.skills),
        ),
        versions=tuple(
            replace(version, code=engine.clean(version.code), output=engine.clean_optional(version.output))
            for version in record.versions
        ),
        observations=tuple(
            replace(seen, feedback=engine.clean_optional(seen.feedback)) for seen in record.observations
        ),
    )
