"""What needs no id: lists, searches, counts, repeated requests, what a language model is asked."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from engramia.server.kit.permissions import PERMISSIONS, Role
from tests.isolation.conftest import clauses_alone
from tests.isolation.slots import Kind, Operation, address, operations_of
from tests.isolation.tenants import (
    NEIGHBOUR,
    OURS,
    SHARED_ATTEMPT,
    STRANGER,
    TASK,
    Party,
    World,
    belongings,
    by_tenant_alone,
    inhabited,
    reopened,
    words_in,
)
from tests.isolation.unfenced import without_settings, without_where
from tests.server.api import Api

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # a database server

_FISHING: Mapping[str, Any] = {
    "task": TASK,
    "skills": ["cooking"],
    "required": ["cooking"],
    "min_count": 1,
    "limit": 20,
    "min_score": 0,
    "min_similarity": 0,
}
"""Values of bodies' fields that would find what everybody has stored."""
_REPLACES = frozenset({"POST /v1/learn", "POST /v1/skills/register"})
_ENDS_KEYS = frozenset({"DELETE /v1/keys/{id}", "POST /v1/keys/{id}/rotate"})


def operations(world: World) -> list[Operation]:
    """Return what is built: what reads first, what replaces or deletes what we hold last."""
    found = [one for one in operations_of(world.api.get("/openapi.json").json()) if one.is_built]
    return sorted(
        found, key=lambda one: (one.name in _ENDS_KEYS, one.method == "DELETE", one.name in _REPLACES)
    )


def own_address(operation: Operation, party: Party) -> str:
    of_path = {"key": party.ids[Kind.PATTERN], "job_id": party.ids[Kind.JOB], "id": party.ids[Kind.KEY]}
    return address(operation, of_path)


def fishing(operation: Operation) -> Any:
    """Return the document's example of a body, asking for all that there is."""
    body = operation.body
    if isinstance(body, dict):
        body |= {name: value for name, value in _FISHING.items() if name in body}
    return body


def test_no_answer_to_anybody_holds_a_word_of_others(world: World) -> None:
    seen = set[str]()
    before = belongings(world.url, world.stranger), belongings(world.url, world.neighbour, by_project=True)
    world.llm.questions.clear()
    for operation in operations(world):
        for role in Role:
            answer = world.ours.callers[role].call(
                operation.method, own_address(operation, world.ours), fishing(operation)
            )
            words = words_in(answer)
            assert words <= {OURS}, (operation.name, role, words, answer.body)
            if words and operation.permission in PERMISSIONS[role]:
                seen.add(operation.name)
    assert {"POST /v1/recall", "POST /v1/skills/search", "GET /v1/export", "GET /v1/patterns"} <= seen
    assert {"GET /v1/feedback", "GET /v1/keys", "POST /v1/analyze-failures"} <= seen, "our own is shown"
    assert world.llm.questions
    asked = str(world.llm.questions)
    assert OURS in asked
    assert not {word for word in (NEIGHBOUR, STRANGER) if word in asked}
    after = belongings(world.url, world.stranger), belongings(world.url, world.neighbour, by_project=True)
    assert before == after


def test_what_others_have_learned_is_new_to_us(world: World) -> None:
    """Neither a duplicate nor a count tells that somebody else stored the same."""
    counted = world.ours.owner.get("/v1/metrics").json()["pattern_count"]
    for number, other in enumerate((world.neighbour, world.stranger), 1):
        theirs = {"task": f"{TASK} {other.word}", "code": f"boil('{other.word}')", "eval_score": 8.0}
        answer = world.ours.owner.post("/v1/learn", theirs).json()
        assert (answer["stored"], answer["duplicate_of"]) == (True, None)
        assert answer["pattern_count"] == counted + number
    assert world.stranger.owner.get("/v1/metrics").json()["pattern_count"] == counted


def test_counts_are_of_one_s_own_alone(world: World) -> None:
    before = {path: world.ours.owner.get(path).json() for path in ("/v1/metrics", "/v1/health")}
    listed = _keys(world.ours.owner), world.ours.owner.get("/v1/jobs").json()
    for other in (world.neighbour, world.stranger):
        for number in range(3):
            other.owner.learn(f"Pickle {number} sorts of {other.word} in vinegar", score=1.0)
            other.owner.post("/v1/recall", {"task": TASK})
        accepted = other.owner.post("/v1/aging", None, {"prefer": "respond-async"})
        other.owner.finished(accepted.json()["job_id"])
        assert other.owner.post("/v1/keys", {"name": "one more", "role": "reader"}).status == 201
    assert {path: world.ours.owner.get(path).json() for path in before} == before
    assert (_keys(world.ours.owner), world.ours.owner.get("/v1/jobs").json()) == listed


