"""The product's documents, carried out: their commands and programs against the real service.

The commands are the documents' own, with host, key and stand-ins (`{job_id}` and the like) put in; the
answers are compared with those that the documents show.
"""

import ast
import json
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from engramia.providers.local import LocalEmbeddings
from engramia.sdk.webhook import EngramiaWebhook
from tests.e2e import documents, served
from tests.e2e.documents import Endpoint, Example, Program

SPEC = Path(__file__).parents[3] / "shared" / "spec"
GUIDE, REST = SPEC / "user-guide.txt", SPEC / "rest-api.txt"
if not SPEC.is_dir():
    pytest.skip(f"the documents are not here: {SPEC} is no folder", allow_module_level=True)

pytestmark = pytest.mark.slow

EXAMPLES = [*documents.examples(GUIDE), *documents.examples(REST)]
PROGRAMS = documents.programs(GUIDE)
ENDPOINTS = [*documents.endpoints(GUIDE), *documents.endpoints(REST)]

_HOST = re.compile(r"https://api\.engramia\.dev|http://localhost:8000|(?<!\S)\.\.\.(?=/v1/)")
_KEY = re.compile(r"YOUR_API_KEY|\$API_KEY|my-secret-key|sk_your-api-key")
_PATTERN = re.compile(r"patterns/abc123|patterns%2Fabc123|\{pattern_key\}|\{key\}")
_JOB = re.compile(r"abc-123|\{job_id\}")
_OF_POSTGRES = ("/v1/keys", "/v1/billing", "/v1/governance", "/v1/analytics", "/v1/audit", "/auth")


@dataclass(frozen=True)
class Service:
    """A running service, and a client of it."""

    url: str
    client: EngramiaWebhook

    def new_pattern(self) -> str:
        """Return the key of a pattern that nobody else uses."""
        return self.client.learn("count lines", "len(f)", 6.0, on_duplicate="keep_both")["pattern_key"]

    def new_job(self) -> str:
        """Return the id of a job."""
        return self.client.background.run_aging().id

    def filled(self, text: str) -> str:
        """Return a piece of a command with what it leaves open put in."""
        text = _KEY.sub(served.KEY, _HOST.sub(self.url, text))
        text = _PATTERN.sub(lambda found: self._key_for(found[0]), text)
        text = _JOB.sub(lambda _: self.new_job(), text)
        return text.replace("{project_id}", "default").replace("{tenant_id}", "default")

    def _key_for(self, stand_in: str) -> str:
        key = self.new_pattern()
        return key.replace("/", "%2F") if "%2F" in stand_in else key


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Service]]:
    """Start services over folders of their own, which have learned what the documents teach."""
    embeddings = LocalEmbeddings(cache_dir=tmp_path_factory.mktemp("model"), download=False)
    with ExitStack() as running:

        def begin(key: str | None, **wanted: Any) -> Service:
            folder = tmp_path_factory.mktemp("data")
            made = served.keyed(folder, **wanted) if key else served.settings(folder, **wanted)
            url = running.enter_context(served.serving(made, embeddings=embeddings))
            client = running.enter_context(EngramiaWebhook(url, key))
            _taught(client)
            return Service(url, client)

        yield begin


def _taught(client: EngramiaWebhook) -> None:
    for example in EXAMPLES:
        if example.path == "/v1/learn":
            client.learn(**example.body)
    for _ in range(3):
        client.evaluate("read a table", "open(path)", num_evals=1)


@pytest.fixture(scope="module")
def guarded(start: Callable[..., Service]) -> Service:
    """Ask for a key."""
    return start(served.KEY)


@pytest.fixture(scope="module")
def unguarded(start: Callable[..., Service]) -> Service:
    """Serve this machine without a key, as a server without keys does."""
    return start(None)


@pytest.fixture(scope="module")
def idle(start: Callable[..., Service]) -> Service:
    """Accept jobs and never begin one."""
    return start(served.KEY, job_worker=False)


@dataclass(frozen=True)
class Got:
    """What curl was answered."""

    status: int
    headers: dict[str, str]
    body: Any


