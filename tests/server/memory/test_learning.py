"""Learn, recall and what is done to single patterns, over HTTP."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from engramia import Memory
from engramia.core.documents import recall_document
from engramia.server.memory import schemas
from engramia.testing import HashEmbeddings
from tests.server.api import Api, service

MISSING = "patterns/" + "0" * 26


def test_what_is_learned_is_recalled(api: Api) -> None:
    learned = api.post(
        "/v1/learn",
        {
            "task": "Sort invoices by due date",
            "code": "rows.sort()",
            "eval_score": 9,
            "skills": [" Sorting "],
        },
    )
    answer = schemas.LearnAnswer.model_validate(learned.json(), strict=True)
    assert (answer.stored, answer.pattern_count, answer.duplicate_of) == (True, 1, None)

    recalled = api.post("/v1/recall", {"task": "Sort invoices by due date", "explain": True})
    found = schemas.RecallAnswer.model_validate_json(recalled.body)
    (match,) = found.matches
    assert (match.pattern_key, match.reuse_tier) == (answer.pattern_key, "duplicate")
    assert match.similarity == pytest.approx(1.0)
    assert match.explanation is not None
    assert (match.pattern.source, match.pattern.skills) == ("api", ["sorting"])
    assert recalled.json()["next_offset"] is None


def test_a_repeated_task_is_no_second_pattern(api: Api) -> None:
    key = api.learn("Sort invoices by due date", 8)
    again = api.post("/v1/learn", {"task": "sort invoices, by due date", "code": "x", "eval_score": 5}).json()
    assert again == {"stored": False, "pattern_count": 1, "pattern_key": key, "duplicate_of": key}


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ({"code": "x", "eval_score": 1}, "task", "required"),
        ({"task": " ", "code": "x", "eval_score": 1}, "task", "blank"),
        ({"task": "a", "code": "\n", "eval_score": 1}, "code", "blank"),
        ({"task": "a" * 10_001, "code": "x", "eval_score": 1}, "task", "10,000"),
        ({"task": "a", "code": "x", "eval_score": 10.5}, "eval_score", "10"),
        ({"task": "a", "code": "x", "eval_score": "9"}, "eval_score", "number"),
        ({"task": "a", "code": "x", "eval_score": True}, "eval_score", "number"),
        ({"task": 5, "code": "x", "eval_score": 1}, "task", "string"),
        ({"task": "a", "code": "x", "eval_score": 1, "source": "mail"}, "source", "'import'"),
        ({"task": "a", "code": "x", "eval_score": 1, "skills": "csv"}, "skills", "list"),
    ],
)  # fmt: skip
def test_wrong_input_names_the_field_and_stores_nothing(api: Api, body: Any, field: str, says: str) -> None:
    answer = api.post("/v1/learn", body)
    assert answer.status == 422
    problem = answer.json()
    assert problem["error"] == "validation_error"
    assert any(field in issue["loc"] and says in issue["msg"] for issue in problem["issues"]), problem
    assert api.get("/v1/metrics").json()["pattern_count"] == 0


def test_unknown_fields_are_passed_over(api: Api) -> None:
    body = {"task": "Count words", "code": "x", "eval_score": 7, "temperature": 3, "nested": {"a": [1]}}
    assert api.post("/v1/learn", body).status == 200


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "application/vnd.x+json", None])
def test_json_by_any_of_its_names(api: Api, content_type: str | None) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    assert api.post("/v1/recall", {"task": "x"}, headers).status == 200


@pytest.mark.parametrize("content_type", ["text/plain", "multipart/form-data; boundary=x", "application/xml"])
def test_what_is_no_json_is_refused(api: Api, content_type: str) -> None:
    answer = api.post("/v1/recall", {"task": "x"}, {"content-type": content_type})
    assert (answer.status, answer.json()["error"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("body", [[], "text", 5, None])
def test_a_body_that_is_no_object(api: Api, body: Any) -> None:
    answer = api.call("POST", "/v1/recall", body if body is not None else [None])
    assert (answer.status, answer.json()["error"]) == (400, "bad_request")


def test_pages_follow_one_another_to_the_end(api: Api) -> None:
    for number in range(7):
        api.learn(f"Convert file number {number} of the archive to text", source="cli")
    seen, offset = list[str](), 0
    while offset is not None:
        body = {
            "task": "Convert file of the archive to text",
            "limit": 3,
            "offset": offset,
            "deduplicate": False,
        }
        page = api.post("/v1/recall", body).json()
        seen += [match["pattern_key"] for match in page["matches"]]
        assert page["has_more"] == (page["next_offset"] is not None)
        offset = page["next_offset"]
    assert len(seen) == len(set(seen)) == 7


def test_recalls_at_once_are_answered_as_one_by_one(tmp_path: Path) -> None:
    tasks = [
        f"Task {number} about {topic}" for number, topic in enumerate(["csv", "json", "xml", "yaml"] * 8)
    ]
    with service(tmp_path / "a") as api:
        for task in tasks[::2]:
            api.learn(task)
        bodies = [{"task": task, "readonly": True, "limit": 4} for task in tasks]
        bodies[3] = {"task": " ", "readonly": True}
        with ThreadPoolExecutor(len(bodies)) as threads:
            together = list(threads.map(lambda body: api.post("/v1/recall", body), bodies))
    assert together[3].status == 422
    settings = tmp_path / "a"
    with Memory(storage=_storage(settings), embeddings=HashEmbeddings(), llm=None) as memory:
        for body, answer in zip(bodies, together, strict=True):
            if answer.status == 200:
                alone = memory.recall(str(body["task"]), readonly=True, limit=4)
                assert answer.json() == recall_document(alone)


def _storage(folder: Path) -> Any:
    from engramia.providers import JSONStorage

    return JSONStorage(folder)


@pytest.mark.parametrize("slash", ["/", "%2F", "%2f"])
def test_a_pattern_with_its_history(api: Api, slash: str) -> None:
    key = api.learn("Sort invoices", 6)
    path = "/v1/patterns/" + key.replace("/", slash)
    refined = api.post(f"{path}/refine", {"eval_score": 2, "feedback": "It sorts backwards."})
    assert refined.status == 200
    record = schemas.RecordBody.model_validate_json(api.get(path).body)
    assert [seen.score for seen in record.observations] == [6, 2]
    assert record.observations[1].feedback == "It sorts backwards."
    assert refined.json() == api.get(path).json()
    assert api.call("DELETE", path).json() == {"deleted": True, "pattern_key": key}
    assert api.get(path).status == 404


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_patterns_that_are_not_there(api: Api, method: str) -> None:
    assert api.call(method, f"/v1/{MISSING}").status == 422  # the id alone is no key
    missing = api.call(method, f"/v1/patterns/{MISSING}")
    assert (missing.status, missing.json()["error"]) == (404, "not_found")
    wrong = api.call(method, "/v1/patterns/abc123")
    assert (wrong.status, wrong.json()["error"]) == (422, "validation_error")


def test_patterns_are_listed_newest_first_and_filtered(api: Api) -> None:
    old = api.learn("Sort invoices", 6, classification="public")
    new = api.learn("Fetch the weather", 9)
    listed = api.get("/v1/patterns").json()
    assert [pattern["pattern_key"] for pattern in listed["patterns"]] == [new, old]
    public = api.get("/v1/patterns?classification=public").json()
    assert [pattern["pattern_key"] for pattern in public["patterns"]] == [old]
    good = api.get("/v1/patterns?min_score=8&limit=1").json()
    assert [pattern["pattern_key"] for pattern in good["patterns"]] == [new]
    assert (good["has_more"], good["next_offset"]) == (False, None)
    for query in ("limit=0", "limit=x", "offset=-1", "classification=secret", "min_score=11"):
        assert api.get(f"/v1/patterns?{query}").status == 422, query


def test_skills_are_put_on_and_found(api: Api) -> None:
    one, two = api.learn("Sort invoices"), api.learn("Fetch the weather")
    for key, tags in ((one, ["CSV", "sorting", "csv"]), (two, ["csv"])):
        answer = api.post("/v1/skills/register", {"pattern_key": key, "skills": tags}).json()
        assert answer["registered"] == len({tag.lower() for tag in tags})
    any_of = api.post("/v1/skills/search", {"skills": ["csv", "sorting"]}).json()["matches"]
    assert {match["pattern_key"] for match in any_of} == {one, two}
    assert {match["similarity"] for match in any_of} == {1.0}
    all_of = api.post("/v1/skills/search", {"required": ["csv", "sorting"], "match_all": True}).json()
    assert [match["pattern_key"] for match in all_of["matches"]] == [one]
    assert api.post("/v1/skills/register", {"pattern_key": one, "skills": []}).json()["registered"] == 0
    assert api.post("/v1/skills/register", {"pattern_key": MISSING, "skills": ["a"]}).status == 404
    assert api.post("/v1/skills/search", {}).status == 422


def test_secrets_reach_no_file(tmp_path: Path) -> None:
    secret = "ghp_" + "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8"[:36]
    with service(tmp_path) as api:
        api.learn(f"Push with the token {secret}", output=secret)
        api.post("/v1/import", {"records": [{"nonsense": secret}]}, {"prefer": "respond-async"})
        kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert secret.encode() not in kept
