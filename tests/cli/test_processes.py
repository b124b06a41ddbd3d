"""The command as a process of its own: terminals, pipes, signals, what is not installed."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from engramia.bootstrap import Memory
from engramia.cli import INSTALL
from engramia.cli.exit_codes import ExitCode
from engramia.settings import Settings
from tests.cli.conftest import COMMAND, Cli, process_environment

pytestmark = pytest.mark.slow  # real processes

COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-7]m")
WITHOUT_TYPER = """
import sys
from importlib.machinery import PathFinder

class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name in {"typer", "rich"} else super().find_spec(name, path, target)

sys.meta_path = [Without if finder is PathFinder else finder for finder in sys.meta_path]
from engramia.cli import main
main()
"""


def record(number: int) -> dict[str, Any]:
    key = f"patterns/{number:026d}"
    return {"version": 1, "key": key, "data": {"task": f"Task {number}", "code": "x", "success_score": 5}}


def lines(count: int) -> bytes:
    return b"".join(json.dumps(record(number)).encode() + b"\n" for number in range(count))


def on_a_terminal(
    data_path: Path, *arguments: str, typed: bytes = b"", **environment: str
) -> tuple[int, str]:
    """Run a command on a pseudo terminal and return its exit code and what stood there."""
    leader, follower = pty.openpty()
    more = {"TERM": "xterm-256color", "COLUMNS": "100", **environment}
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env=process_environment(data_path, **more),
    )
    os.close(follower)
    os.write(leader, typed)
    shown = b""
    while select.select([leader], [], [], 30)[0]:
        try:
            chunk = os.read(leader, 65536)
        except OSError:  # Linux says so when the other side is closed.
            break
        if not chunk:
            break
        shown += chunk
    os.close(leader)
    return process.wait(timeout=30), shown.decode()


def test_without_the_extra_it_says_what_to_install(data_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TYPER],
        capture_output=True,
        text=True,
        check=False,
        env=process_environment(data_path),
    )
    assert done.returncode == ExitCode.UNEXPECTED
    assert INSTALL in done.stderr
    assert "Traceback" not in done.stderr


def test_colours_on_a_terminal_and_none_with_no_color(cli: Cli, data_path: Path) -> None:
    cli("learn", "-t", "Merge two files", "--code", "x", "-s", "9")
    code, shown = on_a_terminal(data_path, "recall", "merge two files")
    assert code == 0
    assert COLOUR.search(shown)
    code, shown = on_a_terminal(data_path, "recall", "merge two files", NO_COLOR="1")
    assert code == 0
    assert "duplicate" in shown
    assert not COLOUR.search(shown)


def test_delete_asks_on_a_terminal(cli: Cli, data_path: Path) -> None:
    key = cli("learn", "-t", "Merge two files", "--code", "x", "-s", "9", "--json").document["pattern_key"]
    code, shown = on_a_terminal(data_path, "delete", key, typed=b"n\n")
    assert code == ExitCode.USAGE
    assert "Merge two files" in shown
    assert "Nothing was deleted" in shown
    code, shown = on_a_terminal(data_path, "delete", key, typed=b"y\n")
    assert (code, "Deleted" in shown) == (0, True)


def test_import_shows_progress_on_a_terminal_only(cli: Cli, data_path: Path, tmp_path: Path) -> None:
    file = tmp_path / "many.ndjson"
    file.write_bytes(lines(600))
    code, shown = on_a_terminal(data_path, "import", str(file))
    assert code == 0
    assert "600 records" in shown
    quiet = cli("import", str(file), "--overwrite")
    assert (quiet.code, quiet.err) == (0, "")


def test_a_reader_that_goes_away_is_no_error(data_path: Path) -> None:
    with Memory(settings=Settings(data_path=data_path), embeddings=None) as memory:
        memory.import_data(record(number) for number in range(3000))
    for arguments in (("export",), ("list", "--limit", "1000")):
        command = subprocess.Popen(
            [*COMMAND, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=process_environment(data_path),
        )
        assert command.stdout is not None
        assert command.stderr is not None
        command.stdout.read(10)
        command.stdout.close()
        assert command.stderr.read() == b""
        assert command.wait(timeout=30) == ExitCode.BROKEN_PIPE
        command.stderr.close()


def test_an_output_that_cannot_be_written_is_an_error(data_path: Path) -> None:
    with Memory(settings=Settings(data_path=data_path), embeddings=None) as memory:
        memory.import_data(record(number) for number in range(3))
    for arguments in (("export",), ("list",), ("list", "--json")):
        with Path("/dev/full").open("wb") as full:
            done = subprocess.run(
                [*COMMAND, *arguments],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
                env=process_environment(data_path),
            )
        assert done.returncode == ExitCode.STORAGE, arguments
        assert "No space left" in done.stderr
        assert "Traceback" not in done.stderr


def stored(data_path: Path) -> int:
    with Memory(settings=Settings(data_path=data_path), embeddings=None) as memory:
        return memory.metrics().pattern_count


def test_ctrl_c_in_an_import_keeps_what_is_done(data_path: Path) -> None:
    # A shell's background job ignores the signal, and its children would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    command = subprocess.Popen(
        [*COMMAND, "import", "-", "--json"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=process_environment(data_path),
    )
    assert command.stdin is not None
    command.stdin.write(lines(300))
    command.stdin.flush()
    deadline = time.monotonic() + 30
    while stored(data_path) < 256 and time.monotonic() < deadline:
        time.sleep(0.05)
    command.send_signal(signal.SIGINT)
    out, err = command.communicate(timeout=30)
    assert command.returncode == ExitCode.INTERRUPTED, err
    document = json.loads(out)
    assert document["error"] == "interrupted"
    assert document["processed"] == 256
    assert stored(data_path) == 256


def test_help_loads_nothing_heavy(data_path: Path) -> None:
    heavy = (
        "rich",
        "onnxruntime",
        "tokenizers",
        "openai",
        "engramia.providers.json.storage",
        "engramia.cli.tables",
        "engramia.cli.checks",
        "engramia.cli.rehearsal",
        "engramia.cli.stopwatch",
    )
    code = (
        "import sys; from engramia.cli.app import run; run(['recall', '--help']); print(sorted(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=process_environment(data_path),
    )
    loaded = done.stdout.splitlines()[-1]
    assert "engramia.cli.app" in loaded
    assert [module for module in heavy if f"'{module}'" in loaded] == []


def test_two_commands_work_on_one_folder_at_once(data_path: Path) -> None:
    def learn(number: int) -> subprocess.Popen[bytes]:
        code = ("--code", "x", "-s", "5", "--on-duplicate", "keep_both")
        return subprocess.Popen(
            [*COMMAND, "learn", "-t", f"Task {number}", *code],
            stdout=subprocess.DEVNULL,
            env=process_environment(data_path),
        )

    assert [command.wait(timeout=60) for command in [learn(number) for number in range(4)]] == [0] * 4
    assert stored(data_path) == 4


def test_texts_of_any_language_pass_through_pipes(process: Cli) -> None:
    task = "Führe die Dateien zusammen 数据"
    plain = {"LANG": "C", "LC_ALL": "C"}
    assert process("learn", "-t", task, "--code", "x", "-s", "9", **plain).code == 0
    assert task in process("list", **plain).out
    latin = process("list", PYTHONIOENCODING="ascii", **plain)
    assert latin.code == 0
    assert "F?hre die Dateien zusammen ??" in latin.out
