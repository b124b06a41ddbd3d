"""Learn, recall, refine, show, list, delete on a real folder, words alone."""

from pathlib import Path

import pytest

from engramia.cli.exit_codes import ExitCode
from engramia.core import limits
from tests.cli.conftest import Cli


def test_what_was_learned_is_recalled_as_json(cli: Cli, learned: str) -> None:
    ended = cli("recall", "merge two CSV files by their id column", "--json", "--readonly")
    assert ended.code == 0
    [match] = ended.document["matches"]
    assert match["pattern_key"] == learned
    assert match["pattern"]["code"] == "merge(a, b)"
    assert match["pattern"]["source"] == "cli"
    assert match["pattern"]["success_score"] == 8
    assert match["reuse_tier"] == "duplicate"
    assert ended.document["has_more"] is False
    assert ended.document["degraded"] is True


def test_people_see_tier_words_key_and_a_notice_when_degraded(cli: Cli, learned: str) -> None:
    ended = cli("recall", "merge two CSV files by their id column")
    assert "duplicate" in ended.out
    assert "use as is" in ended.out
    assert learned in ended.out
    assert "\x1b[" not in ended.out
    assert "words alone" in ended.err
    assert "no embedding model" in ended.err


@pytest.mark.usefixtures("learned")
def test_explain_shows_the_parts_and_the_differences(cli: Cli) -> None:
    task = "Merge 3 CSV files by their id column"
    document = cli("recall", task, "--explain", "--json").document
    explanation = document["matches"][0]["explanation"]
    assert explanation["quality"] == pytest.approx(0.9)
    assert explanation["differences"]
    shown = cli("recall", task, "--explain").out
    assert "differs:" in shown
    assert "quality 0.90" in shown


@pytest.mark.usefixtures("learned")
def test_code_prints_the_best_match_and_nothing_else(cli: Cli) -> None:
    ended = cli("recall", "merge two CSV files by their id column", "--code")
    assert (ended.code, ended.out, ended.err) == (0, "merge(a, b)\n", "")


@pytest.mark.usefixtures("learned")
def test_code_says_on_stderr_when_it_is_not_for_this_task(cli: Cli) -> None:
    ended = cli("recall", "Merge 3 CSV files by their id column", "--code")
    assert ended.out == "merge(a, b)\n"
    assert "Tier adapt" in ended.err


@pytest.mark.usefixtures("learned")
def test_nothing_found_is_an_answer_but_no_code_to_pipe(cli: Cli) -> None:
    nothing = cli("recall", "translate poetry", "--json")
    assert nothing.code == 0
    assert nothing.document["matches"] == []
    assert "Nothing stored fits" in cli("recall", "translate poetry").out
    no_code = cli("recall", "translate poetry", "--code")
    assert (no_code.code, no_code.out) == (ExitCode.NOT_FOUND, "")
    assert cli("recall", "translate poetry", "--code", "--json").document["error"] == "not_found"


@pytest.mark.usefixtures("learned")
def test_pages_tell_how_to_go_on(cli: Cli) -> None:
    cli("learn", "-t", "Merge CSV files from a folder into one", "--code", "x", "-s", "5")
    first = cli("recall", "merge CSV files", "--limit", "1", "--json").document
    assert (first["has_more"], first["next_offset"]) == (True, 1)
    assert "--offset 1" in cli("recall", "merge CSV files", "--limit", "1").out
    second = cli("recall", "merge CSV files", "--limit", "1", "--offset", "1", "--json").document
    assert second["matches"][0]["pattern_key"] != first["matches"][0]["pattern_key"]


@pytest.mark.usefixtures("learned")
def test_filters_reach_the_search(cli: Cli) -> None:
    for unfit in (("--min-score", "9"), ("--source", "api"), ("--classification", "public")):
        assert cli("recall", "merge two CSV files", *unfit, "--json").document["matches"] == []
    for fit in (("--min-score", "8"), ("--source", "cli"), ("--classification", "internal")):
        assert len(cli("recall", "merge two CSV files", *fit, "--json").document["matches"]) == 1


def test_a_worse_run_of_the_same_task_is_not_stored_and_a_better_one_is(cli: Cli, learned: str) -> None:
    task = ("--task", "merge two csv files by their ID column.")
    worse = cli("learn", *task, "--code", "worse()", "--score", "3")
    assert "Not stored" in worse.out
    better = cli("learn", *task, "--code", "better()", "--score", "9", "--json").document
    assert better == {"stored": True, "pattern_count": 1, "pattern_key": learned, "duplicate_of": learned}
    record = cli("show", learned, "--json").document
    assert record["code"] == "better()"
    assert [version["code"] for version in record["versions"]] == ["merge(a, b)"]


@pytest.mark.usefixtures("learned")
def test_on_duplicate_keeps_both_when_asked(cli: Cli) -> None:
    again = ("learn", "-t", "Merge two CSV files by their id column", "--code", "y", "-s", "1", "--json")
    assert cli(*again, "--on-duplicate", "keep_both").document["pattern_count"] == 2
    assert cli(*again, "--on-duplicate", "skip").document["stored"] is False


