"""Record the demo's agent runs: execute every solution, judge it by its checks, write `runs.jsonl`.

    python -m benchmarks.record_demo                               # execute all and write the file
    python -m benchmarks.record_demo --check                       # execute all and compare with the file
    python -m benchmarks.record_demo --check --languages python,bash,sql

Each check runs in an empty temporary folder with a small fixed environment and a deadline.
The score, 0 to 10:

- 0 when the example runs into the deadline, 1 when it crashes (2 when some other check passes),
- 3 when it runs but no check passes, 4 + 2 x (checks passed / checks) when some pass,
- 10 when all pass, less 0.5 when there is only one check, 0.25 when it wrote to stderr, 0.25 when a line is
  longer than 100 characters, 0.25 when it has more than 30 lines.

The recorded output is that of the first failed check, else of the example: stdout, cut; the line of stderr
that names the error; the exit status. Folder and port are taken out of it, so recording again gives the same
bytes but for `recorded_at` and `tools`. Failed runs carry feedback: what a reviewer says, and the error that
really came.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.demo_sources.scripted_server import serve
from benchmarks.demo_sources.tasks import Check, Task, load_tasks

RUNS = Path(__file__).parents[1] / "src" / "engramia" / "demo" / "runs.jsonl"
STDOUT_CHARS = 1_200
EVIDENCE_CHARS = 200
VOLATILE = frozenset({"recorded_at", "tools"})

_SQL_RUNNER = Path(__file__).parent / "demo_sources" / "run_sql.py"
_SOURCE_NAMES = {
    "python": "main.py",
    "bash": "main.sh",
    "awk": "main.awk",
    "sql": "main.sql",
    "javascript": "main.mjs",
    "c": "main.c",
}
_TOOLS = {"bash": "bash", "awk": "awk", "javascript": "node", "c": "gcc"}
_VERSION_ARGS = {
    "bash": ["--version"],
    "awk": ["-W", "version"],
    "javascript": ["--version"],
    "c": ["-dumpversion"],
}
_ERROR_LINE = re.compile(r"\b\w*[Ee]rror\b")


@dataclass(frozen=True, slots=True)
class Execution:
    """What one program did: `status` is its exit code, None if it was killed at the deadline."""

    stdout: str
    stderr: str
    status: int | None


@dataclass(frozen=True, slots=True)
class Judged:
    """One check and what came of it."""

    check: Check
    execution: Execution

    @property
    def passed(self) -> bool:
        ran = self.execution.status == 0
        return ran and self.execution.stdout.strip() == self.check.expect.strip()


def available(language: str) -> bool:
    """Say whether this machine can run `language`; Python and SQL (by sqlite3) always can."""
    tool = _TOOLS.get(language)
    return tool is None or shutil.which(tool) is not None


def record(task: Task) -> dict[str, Any]:
    """Execute `task`, return its line of `runs.jsonl`; ValueError if it fares other than its author says."""
    judged = [Judged(check, execute(task, check)) for check in task.checks]
    outcome = classify(judged)
    if outcome != task.outcome:
        failed = next((entry for entry in judged if not entry.passed), judged[0])
        raise ValueError(f"{task.id}: expected {task.outcome}, but it {outcome}: {evidence(failed)}")
    shown = next((entry for entry in judged if not entry.passed), judged[0])
    return {
        "id": task.id,
        "task": task.task,
        "language": task.language,
        "skills": list(task.skills),
        "code": task.code,
        "output": captured(shown.execution, task.deadline),
        "eval_score": score(task, judged),
        "feedback": None if outcome == "passed" else f"{task.feedback}: {evidence(shown)}",
        "checks": {"passed": sum(entry.passed for entry in judged), "total": len(judged)},
        "recorded_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "tools": {task.language: tool_version(task.language)},
    }


def classify(judged: Sequence[Judged]) -> str:
    """Return 'passed', 'timeout' or 'crashed' (the example did), 'wrong' (no check passed) or 'partly'."""
    example = judged[0].execution
    if all(entry.passed for entry in judged):
        return "passed"
    if example.status is None:
        return "timeout"
    if example.status != 0:
        return "crashed"
    return "partly" if any(entry.passed for entry in judged) else "wrong"


def score(task: Task, judged: Sequence[Judged]) -> float:
    """Return the eval score, 0 to 10, by the rule in the module's docstring."""
    passed = sum(entry.passed for entry in judged)
    match classify(judged):
        case "passed":
            return 10.0 - _deductions(task, judged)
        case "timeout":
            return 0.0
        case "crashed":
            return 2.0 if passed else 1.0
        case "wrong":
            return 3.0
        case _:
            return round(4 + 2 * passed / len(judged), 2)


