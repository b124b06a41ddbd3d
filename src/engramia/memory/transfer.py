"""Export and import: a scope's patterns as portable records, out and in again."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import batched
from typing import Any

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


def import_records(
    engine: Engine, values: Iterable[object], *, overwrite: bool, progress: Progress
) -> ImportResult:
    """Store portable records, redacted and embedded in batches; a bad one is reported and the rest goes in.

    Each batch is kept as it is done. A key that is already there is skipped unless `overwrite`.
    """
    imported, reasons, total = 0, list[SkippedRecord](), 0
    for batch in batched(enumerate(values), limits.EMBED_BATCH):
        kept, bad = _store_batch(engine, batch, overwrite=overwrite)
        total += len(batch)
        imported += kept
        reasons += bad
        progress(total, total)
    return ImportResult(imported, len(reasons), total, tuple(reasons))


def _store_batch(
    engine: Engine, batch: tuple[tuple[int, object], ...], *, overwrite: bool
) -> tuple[int, list[SkippedRecord]]:
    records, skipped = _decode_batch(engine, batch)
    vectors = embed(engine, [record.pattern.task for _, record in records]) if records else None
    with engine.storage.writing() as stores:
        check_model(stores.patterns, engine.embedder)
        model = engine.embedder.model if vectors is not None else None
        if model and stores.patterns.embedding_model() is None:
            stores.patterns.use_embedding_model(model)
        for row, (index, record) in enumerate(records):
            if _blocked(stores.patterns, record.pattern, overwrite=overwrite):
                skipped.append(
                    SkippedRecord(
                        index, record.pattern.key, "the key is already there; overwrite replaces it"
                    )
                )
                continue
            stamped = replace(record, pattern=replace(record.pattern, embedding_model=model))
            stores.patterns.add(stamped, None if vectors is None else vectors[row])
    return len(batch) - len(skipped), sorted(skipped, key=lambda skip: skip.index)


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
