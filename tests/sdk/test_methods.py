"""What each method sends, and what it makes of the answer."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from engramia.errors import ValidationError
from engramia.sdk.webhook import EngramiaWebhook, Matches, Page
from tests.sdk.api_server import ApiServer, answer
from tests.sdk.conftest import KEY, Connect

PATTERN = "patterns/01kabcdefghjkmnpqrstvwxyz0"
MATCH = {"similarity": 0.8, "reuse_tier": "adapt", "pattern_key": PATTERN, "pattern": {"task": "t"}}
PAGE = {"has_more": True, "next_offset": 2}
FOUND = {"matches": [MATCH], **PAGE, "degraded": True, "reason": "no model"}


@dataclass(frozen=True)
class Case:
    """A call, the request that it comes to, an answer, and what is returned."""

    ask: Callable[[EngramiaWebhook], Any]
    request: str
    body: Any = None
    answer: Any = field(default_factory=lambda: {"status": "ok"})
    returned: Any = field(default_factory=lambda: {"status": "ok"})


CASES = {
    "learn": Case(
        lambda c: c.learn("sum a list", "sum(x)", 9.0, "6", run_id="r1", skills=["maths"]),
        "POST /v1/learn",
        {
            "task": "sum a list",
            "code": "sum(x)",
            "eval_score": 9.0,
            "output": "6",
            "run_id": "r1",
            "source": "sdk",
            "skills": ["maths"],
        },
    ),
    "recall": Case(
        lambda c: c.recall("sum numbers", 2, min_score=7.0, readonly=True),
        "POST /v1/recall",
        {
            "task": "sum numbers",
            "limit": 2,
            "offset": 0,
            "deduplicate": True,
            "eval_weighted": True,
            "min_score": 7.0,
            "readonly": True,
            "explain": False,
        },
        FOUND,
        [MATCH],
    ),
    "refine": Case(
        lambda c: c.refine_pattern(PATTERN, 4.5, "slow"),
        f"POST /v1/patterns/{PATTERN}/refine",
        {"eval_score": 4.5, "feedback": "slow"},
    ),
    "get_pattern": Case(lambda c: c.get_pattern(PATTERN), f"GET /v1/patterns/{PATTERN}"),
    "list_patterns": Case(
        lambda c: c.list_patterns(source="cli", min_score=5.0, offset=3),
        "GET /v1/patterns?source=cli&min_score=5.0&limit=100&offset=3",
        None,
        {"patterns": [MATCH], **PAGE},
        [MATCH],
    ),
    "delete": Case(
        lambda c: c.delete_pattern(PATTERN),
        f"DELETE /v1/patterns/{PATTERN}",
        returned=None,
    ),
    "register_skills": Case(
        lambda c: c.register_skills(PATTERN, ["CSV"]),
        "POST /v1/skills/register",
        {"pattern_key": PATTERN, "skills": ["CSV"]},
        {"registered": 1, "skills": ["csv"]},
        ["csv"],
    ),
    "find_by_skills": Case(
        lambda c: c.find_by_skills(["csv"], match_all=True),
        "POST /v1/skills/search",
        {"skills": ["csv"], "match_all": True, "limit": 5, "offset": 0},
        FOUND,
        [MATCH],
    ),
    "evaluate": Case(
        lambda c: c.evaluate("t", "c", num_evals=2, pattern_key=PATTERN),
        "POST /v1/evaluate",
        {"task": "t", "code": "c", "num_evals": 2, "pattern_key": PATTERN},
    ),
    "compose": Case(lambda c: c.compose("t"), "POST /v1/compose", {"task": "t"}),
    "evolve": Case(
        lambda c: c.evolve_prompt("coder", "Be brief.", num_issues=3),
        "POST /v1/evolve",
        {"role": "coder", "current_prompt": "Be brief.", "num_issues": 3},
    ),
    "feedback": Case(
        lambda c: c.feedback("c&v", 3),
        "GET /v1/feedback?task_type=c%26v&limit=3&offset=0",
        None,
        {"feedback": [{"text": "x"}], **PAGE},
        [{"text": "x"}],
    ),
    "analyze_failures": Case(
        lambda c: c.analyze_failures(min_count=2),
        "POST /v1/analyze-failures",
        {"min_count": 2},
        {"clusters": [{"total_count": 2}]},
        [{"total_count": 2}],
    ),
    "aging": Case(lambda c: c.run_aging(), "POST /v1/aging", None, {"pruned": 3}, 3),
    "decay": Case(lambda c: c.run_feedback_decay(), "POST /v1/feedback/decay", None, {"pruned": 1}, 1),
    "export": Case(
        lambda c: c.export(), "GET /v1/export", None, {"records": [{"v": 1}], "count": 1}, [{"v": 1}]
    ),
    "import": Case(
        lambda c: c.import_data(iter([{"v": 1}]), overwrite=True),
        "POST /v1/import",
        {"records": [{"v": 1}], "overwrite": True},
    ),
    "get_job": Case(
        lambda c: c.get_job("job_1"),
        "GET /v1/jobs/job_1",
        None,
        {"id": "job_1", "status": "pending", "result": None, "error": None},
        {"id": "job_1", "status": "pending", "result": None, "error": None},
    ),
    "list_jobs": Case(
        lambda c: c.list_jobs("failed", limit=5),
        "GET /v1/jobs?status=failed&limit=5&offset=0",
        None,
        {"jobs": [{"id": "j"}], **PAGE},
        [{"id": "j"}],
    ),
    "cancel_job": Case(lambda c: c.cancel_job("job_1"), "POST /v1/jobs/job_1/cancel", returned=None),
    "metrics": Case(lambda c: c.metrics(), "GET /v1/metrics"),
    "health": Case(lambda c: c.health(), "GET /v1/health"),
    "health_deep": Case(lambda c: c.health_deep(), "GET /v1/health/deep"),
    "version": Case(lambda c: c.version(), "GET /v1/version"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_method_sends_its_request_and_returns_what_the_answer_holds(
    server: ApiServer, client: EngramiaWebhook, name: str
) -> None:
    case = CASES[name]
    server.then(answer(case.answer))
    assert case.ask(client) == case.returned
    (asked,) = server.asked
    assert f"{asked.method} {asked.path}" == case.request
    assert asked.body == case.body
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert "prefer" not in asked.headers


def test_what_comes_in_pages_says_whether_there_is_more(server: ApiServer, client: EngramiaWebhook) -> None:
    server.then(answer(FOUND), answer({"patterns": [], **PAGE}))
    found, listed = client.recall("t"), client.list_patterns()
    assert isinstance(found, Matches)
    assert (found.has_more, found.next_offset, found.degraded, found.reason) == (True, 2, True, "no model")
    assert isinstance(listed, Page)
    assert (listed.has_more, listed.next_offset) == (True, 2)


def test_every_pattern_is_read_page_by_page(server: ApiServer, client: EngramiaWebhook) -> None:
    server.then(
        answer({"patterns": [{"task": "a"}, {"task": "b"}], **PAGE}),
        answer({"patterns": [{"task": "c"}], "has_more": False, "next_offset": None}),
    )
    assert [pattern["task"] for pattern in client.iter_patterns(source="api")] == ["a", "b", "c"]
    assert [asked.path for asked in server.asked] == [
        "/v1/patterns?source=api&limit=100&offset=0",
        "/v1/patterns?source=api&limit=100&offset=2",
    ]


def test_a_store_that_is_down_is_what_deep_health_reports(server: ApiServer, client: EngramiaWebhook) -> None:
    down = {"error": "storage_error", "detail": "x", "status": "error", "checks": {}}
    server.then(answer(down, 503, Retry_After="1"))
    assert client.health_deep()["status"] == "error"


def test_the_url_may_have_a_path_and_the_project_a_name(server: ApiServer, connect: Connect) -> None:
    server.usual = answer({"status": "ok"})
    connect(f"{server.url}/behind/a%20proxy/", project_id="team-1").health()
    (asked,) = server.asked
    assert asked.path == "/behind/a%20proxy/v1/health"
    assert asked.headers["x-project-id"] == "team-1"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://localhost:80/", "http://localhost"),
        ("HTTPS://Example.com:8443/memory", "https://example.com:8443/memory"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("http://localhost/a\u00e9", "http://localhost/a%C3%A9"),
    ],
)
def test_an_address_is_shown_in_its_plain_form(url: str, shown: str) -> None:
    assert repr(EngramiaWebhook(url)) == f"EngramiaWebhook({shown!r})"


def test_without_a_key_none_is_sent(server: ApiServer, connect: Connect) -> None:
    server.usual = answer({"app_version": "1"})
    connect(api_key=None).version()
    assert "authorization" not in server.asked[0].headers


def test_each_call_has_a_request_id(server: ApiServer, client: EngramiaWebhook) -> None:
    server.usual = answer({})
    client.metrics()
    client.metrics()
    assert len({asked.headers["x-request-id"] for asked in server.asked}) == 2


def test_a_name_stays_where_it_is_put_in_the_address(server: ApiServer, client: EngramiaWebhook) -> None:
    server.usual = answer({})
    client.get_pattern("patterns/a?b#c d\u00e9")
    assert server.asked[0].path == "/v1/patterns/patterns/a%3Fb%23c%20d%C3%A9"
    for name in ("../keys", "patterns/..", "", "a//b", None):
        with pytest.raises(ValidationError, match="pattern_key") as caught:
            client.delete_pattern(name)  # type: ignore[arg-type]  # on purpose
        assert caught.value.field == "pattern_key"
    with pytest.raises(ValidationError, match="job_id"):
        client.get_job("..")


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"url": "localhost:8000"}, "url"),
        ({"url": "ftp://localhost"}, "url"),
        ({"url": "http://"}, "url"),
        ({"url": "http://user:secret-pw@localhost"}, "url"),
        ({"url": "http://localhost:99999"}, "url"),
        ({"url": "http://localhost:0"}, "url"),
        ({"url": "http://[::1"}, "url"),
        ({"url": "http://localhost?key=secret-pw"}, "url"),
        ({"url": "http://local host"}, "url"),
        ({"url": "http://localhost\r\n"}, "url"),
        ({"url": 8000}, "url"),
        ({"api_key": "secret-pw\r\nX-Evil: 1"}, "api_key"),
        ({"api_key": "secret-pw\u00e9"}, "api_key"),
        ({"api_key": ""}, "api_key"),
        ({"api_key": b"secret-pw"}, "api_key"),
        ({"project_id": "a/b"}, "project_id"),
        ({"project_id": "a\n"}, "project_id"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"timeout": None}, "timeout"),
        ({"slow_timeout": -1}, "slow_timeout"),
        ({"connect_timeout": float("inf")}, "connect_timeout"),
        ({"backoff": True}, "backoff"),
        ({"retries": -1}, "retries"),
        ({"retries": 1.5}, "retries"),
    ],
)
def test_a_wrong_setting_is_named_and_no_secret_repeated(options: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        EngramiaWebhook(**{"url": "http://localhost", **options})
    assert caught.value.field == field
    assert field in str(caught.value)
    assert "secret-pw" not in str(caught.value)


@pytest.mark.parametrize(
    ("score", "skills", "field"),
    [
        (float("nan"), (), "eval_score"),
        (object(), (), "eval_score"),
        (1, [{1}], "skills"),
        (1, "csv", "skills"),
    ],
)
def test_what_json_cannot_carry_is_named_before_anything_is_sent(
    server: ApiServer, client: EngramiaWebhook, score: Any, skills: Any, field: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        client.learn("t", "c", score, skills=skills)
    assert caught.value.field == field
    assert server.asked == []


def test_the_key_is_not_shown(connect: Connect, server: ApiServer) -> None:
    client = connect(project_id="p1")
    assert repr(client) == f"EngramiaWebhook('{server.url}', project_id='p1')"
    assert KEY not in repr(client.background)