def _deductions(task: Task, judged: Sequence[Judged]) -> float:
    lines = task.code.splitlines()
    return (
        0.5 * (len(judged) == 1)
        + 0.25 * any(entry.execution.stderr.strip() for entry in judged)
        + 0.25 * any(len(line) > 100 for line in lines)
        + 0.25 * (len(lines) > 30)
    )


def evidence(judged: Judged) -> str:
    """Return one line that says what really happened: the error, or the first line that differs."""
    execution = judged.execution
    if execution.status is None:
        return "no end before the deadline, killed"
    if execution.status != 0:
        return error_line(execution.stderr) or f"exit status {execution.status}"
    wanted, got = judged.check.expect.strip().splitlines(), execution.stdout.strip().splitlines()
    for number in range(max(len(wanted), len(got))):
        want = repr(wanted[number]) if number < len(wanted) else "the end"
        have = repr(got[number]) if number < len(got) else "the end"
        if want != have:
            return f"line {number + 1} should be {want}, is {have}"[:EVIDENCE_CHARS]
    return "as expected"


def error_line(stderr: str) -> str:
    """Return the last line of `stderr` that names an error, else its last line; empty if it is silent."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    named = [line for line in lines if _ERROR_LINE.search(line)]
    return (named or lines or [""])[-1][:EVIDENCE_CHARS]


def captured(execution: Execution, deadline: float) -> str:
    """Return the output as recorded: stdout, the error's line, and how it ended unless it ended well."""
    stdout = execution.stdout.rstrip("\n")
    parts = [stdout if len(stdout) <= STDOUT_CHARS else stdout[:STDOUT_CHARS] + "\n[cut]"]
    parts += [f"[stderr] {line}"] if (line := error_line(execution.stderr)) else []
    if execution.status is None:
        parts.append(f"[killed after {deadline:g} s]")
    elif execution.status != 0:
        parts.append(f"[exit {execution.status}]")
    return "\n".join(part for part in parts if part)


def execute(task: Task, check: Check) -> Execution:
    """Run `task`'s code on one check's files, arguments and server, in a folder that is gone afterwards."""
    with (
        tempfile.TemporaryDirectory(prefix="record-") as name,
        serve(check.routes) if check.routes else nullcontext("") as url,
    ):
        folder = Path(name).resolve()
        _fill(folder, check)
        source = folder / _SOURCE_NAMES[task.language]
        source.write_text(task.code, encoding="utf-8")
        built = _build(task, folder)
        if built.status != 0:
            return _cleaned(built, folder, url)
        args = [argument.replace("{url}", url) for argument in check.args]
        return _cleaned(_run(_command(task, args), folder, check.stdin, task.deadline), folder, url)


def _fill(folder: Path, check: Check) -> None:
    for name, content in check.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    if check.setup:
        subprocess.run([_tool("bash"), "-ec", check.setup], cwd=folder, env=_environment(folder), check=True)


def _build(task: Task, folder: Path) -> Execution:
    if task.language != "c":
        return Execution("", "", 0)
    return _run([_tool("c"), "-O1", "-Wall", "-o", "main", "main.c", "-lm"], folder, "", task.deadline)


def _command(task: Task, args: Sequence[str]) -> list[str]:
    source = _SOURCE_NAMES[task.language]
    match task.language:
        case "python":
            return [sys.executable, source, *args]
        case "sql":
            return [sys.executable, str(_SQL_RUNNER), "schema.sql", source]
        case "awk":
            return [_tool("awk"), "-f", source, *args]
        case "c":
            return ["./main", *args]
        case _:
            return [_tool(task.language), source, *args]