def curl(arguments: list[str], folder: Path) -> Got:
    """Run a curl command as it stands; with `-o` its body is in a file."""
    program = shutil.which("curl")
    assert program, "the documents' commands need curl"
    command = [
        program,
        "--silent",
        "--show-error",
        "--max-time",
        "60",
        "--dump-header",
        "head",
        *arguments[1:],
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=90)
    head = (folder / "head").read_text().splitlines()
    headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in head[1:])}
    text = (folder / arguments[arguments.index("-o") + 1]).read_text() if "-o" in arguments else done.stdout
    return Got(int(head[0].split()[1]), headers, json.loads(text))


def unlike(shown: Any, got: Any, where: str = "") -> list[str]:
    """Return where `got` lacks a field that is shown, or has another kind of value."""
    match shown, got:
        case dict(), dict():
            missing = [f"{where}.{name} is missing" for name in shown if name not in got]
            both = [(value, got[name], f"{where}.{name}") for name, value in shown.items() if name in got]
            return missing + [each for pair in both for each in unlike(*pair)]
        case [first, *_], list():
            empty = [] if got else [f"{where} is empty"]
            return empty + [each for item in got for each in unlike(first, item, f"{where}[]")]
        case _:
            alike = shown is None or got is None or _kind(shown) is _kind(got)
            return [] if alike else [f"{where} is {got!r}"]


def _kind(value: Any) -> type:
    return float if isinstance(value, int) and not isinstance(value, bool) else type(value)


def test_nothing_of_the_documents_is_left_out() -> None:
    lines = [line for each in (GUIDE, REST) for line in each.read_text(encoding="utf-8").splitlines()]
    commands = [line for line in lines if line.startswith("curl ") and not line.endswith(":")]
    answers = [pair for pair in pairwise(lines) if pair[0].endswith("esponse:") and pair[1].startswith("{")]
    assert len(EXAMPLES) == len(commands) > 40
    assert sum(len(each.shown) for each in EXAMPLES) >= len(answers) > 5
    assert len(PROGRAMS) == sum("requests.post(" in each or "EngramiaWebhook(" in each for each in _sources())


def _sources() -> list[str]:
    return [each.source for each in PROGRAMS]


