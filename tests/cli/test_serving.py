"""`engramia serve` and `engramia worker`: real processes, real sockets, real signals."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from engramia.cli.exit_codes import ExitCode
from engramia.cli.listening import is_exposed, listen, url_of
from engramia.errors import ValidationError
from tests.cli.conftest import Cli, Ended, process_environment
from tests.cli.services import Started, started
from tests.providers.llm_server import CHAT, chat, llm_server
from tests.providers.openai_server import OpenAIServer, Reply, Request

pytestmark = pytest.mark.slow  # real processes

SERVE = ("serve", "--port", "0")
PIPELINE: Any = {"task": "Read a file of orders and sum them by customer"}


class Holding:
    """A vendor that answers when it is told to."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.go_on = threading.Event()

    def __call__(self, handler: BaseHTTPRequestHandler, request: Request) -> None:
        self.asked.set()
        assert self.go_on.wait(60)
        answer: Reply = chat("{}")
        answer(handler, request)


@pytest.fixture
def vendor() -> Iterator[OpenAIServer]:
    with llm_server() as server:
        yield server


def asking(vendor: OpenAIServer) -> dict[str, str]:
    return {"OPENAI_API_KEY": "sk-of-a-test", "OPENAI_BASE_URL": vendor.url, "NO_PROXY": "127.0.0.1"}


class Composing(threading.Thread):
    """A request that waits for the vendor."""

    def __init__(self, service: Started) -> None:
        super().__init__(daemon=True)
        self._service = service
        self.answer: Any = None
        self.start()

    def run(self) -> None:
        try:
            self.answer = self._service.ask("POST", "/v1/compose", PIPELINE)
        except (OSError, HTTPException, ValueError) as error:
            self.answer = error


def refused(service: Started) -> bool:
    try:
        service.ask("GET", "/v1/health/live")
    except OSError:
        return True
    return False


def until(condition: Any, seconds: float = 30.0) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "It did not come to pass."
        time.sleep(0.02)


def children(pid: int) -> list[int]:
    """Return the processes below one that serve; not the interpreter's own helper."""
    found = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with contextlib.suppress(OSError):  # it has ended since
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(int(child))
    return found


def alive(pid: int) -> bool:
    try:
        return "Z (zombie)" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_it_says_where_it_listens_and_answers_there(data_path: Path) -> None:
    with started(data_path, *SERVE) as service:
        assert service.url.startswith("http://127.0.0.1:")
        assert service.announced["docs"] == f"{service.url}/docs"
        assert str(data_path) in service.announced["storage"]
        assert service.ask("GET", "/v1/patterns") == (
            200,
            {"patterns": [], "has_more": False, "next_offset": None},
        )
        learned = {"task": "Sort a list", "code": "sorted(x)", "eval_score": 8}
        assert service.ask("POST", "/v1/learn", learned)[0] == 200
        service.signal(signal.SIGTERM)
        assert service.ended() == ExitCode.OK
    assert not any("Traceback" in line for line in service.lines)


def test_people_get_lines(data_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "engramia.cli", *SERVE],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=process_environment(data_path),
    )
    assert process.stdout
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "Ctrl-C" in line:
            break
    process.send_signal(signal.SIGINT)
    process.stdout.close()
    assert process.wait(60) == ExitCode.OK
    text = "".join(lines)
    assert "listens on http://127.0.0.1:" in text
    for word in ("Docs", "Authentication", "Storage", "Embedding", "Language model", "Jobs"):
        assert word in text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_running_requests_finish_and_new_ones_are_refused(
    data_path: Path, vendor: OpenAIServer, number: signal.Signals
) -> None:
    vendor.usual[CHAT] = held = Holding()
    with started(data_path, *SERVE, **asking(vendor)) as service:
        composing = Composing(service)
        assert held.asked.wait(30)
        service.signal(number)
        until(lambda: refused(service))
        held.go_on.set()
        composing.join(30)
        assert composing.answer[0] == 200
        assert service.ended() == ExitCode.OK


def test_a_second_interrupt_ends_at_once(data_path: Path, vendor: OpenAIServer) -> None:
    vendor.usual[CHAT] = held = Holding()
    with started(data_path, *SERVE, **asking(vendor)) as service:
        composing = Composing(service)
        assert held.asked.wait(30)
        service.signal(signal.SIGINT)
        until(lambda: any("again" in line for line in service.lines))
        assert service.process.poll() is None
        service.signal(signal.SIGINT)
        assert service.ended() == ExitCode.INTERRUPTED
        composing.join(30)
        assert isinstance(composing.answer, OSError)
    held.go_on.set()


