"""The patterns of a scope in rows: texts in tuples, what is searched and counted in numpy columns."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engramia.core.model import Classification, Pattern, PatternRecord, Source
from engramia.providers.json import codec

CLASSIFICATIONS = tuple(Classification)
SOURCES = tuple(Source)
KEY_PREFIX = "patterns/"
_FIRST_ROWS = 64


class Body(NamedTuple):
    """What of a pattern no search filters by. Versions and observations are as the journal has them."""

    key: str
    task: str
    code: str
    output: str | None
    run_id: str | None
    author: str | None
    skills: tuple[str, ...]
    versions: tuple[dict[str, Any], ...]
    observations: tuple[dict[str, Any], ...]


class Columns:
    """One value per row in each column; rows beyond `size` and rows not `alive` mean nothing."""

    def __init__(self) -> None:
        self.size = 0
        self.alive = np.zeros(_FIRST_ROWS, dtype=np.bool_)
        self.dense = np.zeros(_FIRST_ROWS, dtype=np.bool_)
        """Whether the row has a vector of the store's model."""
        self.key = np.zeros(_FIRST_ROWS, dtype="S26")
        self.score = np.zeros(_FIRST_ROWS, dtype=np.float64)
        self.quality = np.zeros(_FIRST_ROWS, dtype=np.float64)
        self.created = np.zeros(_FIRST_ROWS, dtype=np.int64)
        self.decayed = np.zeros(_FIRST_ROWS, dtype=np.int64)
        self.reuse = np.zeros(_FIRST_ROWS, dtype=np.int64)
        self.classification = np.zeros(_FIRST_ROWS, dtype=np.int8)
        self.source = np.zeros(_FIRST_ROWS, dtype=np.int8)

    def extend(self, size: int) -> None:
        """Make room for `size` rows."""
        self.size = max(self.size, size)
        if size <= len(self.alive):
            return
        room = max(size, len(self.alive) * 3 // 2)
        for name, column in vars(self).items():
            if name != "size":
                grown = np.zeros(room, dtype=column.dtype)
                grown[: len(column)] = column
                setattr(self, name, grown)

    def copy(self) -> "Columns":
        """Return the columns as they are now."""
        copied = Columns.__new__(Columns)
        for name, column in vars(self).items():
            setattr(copied, name, column if name == "size" else column[: self.size].copy())
        return copied

    def ranked(self, rows: NDArray[np.intp], value: NDArray[Any]) -> NDArray[np.intp]:
        """Return `rows` by descending `value` (one per row of `rows`), ties by descending key."""
        by_key = np.argsort(self.key[rows])
        order = np.argsort(value[by_key], kind="stable")
        ranked: NDArray[np.intp] = rows[by_key[order[::-1]]]
        return ranked


def pattern_of(body: Body, columns: Columns, row: int, model: str | None) -> Pattern:
    """Return the pattern in `row`; `model` is the store's embedding model."""
    return Pattern(
        key=body.key,
        task=body.task,
        code=body.code,
        output=body.output,
        success_score=float(columns.score[row]),
        created_at=codec.moment_of(int(columns.created[row])),
        decayed_at=codec.moment_of(int(columns.decayed[row])),
        reuse_count=int(columns.reuse[row]),
        classification=CLASSIFICATIONS[columns.classification[row]],
        source=SOURCES[columns.source[row]],
        run_id=body.run_id,
        author=body.author,
        skills=body.skills,
        embedding_model=model if columns.dense[row] else None,
    )


def record_of(body: Body, columns: Columns, row: int, model: str | None) -> PatternRecord:
    """Return the pattern in `row` with its history."""
    return PatternRecord(
        pattern_of(body, columns, row, model),
        tuple(map(codec.decode_version, body.versions)),
        tuple(map(codec.decode_observation, body.observations)),
    )
