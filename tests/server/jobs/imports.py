"""Records to import as a job, and what an import of them that nothing interrupts answers."""

from collections.abc import Mapping
from typing import Any

from engramia.core import limits
from engramia.memory.facade import Memory
from engramia.server.jobs.handlers import GoOn
from engramia.server.kit.operations import Asked, Document, Unfinished
from engramia.server.memory.importing import import_part
from engramia.server.memory.schemas import ImportRequest
from tests.contract.samples import key

BATCH = limits.EMBED_BATCH
COUNT = 2 * BATCH + 88
"""Three batches."""
BAD, AGAIN = (3, BATCH + 7), COUNT - 1
"""Where records are that stay out: for want of a task, or since one of the first batch has the key."""
EXPECTED: Mapping[str, Any] = {
    "imported": COUNT - 3,
    "skipped": 3,
    "total": COUNT,
    "reasons": [
        *({"index": place, "key": key(place), "reason": "task must not be blank."} for place in BAD),
        {"index": AGAIN, "key": key(0), "reason": "the key is already there; overwrite replaces it"},
    ],
}


def records(code: str = "x = 1") -> list[dict[str, Any]]:
    data = {"code": code, "success_score": 5}
    made = [
        {"version": 1, "key": key(number), "data": {"task": f"task number {number}"} | data}
        for number in range(COUNT)
    ]
    for place in BAD:
        made[place] = {"version": 1, "key": key(place), "data": {"task": " "} | data}
    made[AGAIN] = made[0]
    return made


def begin(request: Document) -> GoOn:
    """Begin an import as the service does."""
    asked = Asked(ImportRequest.model_validate(request))

    def go_on(memory: Memory, progress: Document | None) -> Document | Unfinished:
        return import_part(memory, asked, progress)

    return go_on