def test_a_request_that_never_ends_does_not_keep_it_from_stopping(
    data_path: Path, vendor: OpenAIServer
) -> None:
    vendor.usual[CHAT] = held = Holding()
    with started(data_path, *SERVE, ENGRAMIA_SHUTDOWN_TIMEOUT="0.2", **asking(vendor)) as service:
        composing = Composing(service)
        assert held.asked.wait(30)
        service.signal(signal.SIGTERM)
        assert service.ended() == ExitCode.UNEXPECTED
        composing.join(30)
        status, problem = composing.answer
        assert (status, problem["error"]) == (503, "unavailable")
    held.go_on.set()
    assert any("was cut off" in line for line in service.lines)


def test_several_processes_serve_and_one_that_dies_is_replaced(data_path: Path) -> None:
    with started(data_path, *SERVE, "--workers", "2") as service:
        first = children(service.process.pid)
        assert len(first) == 2
        learned = {"task": "Sort a list", "code": "sorted(x)", "eval_score": 8}
        assert service.ask("POST", "/v1/learn", learned)[0] == 200
        os.kill(first[0], signal.SIGKILL)
        until(lambda: len(set(children(service.process.pid)) - {first[0]}) == 2)
        counts = {len(service.ask("GET", "/v1/patterns")[1]["patterns"]) for _ in range(20)}
        assert counts == {1}
        last = children(service.process.pid)
        service.signal(signal.SIGTERM)
        assert service.ended() == ExitCode.OK
        until(lambda: not any(alive(pid) for pid in last))
    assert any("another takes its place" in line for line in service.lines)


def test_several_processes_let_running_requests_finish(data_path: Path, vendor: OpenAIServer) -> None:
    vendor.usual[CHAT] = held = Holding()
    with started(data_path, *SERVE, "--workers", "2", **asking(vendor)) as service:
        composing = Composing(service)
        assert held.asked.wait(30)
        os.killpg(service.process.pid, signal.SIGINT)  # as a terminal does
        until(lambda: refused(service))
        held.go_on.set()
        composing.join(30)
        assert composing.answer[0] == 200
        assert service.ended() == ExitCode.OK


def test_a_second_interrupt_ends_several_at_once(data_path: Path, vendor: OpenAIServer) -> None:
    vendor.usual[CHAT] = held = Holding()
    with started(data_path, *SERVE, "--workers", "2", **asking(vendor)) as service:
        composing = Composing(service)
        assert held.asked.wait(30)
        members = children(service.process.pid)
        os.killpg(service.process.pid, signal.SIGINT)
        until(lambda: refused(service))
        os.killpg(service.process.pid, signal.SIGINT)
        assert service.ended() == ExitCode.INTERRUPTED
        until(lambda: not any(alive(pid) for pid in members))
        composing.join(30)
    held.go_on.set()


def test_metrics_of_several_processes_add_up(data_path: Path) -> None:
    count = 20
    with started(data_path, *SERVE, "--workers", "2", ENGRAMIA_METRICS="true") as service:
        for _ in range(count):
            assert service.ask("GET", "/v1/version")[0] == 200
        wanted = f'engramia_requests_total{{method="GET",path="/v1/version",status_code="200"}} {count}.0'
        told = {service.text("/metrics").count(wanted) for _ in range(10)}
        assert told == {1}


def test_processes_do_not_outlive_the_one_above(data_path: Path) -> None:
    with started(data_path, *SERVE, "--workers", "2") as service:
        members = children(service.process.pid)
        service.process.kill()
        service.ended()
        until(lambda: not any(alive(pid) for pid in members))


def test_processes_that_cannot_start_are_not_tried_for_ever(data_path: Path) -> None:
    text = (
        "import sys\n"
        "from engramia.cli.fleet import Fleet\n"
        "from engramia.cli.listening import listen\n"
        "from engramia.settings import Settings\n"
        "if __name__ == '__main__':\n"
        "    settings = Settings(auth_mode='dev')\n"
        "    sys.exit(Fleet(listen('127.0.0.1', 0), settings, 2).run(lambda: print('ready')))\n"
    )
    script = data_path.parent / "fleet.py"
    script.write_text(text)
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=process_environment(data_path),
    )
    assert done.returncode == ExitCode.UNEXPECTED
    assert "ready" not in done.stdout


