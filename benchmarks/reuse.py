"""(c) Reuse by execution: run what the best match holds, and see whether it solves the task."""

import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

from benchmarks import datasets
from benchmarks.arms import EngineArm, baseline_arms
from benchmarks.report import Table
from engramia import Match
from engramia.core.embedding import Embeddings

_REUSED = ("duplicate", "adapt")
_DEADLINE = 10.0
_ROUNDS = 3


def run(embeddings: Embeddings, table: Table) -> dict[str, Any]:
    """Return solved shares on Spider's databases and on recorded attempts at HumanEval."""
    return {"spider": _spider(embeddings, table), "codegen": _codegen(embeddings, table)}


def _spider(embeddings: Embeddings, table: Table) -> dict[str, float]:
    data = next(data for data in datasets.recall_sets() if data.name == "spider_sql_recall")
    absent = [query for query in data.queries if not query["relevant"]]
    code = {row["id"]: row["code"] for row in data.stored}
    arms = baseline_arms(embeddings, data)
    engine = EngineArm(embeddings, data.stored)
    table.start("Reuse on Spider, by running the SQL", ["arm", "answerable", "solved", "absent", "offered"])
    result = {}
    for name, rank in arms.items():
        result[name] = _share(_same_rows(query, code[rank(query["task"])[0]]) for query in data.answerable)
        table.row(name, len(data.answerable), result[name])
    solved = _share(
        _same_rows(query, best.pattern.code) if (best := _best(engine, query)) else False
        for query in data.answerable
    )
    offered = _share(
        (best := _best(engine, query)) is not None and best.reuse_tier in _REUSED for query in absent
    )
    table.row("engine", len(data.answerable), solved, len(absent), offered)
    engine.close()
    return result | {"engine": solved, "engine, absent offered for reuse": offered}


def _best(engine: EngineArm, query: datasets.Row) -> Match | None:
    matches = engine.memory.recall(query["task"], limit=1, readonly=True)
    return matches[0] if matches else None


def _same_rows(query: datasets.Row, code: str) -> bool:
    """Whether `code` answers with the same rows as the query's own SQL; in order if that asks for one."""
    mine, gold = _execute(query["db"], code), _execute(query["db"], query["code"])
    if mine is None or gold is None:
        return False
    return mine == gold if "order by" in query["code"].lower() else Counter(mine) == Counter(gold)


def _execute(database: str, sql: str) -> list[Any] | None:
    connection = sqlite3.connect(f"file:{datasets.sqlite_file(database)}?mode=ro&immutable=1", uri=True)
    try:
        return connection.execute(sql).fetchall()
    except sqlite3.Error:
        return None
    finally:
        connection.close()


def _codegen(embeddings: Embeddings, table: Table) -> dict[str, float]:
    """Learn every recorded attempt with its visible score; recall by reworded tasks; run the hidden tests.

    After each failure the pattern is refined with 0, as an agent would, and the task is recalled again.
    """
    attempts = datasets.rows("codegen_attempts")
    humaneval = next(data for data in datasets.recall_sets() if data.name == "humaneval_paraphrase")
    tests = {row["id"]: row for row in humaneval.stored}
    queries = {query["relevant"][0]: query for query in humaneval.answerable}
    stored = [row | {"eval_score": row["visible_score"]} for row in attempts]
    table.start(
        "Reuse of recorded attempts, by running the tests",
        ["arm", "tasks", *(f"round {n + 1}" for n in range(_ROUNDS))],
    )
    engine = EngineArm(embeddings, stored)
    solved = [0] * _ROUNDS
    for task_id, query in queries.items():
        for place in range(_first_solved(engine, query, tests[task_id]), _ROUNDS):
            solved[place] += 1
    engine.close()
    shares = [count / len(queries) for count in solved]
    first = _share(_passes(_first_attempt(attempts, task_id), tests[task_id]) for task_id in queries)
    table.row("any stored attempt", len(queries), first)
    table.row("engine", len(queries), *shares)
    return {"any stored attempt": first} | {f"engine, round {n + 1}": share for n, share in enumerate(shares)}


def _first_attempt(attempts: Sequence[datasets.Row], task_id: str) -> str:
    return str(next(row["code"] for row in attempts if row["task_id"] == task_id))


def _first_solved(engine: EngineArm, query: datasets.Row, test: datasets.Row) -> int:
    """Return the round (from 0) whose best match passed the tests; the number of rounds if none did."""
    for place in range(_ROUNDS):
        matches = engine.memory.recall(query["task"], limit=1)
        if not matches:
            return _ROUNDS
        if _passes(matches[0].pattern.code, test):
            return place
        engine.memory.refine_pattern(matches[0].pattern_key, 0.0)
    return _ROUNDS


def _passes(code: str, test: datasets.Row) -> bool:
    """Whether the code passes the task's tests, in a process of its own under a deadline."""
    program = f"from typing import *\n{code}\n{test['test']}\ncheck({test['entry_point']})\n"
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", program], capture_output=True, timeout=_DEADLINE, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _share(outcomes: Any) -> float:
    values = [bool(outcome) for outcome in outcomes]
    return sum(values) / len(values)
