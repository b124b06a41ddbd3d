"""Run a SQL script against a fresh SQLite database: `run_sql.py schema.sql main.sql`.

Prints the rows of each query, a header line first, fields joined by `|`; NULL prints as an empty field.
"""

import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path


def main(schema: str, script: str) -> None:
    connection = sqlite3.connect(":memory:")
    connection.executescript(Path(schema).read_text(encoding="utf-8"))
    for statement in _statements(Path(script).read_text(encoding="utf-8")):
        cursor = connection.execute(statement)
        if cursor.description:
            _print_row(column[0] for column in cursor.description)
            for row in cursor:
                _print_row("" if value is None else str(value) for value in row)
    connection.close()


def _print_row(fields: Iterator[str]) -> None:
    sys.stdout.write("|".join(fields) + "\n")


def _statements(script: str) -> Iterator[str]:
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
    if pending.strip():
        yield pending


if __name__ == "__main__":
    main(*sys.argv[1:])