def test_a_port_in_use_is_a_sentence(process: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = process("serve", "--port", str(port))
    assert ended.code == ExitCode.USAGE
    assert f"Port {port} is in use on 127.0.0.1." in ended.err
    assert "Traceback" not in ended.err


UNSAFE = {
    "everyone, in production": (
        {"ENGRAMIA_ALLOW_NO_AUTH": "true", "ENGRAMIA_ENVIRONMENT": "production"},
        "ENGRAMIA_ALLOW_NO_AUTH=true serves everyone",
        ExitCode.USAGE,
    ),
    "dev that nobody confirmed": ({"ENGRAMIA_AUTH_MODE": "dev"}, "confirm it with", ExitCode.USAGE),
    "db without a database": ({"ENGRAMIA_AUTH_MODE": "db"}, "needs ENGRAMIA_DATABASE_URL", ExitCode.USAGE),
    "a short bootstrap token": (
        {"ENGRAMIA_BOOTSTRAP_TOKEN": "short"},
        "ENGRAMIA_BOOTSTRAP_TOKEN",
        ExitCode.USAGE,
    ),
    "a host without an address": (
        {"ENGRAMIA_HOST": "no-such-host.invalid"},
        "has no address",
        ExitCode.USAGE,
    ),
    "an address of another machine": ({"ENGRAMIA_HOST": "203.0.113.7"}, "no address of this", ExitCode.USAGE),
    "a level of no log": ({"ENGRAMIA_LOG_LEVEL": "LOUD"}, "ENGRAMIA_LOG_LEVEL must be", ExitCode.USAGE),
    "a collector without an address": (
        {"ENGRAMIA_TELEMETRY": "true", "ENGRAMIA_OTEL_ENDPOINT": "localhost"},
        "ENGRAMIA_OTEL_ENDPOINT must be",
        ExitCode.USAGE,
    ),
    "a model without a key": (
        {"ENGRAMIA_EMBEDDING_MODEL": "text-embedding-3-small"},
        "OPENAI_API_KEY is not set",
        ExitCode.PROVIDER,
    ),
}


@pytest.mark.parametrize(("environment", "sentence", "code"), UNSAFE.values(), ids=UNSAFE)
def test_what_is_unsafe_or_impossible_is_refused_and_shown_by_check(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], sentence: str, code: ExitCode
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    ended = cli(*SERVE)
    assert ended.code == code
    assert sentence in ended.err
    assert "listens" not in ended.out
    assert cli(*SERVE, "--check").code == code


def test_every_unsafe_combination_has_its_sentence(process: Cli) -> None:
    ended = process(
        *SERVE, ENGRAMIA_AUTH_MODE="dev", ENGRAMIA_LOG_LEVEL="LOUD", ENGRAMIA_HOST="no-such-host.invalid"
    )
    assert ended.err.count("Error: ") == 3
    assert process(*SERVE, "--json", ENGRAMIA_AUTH_MODE="dev").document["problems"]


def test_a_data_path_that_cannot_be_written_is_refused(data_path: Path, process: Cli) -> None:
    ended = process(*SERVE, ENGRAMIA_DATA_PATH="/proc/of/nobody")
    assert ended.code == ExitCode.STORAGE
    assert "/proc cannot be written" in ended.err
    data_path.write_text("a file")
    ended = process(*SERVE)
    assert ended.code == ExitCode.STORAGE
    assert "must be a folder" in ended.err


@pytest.mark.parametrize("module", ["uvicorn", "fastapi"])
def test_a_missing_extra_is_named_with_its_command(data_path: Path, module: str) -> None:
    text = f"import sys; sys.modules[{module!r}] = None; from engramia.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", text, *SERVE],
        capture_output=True,
        text=True,
        check=False,
        env=process_environment(data_path),
    )
    assert done.returncode == ExitCode.UNEXPECTED
    assert f"needs {module}" in done.stderr
    assert 'pip install "engramia[api]"' in done.stderr


def checked(ended: Ended, name: str) -> list[Any]:
    return [check for check in ended.document["checks"] if check["name"] == name]


def test_check_prints_what_is_in_force_and_serves_nothing(process: Cli) -> None:
    ended = process(*SERVE, "--check", "--json", ENGRAMIA_API_KEYS="key-of-one,key-of-two")
    assert ended.code == ExitCode.OK
    settings = {one["variable"]: one for one in ended.document["settings"]}
    assert (settings["ENGRAMIA_PORT"]["value"], settings["ENGRAMIA_PORT"]["origin"]) == (0, "option")
    assert settings["ENGRAMIA_API_KEYS"]["value"] == "**********, **********"
    assert "key-of" not in ended.out


