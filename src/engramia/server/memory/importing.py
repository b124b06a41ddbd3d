"""Importing: all at once for a request, batch by batch for a job."""

from engramia.core import documents, limits
from engramia.core.model import ImportResult, SkippedRecord
from engramia.memory import transfer
from engramia.memory.facade import Memory
from engramia.server.kit.operations import Asked, Document, Unfinished
from engramia.server.kit.redacting import cleaned, redacted
from engramia.server.memory.schemas import ImportRequest


def prepare(memory: Memory, body: ImportRequest) -> ImportRequest:
    """Return what is kept of a request until it is done; raises `QuotaExceededError` if it will not fit."""
    transfer.check_import(memory.engine, body.records)
    return redacted(memory.engine.clean, body)


def import_whole(memory: Memory, asked: Asked[ImportRequest]) -> Document:
    """Import all in one transaction."""
    transfer.check_import(memory.engine, asked.body.records)
    result = memory.import_data(asked.body.records, overwrite=asked.body.overwrite, whole=True)
    return documents.import_document(result)


def import_part(
    memory: Memory, asked: Asked[ImportRequest], progress: Document | None
) -> Document | Unfinished:
    """Import the next batch; the progress has the counts so far, and why records stayed out."""
    records = asked.body.records
    before = ImportResult(0, 0, 0) if progress is None else _imported_before(progress)
    after = transfer.import_next(memory.engine, records, before, overwrite=asked.body.overwrite)
    document = documents.import_document(after)
    if after.total == len(records):
        return document
    return Unfinished({"done": after.total, **document, "total": len(records)})


def in_short(memory: Memory, document: Document) -> Document:
    """Return an import's answer with the first of its reasons: the keys of bad records may be anything."""
    reasons = cleaned(memory.engine.clean, document["reasons"][: limits.IDEMPOTENCY_REASONS_KEPT])
    return {**document, "reasons": reasons}


def _imported_before(progress: Document) -> ImportResult:
    reasons = tuple(SkippedRecord(**one) for one in progress["reasons"])
    return ImportResult(progress["imported"], progress["skipped"], progress["done"], reasons)