def _tool(language: str) -> str:
    found = shutil.which(_TOOLS[language])
    if found is None:
        raise FileNotFoundError(f"{_TOOLS[language]} is not on this machine; it runs the {language} tasks")
    return found


def _run(command: Sequence[str], folder: Path, stdin: str, deadline: float) -> Execution:
    # A session of its own: at the deadline the program's children go with it.
    with subprocess.Popen(
        command,
        cwd=folder,
        env=_environment(folder),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    ) as program:
        try:
            stdout, stderr = program.communicate(stdin, timeout=deadline)
        except subprocess.TimeoutExpired:
            os.killpg(program.pid, signal.SIGKILL)
            stdout, stderr = program.communicate()
            return Execution(stdout, stderr, None)
        return Execution(stdout, stderr, program.returncode)


def _environment(folder: Path) -> dict[str, str]:
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(folder),
        "TZ": "UTC",
        "LC_ALL": "C.UTF-8",
        "PYTHONUTF8": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _cleaned(execution: Execution, folder: Path, url: str) -> Execution:
    def clean(text: str) -> str:
        text = text.replace(f"{folder}/", "").replace(str(folder), ".")
        return text.replace(url, "http://127.0.0.1:PORT") if url else text

    return Execution(clean(execution.stdout), clean(execution.stderr), execution.status)


def tool_version(language: str) -> str:
    """Return the version of what runs `language` here, one line."""
    if language == "python":
        return ".".join(str(part) for part in sys.version_info[:3])
    if language == "sql":
        code = "import sqlite3; print(sqlite3.sqlite_version)"
        command = [sys.executable, "-c", code]
    else:
        command = [_tool(language), *_VERSION_ARGS[language]]
    said = subprocess.run(
        command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    ).stdout
    return said.splitlines()[0].strip() if said.strip() else "unknown"


def as_line(run: Mapping[str, Any]) -> str:
    """Return `run` as a line of the file."""
    return json.dumps(run, ensure_ascii=False) + "\n"


def stable(run: Mapping[str, Any]) -> str:
    """Return what recording `run` again must give byte for byte."""
    return as_line({name: value for name, value in run.items() if name not in VOLATILE})


def differences(
    languages: Collection[str], recorded: Path = RUNS, *, only: Collection[str] | None = None
) -> list[str]:
    """Execute the tasks in `languages` (those in `only`) again; say, a line each, what is not as recorded."""
    lines = [json.loads(line) for line in recorded.read_text(encoding="utf-8").splitlines()]
    tasks = load_tasks()
    found = (
        []
        if [run["id"] for run in lines] == [task.id for task in tasks]
        else ["other runs, or in other order"]
    )
    held = {run["id"]: run for run in lines}
    for task in tasks:
        chosen = task.language in languages and (only is None or task.id in only)
        if chosen and task.id in held and (changed := _changed(record(task), held[task.id])):
            found.append(f"{task.id}: {changed}")
    return found


def _changed(again: Mapping[str, Any], held: Mapping[str, Any]) -> str:
    if stable(again) == stable(held):
        return ""
    names = (again.keys() | held.keys()) - VOLATILE
    return ", ".join(sorted(name for name in names if again.get(name) != held.get(name))) or "order of fields"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with runs.jsonl instead of writing it")
    parser.add_argument("--languages", default=",".join(_SOURCE_NAMES), help="with --check: only these")
    chosen = parser.parse_args(arguments)
    if not chosen.check:
        RUNS.write_text("".join(as_line(record(task)) for task in load_tasks()), encoding="utf-8")
        print(f"wrote {RUNS.name}: {RUNS.stat().st_size} bytes")
        return 0
    languages = [language for language in chosen.languages.split(",") if available(language)]
    found = differences(languages)
    print("\n".join(found) or f"runs.jsonl is what running the tasks gives ({', '.join(languages)})")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
