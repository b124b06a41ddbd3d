"""How fast Postgres answers with half a million patterns of a thousand tenants in one table.

Run as `python -m benchmarks.postgres_speed --large`. Recall is measured by the size of the tenant, beside one
round trip to the database and beside an exact comparison of all vectors in SQL; what the index finds for the
largest tenant is compared with an exact search; of the smallest tenants all matches are counted.
"""

import statistics
import sys
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import psycopg

from benchmarks.postgres_tenants import MODEL, PROJECT, Vectors, World, asked, load, name, tenant_sizes
from benchmarks.storage_speed import Corpus, Taken, key, spread, timed
from engramia.core.calibration import calibration_for
from engramia.core.limits import NEAR_IDENTICAL_JACCARD
from engramia.core.model import Event, EventKind, Observation, Pattern, PatternRecord, Scope
from engramia.core.query import Search
from engramia.db import private_database, vector_index
from engramia.db.session import Limits
from engramia.providers.postgres.storage import PostgresScopedStorage, PostgresStorage
from engramia.providers.postgres.vector_plan import VectorPlan

SETTINGS = {
    "shared_buffers": "1536MB",
    "maintenance_work_mem": "1536MB",
    "max_wal_size": "4GB",
    "max_parallel_maintenance_workers": "1",
    **private_database.SETTINGS,
}
"""Of the private server; the README of the database says the same. fsync is on."""
_NOW = datetime(2026, 6, 1, tzinfo=UTC)
_CALIBRATION = calibration_for("all-MiniLM-L6-v2")
_RECALLS, _SMALL_ASKED, _LEARNED, _SETTLE = 100, 10, 60, 60
_SEEDS, _EXACT = range(1, 7), 20
_NEAR = 0.3
_PATIENT = Limits(statement_timeout=60.0)
"""What is compared with may take long, and the first reads come from the disk."""
_CLASSES = (("of 250,000", 0, 1), ("of thousands", 1, 30), ("of hundreds", 200, 260), ("of 60", -41, -1))


def measure_large(url: str, total: int, tenants: int) -> dict[str, Any]:
    """Load the tables if they are empty, and return all figures."""
    world, sizes = World(Corpus.make()), tenant_sizes(total, tenants)
    figures: dict[str, Any] = {"patterns": sum(sizes), "tenants": len(sizes), "largest": sizes[0]}
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT count(*) FROM scopes").fetchone()
    if found == (0,):
        figures["load_s"] = round(timed(partial(load, url, sizes, world)).wall)
        _say("building the index")
        figures["index_s"] = round(timed(partial(vector_index.make_wanted_indexes, url)).wall)
    storage = PostgresStorage(database_url=url, limits=_PATIENT)
    try:
        figures["baselines"] = _baselines(url, world, sizes[0])
        _say(f"baselines: {figures['baselines']}")
        for question in asked(world, 0, sizes[0], _SETTLE):
            _search(storage, 0, *question)
        storage.sketches.wait(60.0)
        figures["recall"] = {title: _recalls(storage, world, sizes, places) for title, *places in _CLASSES}
        _say(f"recall: {figures['recall']}")
        figures["recall_at_10"] = _recall_at_10(storage, url, world, sizes[0])
        _say(f"recall@10: {figures['recall_at_10']}")
        figures["small_tenants"] = _small_tenants(storage, world, sizes)
        figures["learn"] = {
            f"beside {sizes[tenant]:,}": _learning(storage, world, tenant)
            for tenant in (0, 1, len(sizes) - 1)
        }
    finally:
        storage.close()
    return figures


def _say(what: str) -> None:
    print(f"  {what}", file=sys.stderr)


def _baselines(url: str, world: World, size: int) -> dict[str, float]:
    """Return milliseconds for one round trip, and for comparing the largest tenant's vectors in SQL."""
    exact = (
        "SELECT number FROM pattern_vectors WHERE tenant_id = %s AND project_id = %s "
        "ORDER BY embedding <#> %s::vector LIMIT 10"
    )
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET jit = off")
        trips = [timed(partial(connection.execute, "SELECT 1")) for _ in range(200)]
        scans = [
            timed(partial(connection.execute, exact, [name(0), PROJECT, str(vector.tolist())]))
            for _, vector in asked(world, 0, size, 5)
        ]
    return {
        "round_trip_ms": spread(trips)["p50_ms"],
        "exact_scan_of_the_largest_ms": round(statistics.median(one.wall for one in scans) * 1e3, 1),
    }