def test_doubts_are_told_and_do_not_keep_it_from_serving(process: Cli) -> None:
    ended = process(
        "serve",
        "--check",
        "--json",
        "--port=0",
        "--host=0.0.0.0",
        "--workers=3",
        ENGRAMIA_METRICS="true",
        ENGRAMIA_CORS_ORIGINS="*",
        ENGRAMIA_MAINTENANCE="true",
    )
    assert ended.code == ExitCode.OK
    for name in ("authentication", "metrics", "rate limits", "cors", "maintenance"):
        assert [check["status"] for check in checked(ended, name)] == ["warn"], name


def test_doctor_tells_the_services_problems_too(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGRAMIA_AUTH_MODE", "dev")
    ended = cli("doctor", "--json")
    assert ended.code == ExitCode.USAGE
    assert checked(ended, "authentication")[0]["status"] == "fail"


def test_a_worker_runs_what_the_server_left(data_path: Path, vendor: OpenAIServer) -> None:
    with started(data_path, *SERVE, ENGRAMIA_JOB_WORKER="false") as service:
        status, accepted = service.ask("POST", "/v1/aging", {}, Prefer="respond-async")
        assert status == 202
        path = f"/v1/jobs/{accepted['job_id']}"
        assert service.ask("GET", path)[1]["status"] == "pending"
        with started(data_path, "worker", ENGRAMIA_JOB_POLL_INTERVAL="0.05") as worker:
            until(lambda: service.ask("GET", path)[1]["status"] == "completed")
            worker.signal(signal.SIGTERM)
            assert worker.ended() == ExitCode.OK
    assert vendor.requests == []


@contextmanager
def busy_worker(
    data_path: Path, vendor: OpenAIServer, timeout: str
) -> Iterator[tuple[Started, Started, str]]:
    """Run a server and a worker that is busy with a job; yield them and where the server shows the job."""
    vendor.usual[CHAT] = held = Holding()
    mine = asking(vendor)
    hasty = {"ENGRAMIA_JOB_POLL_INTERVAL": "0.05", "ENGRAMIA_SHUTDOWN_TIMEOUT": timeout}
    with (
        started(data_path, *SERVE, ENGRAMIA_JOB_WORKER="false", **mine) as service,
        started(data_path, "worker", **hasty, **mine) as worker,
    ):
        _, accepted = service.ask("POST", "/v1/compose", PIPELINE, Prefer="respond-async")
        assert held.asked.wait(30)
        yield service, worker, f"/v1/jobs/{accepted['job_id']}"
    held.go_on.set()


def test_a_worker_that_stops_puts_its_job_back(data_path: Path, vendor: OpenAIServer) -> None:
    with busy_worker(data_path, vendor, "0.2") as (service, worker, path):
        assert service.ask("GET", path)[1]["status"] == "running"
        worker.signal(signal.SIGTERM)
        assert worker.ended() == ExitCode.OK
        job = service.ask("GET", path)[1]
    assert (job["status"], job["attempts"]) == ("pending", 0)


def test_a_second_interrupt_ends_a_worker_at_once(data_path: Path, vendor: OpenAIServer) -> None:
    with busy_worker(data_path, vendor, "60") as (_, worker, _):
        worker.signal(signal.SIGINT)
        until(lambda: any("again" in line for line in worker.lines))
        worker.signal(signal.SIGINT)
        assert worker.ended() == ExitCode.INTERRUPTED


def test_urls_are_those_that_a_browser_takes() -> None:
    with listen("127.0.0.1", 0) as listener:
        assert url_of(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}"
    with listen("0.0.0.0", 0) as listener:  # noqa: S104 - for this test
        assert url_of(listener).startswith("http://127.0.0.1:")
    with listen("localhost", 0) as listener:
        assert url_of(listener).startswith("http://127.0.0.1:")


@pytest.mark.skipif(not socket.has_ipv6, reason="the machine has no IPv6")
def test_ipv6_addresses_stand_in_brackets() -> None:
    with listen("::1", 0) as listener:
        assert url_of(listener).startswith("http://[::1]:")


def test_what_is_exposed() -> None:
    assert [is_exposed(host) for host in ("127.0.0.1", "localhost", "0.0.0.0", "::", "nowhere.invalid")] == [  # noqa: S104 - for this test
        False,
        False,
        True,
        True,
        False,
    ]
    with pytest.raises(ValidationError, match="has no address"):
        listen("nowhere.invalid", 0)
