"""The stdio server as a process of its own, started by the official client or by hand."""

import fcntl
import json
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from engramia.mcp.tools import TOOLS
from tests.mcp.clients import (
    COMMAND,
    DEADLINE_SECONDS,
    REVISIONS,
    Era,
    done,
    over_stdio,
    process_environment,
    refused,
    talk,
)
from tests.providers.llm_server import CHAT, llm_server

pytestmark = pytest.mark.slow  # real processes

TASK = "Merge two CSV files by their id column"
RUN = {"task": TASK, "code": "merge(a, b)", "eval_score": 8.0}


@contextmanager
def process(folder: Path, *options: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a server by hand."""
    with subprocess.Popen(
        [*COMMAND, *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=process_environment(folder, **environment),
    ) as started:
        try:
            yield started
        finally:
            started.kill()


def say(server: subprocess.Popen[bytes], method: str, params: Any = None, id: int | None = 1) -> None:
    message = {"jsonrpc": "2.0", "method": method, "params": params or {}}
    assert server.stdin is not None
    server.stdin.write(json.dumps(message if id is None else {**message, "id": id}).encode() + b"\n")
    server.stdin.flush()


def hear(server: subprocess.Popen[bytes]) -> Any:
    assert server.stdout is not None
    return json.loads(server.stdout.readline())


def greet(server: subprocess.Popen[bytes], version: str = "2024-11-05") -> Any:
    client = {"name": "old", "version": "1"}
    say(server, "initialize", {"protocolVersion": version, "capabilities": {}, "clientInfo": client})
    answer = hear(server)
    say(server, "notifications/initialized", id=None)
    return answer["result"]


def wait_until_full(server: subprocess.Popen[bytes]) -> None:
    """Wait until the server can write no more: what its pipe holds has not grown for a while."""
    assert server.stdout is not None
    ends = time.monotonic() + DEADLINE_SECONDS
    held, before, still = bytearray(4), bytearray(4), 0
    while still < 50:
        assert time.monotonic() < ends
        time.sleep(0.01)
        fcntl.ioctl(server.stdout, termios.FIONREAD, held)
        still = still + 1 if held == before and any(held) else 0
        before[:] = held


def test_what_one_process_learns_the_next_recalls(tmp_path: Path, era: Era) -> None:
    folder = tmp_path / "data"

    async def learn() -> str:
        async with over_stdio(folder, era) as client:
            assert client.protocol_version == REVISIONS[era]
            assert [tool.name for tool in (await client.list_tools()).tools] == list(TOOLS)
            learned = await done(client.call_tool("engramia_learn", RUN))
        return str(learned["pattern_key"])

    async def recall(key: str) -> None:
        async with over_stdio(folder, era) as client:
            (match,) = (await done(client.call_tool("engramia_recall", {"task": TASK})))["matches"]
            assert match["pattern_key"] == key
            assert match["pattern"]["source"] == "api"
            _, pattern = (await client.list_resources()).resources
            assert pattern.name == key

    key = talk(learn)
    talk(lambda: recall(key))


def test_errors_are_answers_and_the_conversation_goes_on(tmp_path: Path, era: Era) -> None:
    async def fail() -> None:
        async with over_stdio(tmp_path / "data", era) as client:
            bad = await refused(client.call_tool("engramia_learn", {**RUN, "eval_score": 11}))
            assert bad["error"] == "validation_error"
            missing = await refused(client.call_tool("engramia_evaluate", {"task": TASK, "code": "x"}))
            assert missing["error"] == "provider_not_configured"
            assert (await done(client.call_tool("engramia_metrics", {})))["runs"] == 0

    talk(fail)


def test_options_choose_the_project(tmp_path: Path) -> None:
    folder = tmp_path / "data"

    async def both() -> None:
        async with over_stdio(folder, "auto", "--project", "other") as client:
            await done(client.call_tool("engramia_learn", RUN))
        async with over_stdio(folder) as client:
            assert (await done(client.call_tool("engramia_metrics", {})))["runs"] == 0

    talk(both)


@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2025-06-18"])
def test_older_revisions_shake_hands(tmp_path: Path, version: str) -> None:
    with process(tmp_path / "data") as server:
        assert greet(server, version)["protocolVersion"] == version
        say(server, "tools/call", {"name": "engramia_metrics", "arguments": {}}, id=2)
        assert json.loads(hear(server)["result"]["content"][0]["text"])["runs"] == 0


@pytest.mark.parametrize("how", ["eof", signal.SIGTERM, signal.SIGINT])
def test_it_ends_cleanly(tmp_path: Path, how: str | signal.Signals) -> None:
    with process(tmp_path / "data") as server:
        greet(server)
        if isinstance(how, str):
            assert server.stdin is not None
            server.stdin.close()
        else:
            server.send_signal(how)
        assert server.wait(DEADLINE_SECONDS) == 0
        assert server.stdout is not None
        assert server.stdout.read() == b""
        assert server.stderr is not None
        assert server.stderr.read() == b""


def test_it_ends_when_the_client_vanishes(tmp_path: Path) -> None:
    with process(tmp_path / "data") as server:
        greet(server)
        assert server.stdout is not None
        server.stdout.close()
        for number in range(2, 5):
            say(server, "tools/list", id=number)
        assert server.wait(DEADLINE_SECONDS) == 0


def test_it_ends_although_a_model_does_not_answer(tmp_path: Path) -> None:
    asked, never = threading.Event(), threading.Event()

    def silent(*_: object) -> None:
        asked.set()
        never.wait(DEADLINE_SECONDS)

    with llm_server() as vendor:
        vendor.usual[CHAT] = silent
        settings = {"ENGRAMIA_SHUTDOWN_TIMEOUT": "0.5", "OPENAI_API_KEY": "sk-test"}
        with process(tmp_path / "data", ENGRAMIA_LLM_BASE_URL=vendor.url, **settings) as server:
            greet(server)
            say(server, "tools/call", {"name": "engramia_compose", "arguments": {"task": TASK}}, id=2)
            assert asked.wait(DEADLINE_SECONDS)
            server.send_signal(signal.SIGTERM)
            assert server.wait(10) == 1, server.stderr.read() if server.stderr else None
            assert server.stderr is not None
            assert b"cut off" in server.stderr.read()
        never.set()


def test_it_ends_although_nobody_reads_its_answers(tmp_path: Path) -> None:
    with process(tmp_path / "data", ENGRAMIA_SHUTDOWN_TIMEOUT="0.5") as server:
        greet(server)
        for number in range(2, 30):
            say(server, "tools/list", id=number)  # more than a pipe holds
        wait_until_full(server)
        server.send_signal(signal.SIGTERM)
        assert server.wait(10) == 1


def test_lines_that_are_no_messages_are_passed_over(tmp_path: Path) -> None:
    with process(tmp_path / "data") as server:
        greet(server)
        assert server.stdin is not None
        server.stdin.write(b'not json\n\n{"jsonrpc": "2.0"}\n\xff\n')
        say(server, "tools/list", id=2)
        assert hear(server)["id"] == 2


def test_logs_go_to_stderr_alone(tmp_path: Path) -> None:
    with process(tmp_path / "data", ENGRAMIA_LOG_LEVEL="DEBUG") as server:
        greet(server)
        say(server, "tools/call", {"name": "engramia_learn", "arguments": RUN}, id=2)
        assert hear(server)["result"]["structuredContent"]["stored"]
        assert server.stdin is not None
        server.stdin.close()
        assert server.wait(DEADLINE_SECONDS) == 0
        assert server.stdout is not None
        assert server.stdout.read() == b""
        assert server.stderr is not None
        assert b"DEBUG" in server.stderr.read()


@pytest.mark.parametrize(
    ("options", "environment", "code", "says"),
    [
        (["--tenant", "a b"], {}, 2, "tenant_id must be"),
        ([], {"ENGRAMIA_LOG_LEVEL": "loud"}, 2, "Unknown level"),
        ([], {"ENGRAMIA_LLM_TIMEOUT": "soon"}, 2, "llm_timeout"),
        ([], {"ENGRAMIA_EMBEDDING_MODEL": "text-embedding-3-small"}, 1, "OPENAI_API_KEY is not set"),
        (["--frobnicate"], {}, 2, "unrecognized arguments"),
    ],
)
def test_what_is_set_wrong_is_said_on_stderr(
    tmp_path: Path, options: list[str], environment: dict[str, str], code: int, says: str
) -> None:
    ended = subprocess.run(
        [*COMMAND, *options],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=process_environment(tmp_path / "data", **environment),
        timeout=DEADLINE_SECONDS,
    )
    assert ended.returncode == code
    assert ended.stdout == b""
    assert says in ended.stderr.decode()
    assert "Traceback" not in ended.stderr.decode()


def test_an_editor_waits_for_no_http_framework_and_no_database() -> None:
    program = "import sys, engramia.mcp.process; print(*{'fastapi', 'sqlalchemy'} & sys.modules.keys())"
    ended = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, timeout=DEADLINE_SECONDS
    )
    assert ended.stdout.strip() == b""


def test_without_the_package_it_says_what_to_install(tmp_path: Path) -> None:
    program = "import sys; sys.modules['mcp'] = None; from engramia.mcp import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        capture_output=True,
        env=process_environment(tmp_path / "data"),
        timeout=DEADLINE_SECONDS,
    )
    assert ended.returncode == 1
    assert b'pip install "engramia[mcp]"' in ended.stderr