def _recalls(
    storage: PostgresStorage, world: World, sizes: Sequence[int], places: Sequence[int]
) -> dict[str, Any]:
    """Ask tenants of one class in turn, each twice to begin with."""
    tenants = range(len(sizes))[places[0] : places[1]]
    each = max(2, _RECALLS // len(tenants))
    first, later = list[Taken](), list[Taken]()
    for tenant in tenants:
        questions = asked(world, tenant, sizes[tenant], each + 2)
        first.append(timed(partial(_search, storage, tenant, *questions[0])))
        _search(storage, tenant, *questions[1])
        later += [timed(partial(_search, storage, tenant, *question)) for question in questions[2:]]
    return {"tenants": len(tenants), "first_in_this_process": spread(first), **spread(later)}


def _search(
    storage: PostgresStorage,
    tenant: int,
    task: str,
    vector: Vectors,
    *,
    everything: bool = False,
) -> list[str]:
    limit, least = (100, 0.0) if everything else (10, _NEAR)
    question = Search(task, vector, _NOW, _CALIBRATION.fusion, least, limit=limit, deduplicate=not everything)
    with storage.scoped(Scope(name(tenant), PROJECT)).reading() as stores:
        return [hit.pattern.key for hit in stores.patterns.search(question)]


def _recall_at_10(storage: PostgresStorage, url: str, world: World, size: int) -> dict[str, Any]:
    """Compare what the largest tenant is answered by the index with what it is by comparing all."""
    exact = PostgresStorage(database_url=url, limits=_PATIENT)
    exact.plan = VectorPlan(exact_limit=0, index_worth=float("inf"))
    questions = [one for seed in _SEEDS for one in asked(world, 0, size, _EXACT, seed)]
    before = storage.plan.uses
    found = [_search(storage, 0, *question) for question in questions]
    indexed = storage.plan.uses - before
    taken, shared, wanted = list[float](), 0, 0
    for question, ours in zip(questions, found, strict=True):
        begun = time.perf_counter()
        theirs = _search(exact, 0, *question)
        taken.append(time.perf_counter() - begun)
        shared += len(set(ours) & set(theirs))
        wanted += len(theirs)
    exact.close()
    return {
        "asked": len(questions),
        "by_index": indexed,
        "recall_at_10": round(shared / wanted, 4),
        "exact_ms": round(statistics.median(taken) * 1e3),
    }


def learn(scope: PostgresScopedStorage, record: PatternRecord, vector: Vectors) -> None:
    """Do what learning does in its transaction."""
    with scope.writing() as stores:
        stores.patterns.near_identical(record.pattern.task, NEAR_IDENTICAL_JACCARD)
        stores.patterns.add(record, vector)
        stores.patterns.count()
        at, of = record.pattern.created_at, record.pattern.key
        stores.activity.record(Event(EventKind.LEARN, at, eval_score=7.0, pattern_key=of))


def _small_tenants(storage: PostgresStorage, world: World, sizes: Sequence[int]) -> dict[str, int]:
    """Ask the smallest tenants for everything: each pattern is as near as can be asked, so all must come."""
    tenants = range(len(sizes) - _SMALL_ASKED, len(sizes))
    missing = 0
    for tenant in tenants:
        for question in asked(world, tenant, sizes[tenant], 3):
            found = _search(storage, tenant, *question, everything=True)
            missing += sizes[tenant] - len(set(found))
    return {"tenants": len(tenants), "patterns_each": sizes[-1], "matches_missing": missing}


def _learning(storage: PostgresStorage, world: World, tenant: int) -> dict[str, float]:
    """Time learning; what was learned is deleted again, so that a second run finds the same tables."""
    scope = storage.scoped(Scope(name(tenant), PROJECT))
    records = list(_records(world, tenant))
    taken = [timed(partial(learn, scope, record, vector)) for record, vector in records]
    with scope.writing() as stores:
        stores.patterns.delete([record.pattern.key for record, _ in records])
    return spread(taken[10:])


def _records(world: World, tenant: int) -> Iterable[tuple[PatternRecord, Vectors]]:
    drawn = world.draw(tenant, _LEARNED, seed=10**7)
    texts = zip(drawn.tasks(), drawn.texts(), drawn.vectors, strict=True)
    for place, (task, escaped, vector) in enumerate(texts):
        code = escaped.replace("\\n", "\n")
        pattern = Pattern(key(2**70 + place), task, code, "ok", 7.0, _NOW, _NOW, embedding_model=MODEL)
        yield PatternRecord(pattern, observations=(Observation(7.0, _NOW),)), vector
