"""The data sets that quality is measured on: read where they lie, never copied into the project."""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

type Row = dict[str, Any]

_DEFAULT = Path(__file__).resolve().parents[2] / "shared" / "data"


def folder() -> Path:
    """Return the folder of the data sets: `ENGRAMIA_BENCH_DATA`, or `shared/data` beside the checkout."""
    return Path(os.environ.get("ENGRAMIA_BENCH_DATA", _DEFAULT))  # noqa: TID251 - benchmarks stand outside the package


def missing() -> str | None:
    """Return the sentence that says the data is not there, or None if it is."""
    if any(folder().glob("*.jsonl")):
        return None
    return f"No data sets in {folder()}; set ENGRAMIA_BENCH_DATA to the folder that holds the *.jsonl files."


def rows(name: str) -> list[Row]:
    """Return the rows of `<name>.<split>.jsonl`, in file order."""
    with _path(name).open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def sha256(name: str) -> str:
    """Return the checksum of the set's file, so that a figure names the data it came from."""
    return hashlib.sha256(_path(name).read_bytes()).hexdigest()


def sqlite_file(database: str) -> Path:
    """Return the SQLite file of a Spider database."""
    return folder() / "spider_sqlite" / f"{database}.sqlite"


def _path(name: str) -> Path:
    return next(folder().glob(f"{name}.*.jsonl"))


@dataclass(frozen=True)
class RecallSet:
    """Stored tasks, and queries with the ids of the stored tasks that answer them (none if absent)."""

    name: str
    stored: list[Row]
    queries: list[Row]

    @property
    def answerable(self) -> list[Row]:
        return [query for query in self.queries if query["relevant"]]


def recall_sets() -> list[RecallSet]:
    """Return the four sets that recall is measured on."""
    return [
        _by_role("spider_sql_recall"),
        _by_role("nl2bash_recall"),
        RecallSet(
            "mbpp_back_translated",
            rows("mbpp_runs"),
            [
                _with_equals(row)
                for row in rows("mbpp_paraphrase")
                if row["perturbation"] == "BackTranslation"
            ],
        ),
        RecallSet(
            "mbpp_paraphrase", rows("mbpp_runs"), [_with_equals(row) for row in rows("mbpp_paraphrase")]
        ),
        _by_role("humaneval_paraphrase"),
    ]


def _with_equals(row: Row) -> Row:
    """Count patterns that solve the query just as well (checked by execution) as relevant too."""
    return row | {"relevant": [*row["relevant"], *row.get("also_ok", [])]}


def _by_role(name: str) -> RecallSet:
    everything = rows(name)
    return RecallSet(
        name,
        [row for row in everything if row["role"] == "stored"],
        [row for row in everything if row["role"] == "query"],
    )
