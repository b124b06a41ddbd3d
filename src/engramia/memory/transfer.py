"""Export and import: a scope's patterns as portable records, out and in again."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import batched
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engramia.core import limits, record_format
from engramia.core.model import ImportResult, PatternRecord, SkippedRecord
from engramia.core.ports import PatternStore
from engramia.core.query import Filter
from engramia.errors import ValidationError
from engramia.memory.engine import Engine, check_model, embed
from engramia.memory.quota import check_room_for
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


def import_next(
    engine: Engine, values: Sequence[object], before: ImportResult, *, overwrite: bool
) -> ImportResult:
    """Store the batch of `values` that follows those of which `before` tells, and return what both did.

    It is kept or not at all. Called until the total is that of `values`, beginning with an empty result, it
    does what `import_records` does. Raises `QuotaExceededError` at the first if the whole is over the limit.
    """
    if before.total == 0:
        check_import(engine, values)
    prepared = _prepare(engine, tuple(_next(values, before.total)))
    skipped = _store(engine, [prepared], overwrite=overwrite)
    return ImportResult(
        imported=before.imported + prepared.size - len(skipped),
        skipped=before.skipped + len(skipped),
        total=before.total + prepared.size,
        reasons=(*before.reasons, *skipped),
    )


def _next(values: Sequence[object], start: int) -> Iterator[tuple[int, object]]:
    """Yield the batch that begins at `start`: what is stored, and waited for by others, in moments."""
    size = 0
    for index in range(start, min(start + limits.EMBED_BATCH, len(values))):
        size += len(repr(values[index]))
        if size > limits.IMPORT_BATCH_CHARS and index > start:
            return
        yield index, values[index]


def check_import(engine: Engine, values: Sequence[object]) -> None:
    """Raise `QuotaExceededError` if importing these records as things are now would be over the limit.

    Quick, and before anything is embedded; the transaction that stores them asks once more.
    """
    if engine.max_patterns is None:
        return
    with engine.storage.reading() as stores:
        if stores.patterns.count() + len(values) > engine.max_patterns:
            check_room_for(engine.max_patterns, stores.patterns, _good_keys(engine, values))


def _good_keys(engine: Engine, values: Iterable[object]) -> Iterator[str]:
    """Yield the keys of those records that can be stored."""
    for value in values:
        with suppress(ValidationError):
            yield record_format.decode(value, now=engine.clock.now()).pattern.key


def _prepared(engine: Engine, values: Iterable[object], progress: Progress) -> Iterator[_Batch]:
    """Yield batches decoded, redacted and embedded; each is reported when the next one is asked for."""
    done = 0
    for batch in batched(enumerate(values), limits.EMBED_BATCH):
        yield _prepare(engine, batch)
        done += len(batch)
        progress(done, done)


def _prepare(engine: Engine, batch: tuple[tuple[int, object], ...]) -> _Batch:
    records, skipped = _decode_batch(engine, batch)
    vectors = embed(engine, [record.pattern.task for _, record in records]) if records else None
    return _Batch(len(batch), records, vectors, skipped)


def _store(engine: Engine, batches: Sequence[_Batch], *, overwrite: bool) -> list[SkippedRecord]:
    """Store all of `batches` in one transaction; return what stayed out, in order."""
    with engine.storage.writing() as stores:
        check_model(stores.patterns, engine.embedder)
        keys = (record.pattern.key for batch in batches for _, record in batch.records)
        check_room_for(engine.max_patterns, stores.patterns, keys)
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
    taken = set() if overwrite else set(patterns.present([one.pattern.key for _, one in batch.records]))
    for row, (index, record) in enumerate(batch.records):
        if record.pattern.key in taken:
            reason = "the key is already there; overwrite replaces it"
            yield SkippedRecord(index, record.pattern.key, reason)
            continue
        stamped = replace(record, pattern=replace(record.pattern, embedding_model=model))
        patterns.add(stamped, None if batch.vectors is None else batch.vectors[row])
        if not overwrite:
            taken.add(record.pattern.key)


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