def _keys(owner: Api) -> list[dict[str, Any]]:
    """Return the keys without their last use, which asking for them is as well."""
    return [key | {"last_used_at": None} for key in owner.get("/v1/keys").json()["keys"]]


def test_a_key_of_a_repeated_request_is_of_one_project(world: World) -> None:
    """What others sent with the same `Idempotency-Key` is neither answered again nor in the way."""
    ours, headers = world.ours.owner, {"idempotency-key": SHARED_ATTEMPT}
    body = {"task": f"{TASK} {OURS}", "code": "x", "eval_score": 1.0}
    refused = ours.post("/v1/learn", body, headers)
    assert refused.json()["error"] == "idempotency_key_reused", "our own is known"
    newcomer = _newcomer(world)
    answer = newcomer.post("/v1/learn", body, headers)
    assert answer.status == 200
    assert "Idempotency-Replayed" not in answer
    assert answer.json()["pattern_key"] not in {
        party.ids[Kind.PATTERN] for party in (world.ours, world.neighbour, world.stranger)
    }
    again = newcomer.post("/v1/learn", body, headers)
    assert (again.body, again["Idempotency-Replayed"]) == (answer.body, "true")


def _newcomer(world: World) -> Api:
    """Return the holder of a key of a project of ours that nothing was sent to."""
    made = world.ours.owner.post("/v1/keys", {"name": "new", "project_id": "newcomer"}).json()
    return Api(world.api.address, {"authorization": f"Bearer {made['secret']}"})


def test_the_audit_trail_shows_acts_of_one_s_own_tenant_alone(world: World) -> None:
    rows = world.ours.owner.get("/v1/audit?limit=100").json()["entries"]
    assert {row["actor"] for row in rows} <= {
        "operator",
        None,
        *world.ours.key_ids.values(),
        *world.neighbour.key_ids.values(),
    }
    numbers = [row["seq"] for row in rows]
    assert numbers == list(range(len(rows), 0, -1)), "no gap tells of acts of others"
    theirs = world.ours.owner.get(f"/v1/audit?actor={world.stranger.key_ids[Role.OWNER]}")
    assert theirs.json()["entries"] == []


def test_keys_of_others_are_listed_to_nobody(world: World) -> None:
    for party in (world.ours, world.neighbour, world.stranger):
        listed = {key["id"] for key in party.owner.get("/v1/keys?limit=100").json()["keys"]}
        assert listed == set(party.key_ids.values())


def test_the_switch_opens_everything_where_there_is_no_row_security(
    tmp_path: Path, postgres_url: str
) -> None:
    """Or the tests of row security alone would prove nothing."""
    with inhabited(tmp_path / "before", postgres_url) as world:
        pass
    switch, open_wall = without_where(by_tenant_alone(postgres_url)), clauses_alone(postgres_url)
    with switch, open_wall, reopened(tmp_path / "after", world) as owner:
        answers = [owner.get(path) for path in ("/v1/patterns", "/v1/export", "/v1/feedback", "/v1/jobs")]
    assert {word for answer in answers for word in words_in(answer)} >= {NEIGHBOUR, STRANGER}


def test_where_no_scope_is_set_nothing_is_shown_and_nothing_kept(tmp_path: Path, postgres_url: str) -> None:
    with inhabited(tmp_path / "before", postgres_url) as world:
        asked = operations(world)
        ours = world.ours
    before = belongings(postgres_url, ours), belongings(postgres_url, world.stranger)
    with without_settings() as switch, reopened(tmp_path / "after", world) as owner:
        for operation in asked:
            answer = owner.call(operation.method, own_address(operation, ours), fishing(operation))
            assert not words_in(answer), (operation.name, answer.body)
            assert answer.status not in {201, 202}, (operation.name, answer.body)
        assert owner.get("/v1/patterns").json()["patterns"] == []
        assert owner.get("/v1/metrics").json()["pattern_count"] == 0
        assert owner.post("/v1/learn", {"task": "a", "code": "b", "eval_score": 1.0}).status >= 500
    assert switch.times
    assert (belongings(postgres_url, ours), belongings(postgres_url, world.stranger)) == before
