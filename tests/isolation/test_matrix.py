"""Every place of the document that takes an id, filled with ids of others, as every role.

What comes back must be, byte for byte, what comes back for an id of nothing.
"""

import copy
import re
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from engramia.server.kit.permissions import PERMISSIONS, Role
from tests.isolation.slots import (
    LOOKED_UP,
    Kind,
    Operation,
    Request,
    Slot,
    UnknownPlaceError,
    operations_of,
    slots_of,
)
from tests.isolation.tenants import NOBODY, Party, World, belongings
from tests.server.api import Api
from tests.server.serving import Answer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # a database server, a thousand requests

_OF_THE_MOMENT = re.compile(r"^(x-request-id|date|ratelimit-.*|location)$")
_MADE = re.compile(
    rb"(?<=[^a-z])(?:job|key)_[0-9a-z]{26}|sk_engramia_\w+|\d{4}-\d\d-\d\dT[0-9:.]+(?:Z|\+00:00)"
)
"""What is new in each answer that makes something: ids, secrets, times."""


def document(world: World) -> dict[str, Any]:
    answer = world.api.get("/openapi.json")
    assert answer.status == 200
    return dict(answer.json())


def shown(answer: Answer, id: str, kind: Kind) -> tuple[int, dict[str, list[str]], bytes]:
    """Return all of an answer that may not differ; an id that the request named may be named again."""
    headers = {name: value for name, value in answer.headers.items() if not _OF_THE_MOMENT.match(name)}
    body = answer.body.replace(id.encode(), b"ID")
    return answer.status, headers, body if kind in LOOKED_UP else _MADE.sub(b"MADE", body)


def call(api: Api, request: Request) -> Answer:
    return api.call(request.method, request.path, request.body, request.headers)


def variants(slot: Slot, id: str, world: World) -> Iterator[Request]:
    """Yield the request with the id, and the same asked for as a job."""
    own = {"key": world.ours.ids[Kind.PATTERN], "job_id": world.ours.ids[Kind.JOB], "window": "daily"}
    request = slot.filled(id, own | {"id": world.ours.ids[Kind.KEY]})
    yield request
    if slot.operation.may_be_a_job:
        headers = request.headers | {"prefer": "respond-async"}
        yield Request(request.method, request.path, headers, request.body)


def foreign(slot: Slot, role: Role, world: World) -> Iterator[tuple[Party, str]]:
    """Yield the ids of others that mean nothing to a caller of this role in our project."""
    yield world.stranger, world.stranger.ids[slot.kind]
    below_admin = role.rank < Role.ADMIN.rank
    if slot.kind in {Kind.PATTERN, Kind.JOB} or (slot.kind is Kind.PROJECT and below_admin):
        yield world.neighbour, world.neighbour.ids[slot.kind]


def allowed(slot: Slot, role: Role) -> set[int]:
    """Return which answers are right at all for an id of somebody else."""
    if slot.place == "header":
        return {404} if role.rank >= Role.ADMIN.rank else {403}
    if slot.operation.permission not in PERMISSIONS[role]:
        return {403}
    if not slot.operation.is_built:
        return {501}
    return {404} if slot.kind in LOOKED_UP else {200, 201, 202}


def ended(api: Api, answer: Answer, id: str) -> Any:
    """Return what became of a job that was accepted, without what is new in each."""
    if answer.status != 202:
        return None
    job = api.finished(answer.json()["job_id"])
    told = orjson.dumps({name: job[name] for name in ("status", "result", "error")})
    return _MADE.sub(b"MADE", told.replace(id.encode(), b"ID"))