def test_learn_takes_code_and_output_from_files_with_tags_and_ids(cli: Cli, tmp_path: Path) -> None:
    code, output = tmp_path / "code.py", tmp_path / "out.txt"
    code.write_text("\ufeffprint('Grüße')\n", encoding="utf-8")
    output.write_text("Grüße\n", encoding="utf-8")
    files = ("--code-file", str(code), "--output-file", str(output))
    more = ("--skill", "Python", "--skill", "i18n", "--run-id", "run-7", "--classification", "public")
    key = cli("learn", "-t", "Print greetings", *files, *more, "-s", "10", "--json").document["pattern_key"]
    record = cli("show", key, "--json").document
    assert record["code"] == "print('Grüße')\n"
    assert record["output"] == "Grüße\n"
    assert record["skills"] == ["python", "i18n"]
    assert (record["run_id"], record["classification"]) == ("run-7", "public")


@pytest.mark.slow  # a real process
def test_learn_reads_code_from_standard_input(cli: Cli, process: Cli) -> None:
    ended = process("learn", "-t", "Say hello", "-s", "9", "-", "--json", stdin=b"print('hello')\n")
    assert ended.code == 0, ended
    assert cli("recall", "say hello", "--code").out == "print('hello')\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "Give the code once"),
        (("--code", "x", "-"), "Give the code once"),
        (("elsewhere",), "only - is taken"),
        (("--code", "x", "--output", "a", "--output-file", "b"), "Give the output once"),
        (("--code", "  "), "code must not be blank"),
        (("--code-file", "not-there.py"), "Cannot read not-there.py"),
    ],
)
def test_learn_says_what_is_wrong_with_its_input(cli: Cli, arguments: tuple[str, ...], says: str) -> None:
    ended = cli("learn", "-t", "A task", "-s", "5", *arguments)
    assert ended.code == ExitCode.USAGE
    assert says in ended.err
    assert ended.out == ""


def test_a_file_that_is_not_utf8_is_named_with_the_byte(cli: Cli, tmp_path: Path) -> None:
    code = tmp_path / "latin.py"
    code.write_bytes(b"name = 'K\xf6ln'\n")
    ended = cli("learn", "-t", "A task", "-s", "5", "--code-file", str(code))
    assert ended.code == ExitCode.USAGE
    assert "not UTF-8" in ended.err
    assert "byte 9 is 0xf6" in ended.err


def test_a_huge_file_is_refused_without_being_read_whole(cli: Cli, tmp_path: Path) -> None:
    huge = tmp_path / "huge.py"
    with huge.open("wb") as file:
        file.truncate(200 * 10**9)
    ended = cli("learn", "-t", "A task", "-s", "5", "--code-file", str(huge))
    assert ended.code == ExitCode.USAGE
    assert f"{limits.CODE_MAX_CHARS:,} characters" in ended.err


def test_refine_adds_an_observation_and_counts_feedback(cli: Cli, learned: str) -> None:
    short = learned.partition("/")[2]
    refine = ("refine", short, "4", "--feedback", "fails on an empty file", "--json")
    assert cli(*refine).code == 0
    ended = cli(*refine)
    assert [seen["score"] for seen in ended.document["observations"]] == [8, 4, 4]
    shown = cli("show", learned).out
    assert "fails on an empty file" in shown
    assert "merge(a, b)" in shown


def test_list_shows_newest_first_and_pages(cli: Cli, learned: str) -> None:
    cli("learn", "-t", "Plot a chart", "--code", "plot()", "-s", "6")
    page = cli("list", "--limit", "1", "--json").document
    assert page["patterns"][0]["task"] == "Plot a chart"
    assert page["next_offset"] == 1
    assert "--offset 1" in cli("list", "--limit", "1").out
    assert [one["pattern_key"] for one in cli("list", "--offset", "1", "--json").document["patterns"]] == [
        learned
    ]


def test_an_empty_list_says_what_to_do(cli: Cli) -> None:
    ended = cli("list")
    assert ended.code == 0
    assert "engramia learn" in ended.out


@pytest.mark.slow  # a real process
def test_delete_needs_yes_where_nobody_can_be_asked(cli: Cli, process: Cli, learned: str) -> None:
    refused = process("delete", learned)
    assert refused.code == ExitCode.USAGE
    assert "--yes" in refused.err
    assert cli("delete", learned, "--yes", "--json").document == {"deleted": True, "pattern_key": learned}
    assert cli("show", learned).code == ExitCode.NOT_FOUND


def test_stored_control_characters_do_not_reach_the_terminal(cli: Cli) -> None:
    cli("learn", "-t", "Clear \x1b[2J the screen", "--code", "x", "-s", "5")
    assert "\x1b" not in cli("list").out
    assert "\x1b" not in cli("recall", "clear the screen").out
