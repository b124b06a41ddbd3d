"""Figures for people as they come, and for programs at the end."""

import sys


class Table:
    """Prints aligned rows to standard error as they are measured."""

    def __init__(self) -> None:
        self._widths: list[int] = []

    def start(self, title: str, columns: list[str]) -> None:
        """Begin a table."""
        self._widths = [max(len(column), 10) for column in columns]
        self._widths[0] = 24
        sys.stderr.write(f"\n{title}\n")
        self.row(*columns)

    def row(self, *values: object) -> None:
        """Print one row; floats with three digits."""
        cells = [f"{value:.3f}" if isinstance(value, float) else str(value) for value in values]
        line = "  ".join(cell.ljust(width) for cell, width in zip(cells, self._widths, strict=False))
        sys.stderr.write(f"{line.rstrip()}\n")
        sys.stderr.flush()