def check(slot: Slot, role: Role, world: World) -> int:
    """Compare the answers for the ids of others with those for an id of nobody; return how many."""
    api = world.ours.callers[role]
    count = 0
    nobodys_id = NOBODY[slot.kind]
    for party, theirs_id in foreign(slot, role, world):
        assert len(theirs_id) == len(nobodys_id)
        pairs = zip(variants(slot, theirs_id, world), variants(slot, nobodys_id, world), strict=True)
        for theirs, nobodys in pairs:
            where = (str(slot), role.value, party.word)
            answers = call(api, theirs), call(api, nobodys)
            found = shown(answers[0], theirs_id, slot.kind), shown(answers[1], nobodys_id, slot.kind)
            assert found[0] == found[1], where
            assert found[0][0] in allowed(slot, role), (where, found[0])
            assert ended(api, answers[0], theirs_id) == ended(api, answers[1], nobodys_id), where
            count += 1
    return count


def test_an_id_of_others_gets_the_bytes_of_an_id_of_nobody(world: World) -> None:
    slots = slots_of(document(world))
    kinds = {slot.kind for slot in slots}
    assert kinds == set(Kind), "every kind of id has a place, or the tables name too many"
    before = belongings(world.url, world.stranger), belongings(world.url, world.neighbour, by_project=True)
    count = sum(check(slot, role, world) for role in Role for slot in slots)
    assert count > 4 * len(slots)
    after = belongings(world.url, world.stranger), belongings(world.url, world.neighbour, by_project=True)
    assert before == after


def test_our_own_ids_are_found_by_the_same_requests(world: World) -> None:
    """Or the matrix would hold for a service that finds nothing at all."""
    for slot in slots_of(document(world)):
        if slot.kind not in LOOKED_UP or not slot.operation.is_built or _ends_it(slot):
            continue
        request = next(variants(slot, world.ours.ids[slot.kind], world))
        answer = call(world.ours.owner, request)
        expected = {409} if slot.operation.path.endswith("/cancel") else {200, 201, 422}
        assert answer.status in expected or slot.place == "header", (str(slot), answer.status, answer.body)
        assert answer.status not in {403, 404} or slot.place == "header", (str(slot), answer.body)


def _ends_it(slot: Slot) -> bool:
    return slot.operation.method == "DELETE" or slot.operation.path.endswith("/rotate")


def test_every_operation_but_the_public_ones_can_be_asked_for_another_project(world: World) -> None:
    taking = {slot.operation.name for slot in slots_of(document(world)) if slot.name == "X-Project-Id"}
    public = {one.name for one in operations_of(document(world)) if one.permission == "public"}
    assert taking == {one.name for one in operations_of(document(world))} - public


@pytest.mark.parametrize(
    ("path", "parameters", "schema"),
    [
        ("/v1/things/{thing_id}", [], {}),
        ("/v1/things/{id}", [], {}),
        ("/v1/things", [{"name": "thing", "in": "query"}], {}),
        ("/v1/things", [], {"properties": {"thing_id": {"type": "string"}}}),
        ("/v1/things", [], {"properties": {"things": {"items": {"properties": {"key": {}}}}}}),
        ("/v1/things", [], {"$ref": "#/$defs/T", "$defs": {"T": {"properties": {"tenant": {}}}}}),
    ],
)
def test_a_route_with_an_id_that_the_matrix_does_not_know_fails_it(
    path: str, parameters: list[dict[str, str]], schema: dict[str, Any]
) -> None:
    body = {"content": {"application/json": {"schema": schema}}}
    operation = {"x-permission": "recall", "responses": {"200": {}}, "parameters": parameters}
    written = {"paths": {path: {"post": copy.deepcopy(operation | {"requestBody": body})}}}
    with pytest.raises(UnknownPlaceError):
        slots_of(written)


def test_slots_are_filled_where_they_are() -> None:
    row = {"records": [{"key": "old", "data": {}}]}
    content = {"application/json": {"schema": {}, "examples": {"example": {"value": row}}}}
    written = {"x-permission": "import", "responses": {"200": {}}, "requestBody": {"content": content}}
    [slot] = slots_of({"paths": {"/v1/import": {"post": written}}})
    assert slot == Slot(Operation("POST", "/v1/import", {}), "body", "records.key", Kind.NEW_PATTERN)
    assert slot.filled("new", {}).body == {"records": [{"key": "new", "data": {}}]}