def _expected(example: Example) -> int:
    if example.path.startswith(_OF_POSTGRES):
        return 501
    return 202 if "respond-async" in example.headers.get("prefer", "") else 200


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_a_command_is_answered_as_the_document_shows(
    example: Example, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    kind = "guarded" if "authorization" in example.headers else "unguarded"
    service: Service = request.getfixturevalue("idle" if example.path.endswith("/cancel") else kind)
    got = curl([service.filled(each) for each in example.arguments], tmp_path)
    assert got.status == _expected(example), got
    if got.status == 501:
        assert got.body["error"] == "database_required"
        return
    for shown in example.shown:
        assert unlike(shown, got.body) == []


@pytest.mark.parametrize(
    "example",
    [each for each in EXAMPLES if "authorization" in each.headers],
    ids=lambda example: example.name,
)
def test_without_its_key_a_command_is_refused(example: Example, guarded: Service, tmp_path: Path) -> None:
    arguments = [_KEY.sub("another-key", each) for each in example.arguments]
    got = curl([guarded.filled(each) for each in arguments], tmp_path)
    assert (got.status, got.body["error"]) == (401, "unauthorized")
    assert got.headers["www-authenticate"] == "Bearer"


def _jobs() -> list[Example]:
    return [each for each in EXAMPLES if _expected(each) == 202]


@pytest.mark.parametrize("example", _jobs(), ids=lambda example: example.name)
def test_a_job_ends_in_what_is_answered_without_one(
    example: Example, guarded: Service, tmp_path: Path
) -> None:
    got = curl([guarded.filled(each) for each in example.arguments], tmp_path)
    assert got.headers["location"] == f"/v1/jobs/{got.body['job_id']}"
    assert got.headers["preference-applied"] == "respond-async"
    result = guarded.client.wait_for_job(got.body["job_id"], timeout=60)["result"]
    direct = next(each for each in EXAMPLES if each.path == example.path and each.shown)
    assert unlike(direct.shown[0], result) == []


class _Answer:
    """As much of a `requests.Response` as the documents use."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def json(self) -> Any:
        return json.loads(self._body)


def _requests() -> ModuleType:
    """Return a module that sends what the documents send through `requests`."""

    def send(method: str, url: str, headers: dict[str, str], json: Any = None) -> _Answer:
        body = None if json is None else _dumped(json)
        told = {"Content-Type": "application/json", **headers}
        request = urllib.request.Request(url, data=body, headers=told, method=method)  # noqa: S310 - ours
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - ours
            return _Answer(answer.read())

    module = ModuleType("requests")
    vars(module)["post"] = lambda url, **options: send("POST", url, **options)
    vars(module)["get"] = lambda url, **options: send("GET", url, **options)
    return module


def _dumped(value: Any) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_a_program_runs_and_prints_what_the_document_says(
    program: Program,
    guarded: Service,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    requests = _requests()
    monkeypatch.setitem(sys.modules, "requests", requests)
    names: dict[str, Any] = {"requests": requests, "API_KEY": served.KEY, "code": "open(path)"}
    exec(guarded.filled(program.source), names)  # noqa: S102 - the document's program is what is tested
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) >= program.source.count("print(")
    for shown, line in zip(program.printed, printed, strict=False):
        assert unlike(shown, ast.literal_eval(line)) == []
    if isinstance(client := names.get("client"), EngramiaWebhook):
        client.close()
        _check_what_the_client_returned(names)


def _check_what_the_client_returned(names: dict[str, Any]) -> None:
    kinds: dict[str, type] = {
        "matches": list,
        "pipeline": dict,
        "feedback": list,
        "metrics": dict,
        "health": dict,
    }
    kinds |= {"pruned": int, "result": dict, "clusters": list}
    assert {name: names[name] for name, kind in kinds.items() if not isinstance(names[name], kind)} == {}
    assert [match["similarity"] for match in names["matches"]] == [1.0]
    assert names["result"]["accepted"]


def test_deep_health_is_as_shown(guarded: Service) -> None:
    assert unlike(documents.shown_with(GUIDE, "checks"), guarded.client.health_deep()) == []


def test_every_documented_endpoint_is_in_the_openapi_document(unguarded: Service) -> None:
    with urllib.request.urlopen(f"{unguarded.url}/openapi.json", timeout=30) as answer:  # noqa: S310 - ours
        paths = json.load(answer)["paths"]
    known = {(method.upper(), _plain(path)) for path, methods in paths.items() for method in methods}
    wanted = {(each.method, _plain(each.path)) for each in ENDPOINTS}
    assert len(wanted) >= 50
    assert wanted - known == set()


def _plain(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", path)


@pytest.mark.parametrize(
    "endpoint", [each for each in ENDPOINTS if each.auth], ids=lambda e: f"{e.method} {e.path}"
)
def test_an_endpoint_of_the_table_asks_for_a_key_where_it_says_so(
    endpoint: Endpoint, guarded: Service, tmp_path: Path
) -> None:
    got = curl(["curl", "-X", endpoint.method, f"{guarded.url}{endpoint.path}", "--globoff"], tmp_path)
    of_postgres = endpoint.path.startswith(_OF_POSTGRES)
    free = endpoint.auth in {"No", "Token"}
    assert got.status == ((501 if of_postgres else 200) if free else 401)


def test_limits_answer_as_shown(start: Callable[..., Service], tmp_path: Path) -> None:
    shown = {status: (headers, body) for status, headers, body in documents.raw_answers(GUIDE)}
    headers, body = shown[429]
    most = int(re.findall(r"\d+", body["detail"])[0])
    service = start(None, rate_limit_default=most)
    url = f"{service.url}/v1/metrics"
    last = next(got for _ in range(most + 1) if (got := curl(["curl", url], tmp_path)).status != 200)
    assert last.status == 429
    assert last.body["detail"] == body["detail"]
    assert 1 <= int(last.headers["retry-after"]) <= int(headers["Retry-After"])
    assert last.headers["content-type"] == headers["Content-Type"]


def test_a_body_that_is_too_large_is_refused_as_shown(unguarded: Service, tmp_path: Path) -> None:
    _, body = {status: (headers, body) for status, headers, body in documents.raw_answers(GUIDE)}[413]
    most = int(re.findall(r"\d+", body["detail"])[0])
    (tmp_path / "large.json").write_text(json.dumps({"task": "t", "code": "x" * most, "eval_score": 1}))
    got = curl(["curl", f"{unguarded.url}/v1/learn", "-d", "@large.json"], tmp_path)
    assert (got.status, got.body["detail"]) == (413, body["detail"])
