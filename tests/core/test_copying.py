"""What counts as copied code, and as copied words."""

import pytest

from engramia.core.copying import copied_code, copied_run


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("Fails at open(path, 'w') on a full disk", "Never write open(path, 'w') without a check."),
        ("`df.dropna(axis=1)` loses columns", "Do not call `df.dropna( axis = 1 )`."),
        ("rows[-1] is read of an empty list", "Check that rows[-1] exists."),
        ("Sets retries = 5 without a reason", "Say why retries=5."),
        ("def load_all(paths): reads everything", "Do not write def load_all(paths)."),
        ("```\nimport pickle\npickle.loads(blob)\n```", "Never use pickle.loads(blob)."),
        ("Uses SELECT name FROM users WHERE 1", "Avoid SELECT name FROM users WHERE 1."),
        ("Writes to /srv/app/cache.db", "Keep out of /srv/app/cache.db."),
        ("for row in cursor.fetchall(): is slow", "Do not write for row in cursor.fetchall():"),
    ],
)
def test_code_is_found_again_whatever_its_spaces(source: str, text: str) -> None:
    assert copied_code(text, source)
    assert copied_code(text, source, known=text) is None
    assert copied_code("Handle errors and close what was opened.", source) is None


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("Does not close the file(s)", "Close the file(s) at the end."),
        ("FileNotFoundError when reading input", "Expect FileNotFoundError when reading input."),
        ("Returns `None` for empty input", "Never return `None` for empty input."),
        ("No error handling (see above) for I/O", "Add error handling for I/O."),
        ("Mixes input and/or output", "Separate input and/or output."),
    ],
)
def test_names_and_prose_are_no_code(source: str, text: str) -> None:
    assert copied_code(text, source) is None


def test_five_words_of_a_task_are_its_text() -> None:
    task = "Merge the quarterly invoices of all branches into one ledger"
    assert (
        copied_run("Always merge the quarterly invoices of a firm.", task)
        == "merge the quarterly invoices of"
    )
    assert copied_run("Merge invoices, quarterly ones too.", task) is None
    assert copied_run("of all branches into one", "of all the others into one of them", known="") is None


def test_a_short_task_counts_as_a_whole_and_two_words_do_not() -> None:
    assert copied_run("To parse a CSV file, use a library.", "Parse a CSV file!") == "parse a csv file"
    assert copied_run("Parse a file with care.", "Parse a CSV file!") is None
    assert copied_run("Sort lists in place.", "Sort lists") is None


def test_what_the_original_says_itself_is_not_copied() -> None:
    original = "You parse a CSV file."
    assert copied_run("You parse a CSV file quickly.", "Parse a CSV file", known=original) is None
