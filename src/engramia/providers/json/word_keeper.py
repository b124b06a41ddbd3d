"""When a scope's word indexes are copied to the disk, and when they are taken from there."""

import logging
from functools import partial
from pathlib import Path

from engramia.providers.json import word_file
from engramia.providers.json.heap import give_back
from engramia.providers.json.patterns import PatternTable
from engramia.providers.json.rows import KEY_PREFIX
from engramia.providers.json.word_file import JournalState, WordCopy, copy_of, fingerprint

_LEAST_ROWS = 1_000  # fewer are cut in less time than the file takes
_CHANGED_SHARE = 4

_log = logging.getLogger(__name__)


class WordKeeper:
    """The copy of the word indexes in one scope's folder. A failure here costs time and nothing else."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._asked: PatternTable | None = None
        self._checked: JournalState | None = None
        self._current = False

    def offer(self, table: PatternTable, journal: JournalState | None) -> None:
        """Let a table that was just read take its words from the copy, when it is first asked for them."""
        if table is not self._asked and journal is not None:
            self._asked = table
            table.recollect = partial(self._recollect, journal)

    def _recollect(self, journal: JournalState, table: PatternTable) -> None:
        copy = word_file.read(self._folder, journal) if _is_worth(table) else None
        if copy is not None:
            table.take_words(copy, _rows_of(table, copy))
            del copy
            give_back()

    def keep(self, table: PatternTable, journal: JournalState | None) -> None:
        """Bring the copy up to date if that is worth it; called with other writers shut out."""
        if journal is None:
            return
        try:
            if self._checked != journal:
                self._check(journal)
            if self._is_due(table):
                # If it fails, not again before as much has changed once more.
                self._current, table.cut = True, 0
                word_file.write(self._folder, journal, _copied(table))
                give_back()
        except OSError as error:
            _log.info("The word index in %s was not kept: %s", self._folder, error)

    def _check(self, journal: JournalState) -> None:
        """See to it that no copy is left of a journal that may have let go of words."""
        self._checked, self._current = journal, True
        if word_file.state_of(self._folder) != journal:
            self._current = False
            word_file.remove(self._folder)

    def _is_due(self, table: PatternTable) -> bool:
        if self._current and table.cut < max(_LEAST_ROWS, len(table.rows) // _CHANGED_SHARE):
            return False
        return _is_worth(table) and table.is_cut


def _is_worth(table: PatternTable) -> bool:
    return len(table.rows) >= _LEAST_ROWS


def _rows_of(table: PatternTable, copy: WordCopy) -> list[int | None]:
    """Return in which row each row of the copy stands now, None where its text is not what it was."""
    found: list[int | None] = []
    for key, seen in zip(copy.keys.tolist(), copy.prints.tolist(), strict=True):
        row = table.rows.get(KEY_PREFIX + key.decode())
        same = row is not None and fingerprint(table.body(row)) == seen
        found.append(row if same else None)
    return found


def _copied(table: PatternTable) -> WordCopy:
    rows = sorted(table.rows.values())
    keys = table.columns.key[rows].tolist()
    prints = (fingerprint(table.body(row)) for row in rows)
    return copy_of(
        table.roots, table.task_words, table.code_words, list(zip(rows, keys, prints, strict=True))
    )
