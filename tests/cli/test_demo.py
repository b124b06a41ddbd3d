"""The demo: what it learns, recalls, and says of itself."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engramia.bootstrap import Memory
from engramia.cli.exit_codes import ExitCode
from engramia.cli.rehearsal import Rehearsal, rehearse
from engramia.core.model import ReuseTier
from engramia.demo import DemoQuery, DemoRun, load_queries, load_runs
from engramia.settings import Settings
from tests.cli.conftest import Cli

pytestmark = pytest.mark.slow

TOKEN = "ghp_" + "aZ09" * 9
RUNS = [
    DemoRun(id="slow", task="Sort 10 numbers.", code="bubble()", eval_score=4),
    DemoRun(id="fast", task="Sort 10 numbers.", code="sort()", eval_score=9),
    DemoRun(id="worse", task="Sort 10 numbers", code="bogo()", eval_score=1),
    DemoRun(
        id="fetch", task="Fetch the report", code="get('https://me:hunter22@example.org/r')", eval_score=8
    ),
    DemoRun(id="bad", task="Parse the log", code="parse()", eval_score=2, feedback="KeyError: 'level'"),
    DemoRun(id="bad2", task="Count the users", code="count()", eval_score=3, feedback="KeyError: 'user'"),
]


class AllAlike:
    """Embeddings that take every text for the same."""

    model = "all-alike"
    dimension = 2

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.tile(np.array([1, 0], np.float32), (len(texts), 1))


def rehearsed(tmp_path: Path, queries: list[DemoQuery], embeddings: AllAlike | None = None) -> Rehearsal:
    with Memory(settings=Settings(data_path=tmp_path), embeddings=embeddings) as memory:
        return rehearse(memory, RUNS, queries, lambda _done, _total: None)


def test_learning_tells_what_was_replaced_passed_over_and_redacted(tmp_path: Path) -> None:
    learned = rehearsed(tmp_path, []).learned
    assert (learned.runs, learned.patterns) == (6, 4)
    [replaced] = learned.replaced
    assert (replaced.worse, replaced.better) == (4, 9)
    assert learned.passed_over == ("Sort 10 numbers",)
    assert learned.keys["slow"] == learned.keys["fast"] == learned.keys["worse"]
    [redacted] = learned.redacted
    assert redacted.run_id == "fetch"
    assert "hunter22" not in redacted.stored


def test_failures_of_one_kind_are_clustered(tmp_path: Path) -> None:
    [cluster] = rehearsed(tmp_path, []).failures
    assert cluster.total_count == 2
    assert cluster.avg_score == pytest.approx(2.5)


def test_answers_are_judged_against_what_a_person_expects(tmp_path: Path) -> None:
    queries = [
        DemoQuery("Sort 10 numbers", ReuseTier.DUPLICATE, "slow"),
        DemoQuery("Sort 20 numbers", ReuseTier.DUPLICATE, "fast"),
        DemoQuery("Sort 10 numbers", ReuseTier.DUPLICATE, "fetch"),
        DemoQuery("Write a poem", ReuseTier.FRESH),
        DemoQuery("Parse the log"),
    ]
    shown = rehearsed(tmp_path, queries)
    assert [answer.right for answer in shown.answers] == [True, False, False, True, None]
    assert (shown.right, shown.judged) == (2, 4)
    assert shown.answers[1].tier is not ReuseTier.DUPLICATE
    assert shown.answers[3].best is None
    assert shown.degraded is not None


def test_as_similar_as_a_duplicate_but_held_back(tmp_path: Path) -> None:
    [held, *_] = rehearsed(tmp_path, [DemoQuery("Sort 20 numbers.")], AllAlike()).held_back
    assert held.similarity == pytest.approx(1)
    assert held.differences


def test_the_shipped_demo_on_the_local_model(process: Cli, data_path: Path) -> None:
    local = {"ENGRAMIA_EMBEDDING_MODEL": "local", "ENGRAMIA_MODEL_DOWNLOAD": "false"}
    ended = process("demo", "--json", **local)
    assert ended.code == 0, ended
    document = ended.document
    assert document["runs"] == len(load_runs())
    assert document["degraded"] is False
    assert document["judged"] == len(load_queries())
    assert document["as_expected"] > 0.6 * document["judged"]
    assert document["failures"]
    assert document["replaced"]
    assert not data_path.exists()


def test_the_same_input_gives_the_same_document(cli: Cli) -> None:
    assert cli("demo", "--json").document == cli("demo", "--json").document


def test_the_report_for_people(cli: Cli) -> None:
    ended = cli("demo")
    assert ended.code == 0
    for words in (
        "Asked, and recalled",
        "redacted",
        "took the place of a worse run",
        "as a person would expect",
    ):
        assert words in ended.out
    assert "words alone" in ended.out
    assert re.search(r"[✓✗] +(duplicate|adapt|fresh) +(0\.\d{3}|1\.000|-) +\S", ended.out)


def test_a_file_and_tasks_of_ones_own(cli: Cli, tmp_path: Path) -> None:
    runs, queries, kept = tmp_path / "runs.jsonl", tmp_path / "tasks.jsonl", tmp_path / "kept"
    runs.write_text(
        json.dumps({"id": "a", "task": "Merge two files", "code": "merge()", "eval_score": 9}) + "\n"
    )
    queries.write_text(json.dumps({"task": "Merge two files", "expected": "duplicate", "expected_id": "a"}))
    ended = cli("demo", str(runs), "--queries", str(queries), "--keep", str(kept), "--json")
    assert ended.code == 0
    assert (ended.document["as_expected"], ended.document["judged"]) == (1, 1)
    assert len(cli("list", "--data-path", str(kept), "--json").document["patterns"]) == 1
    again = cli("demo", "--keep", str(kept))
    assert again.code == ExitCode.USAGE
    assert "not an empty folder" in again.err


def test_a_file_without_queries_is_asked_its_own_tasks(cli: Cli, tmp_path: Path) -> None:
    runs = tmp_path / "runs.jsonl"
    runs.write_text(
        "".join(
            json.dumps({"task": f"Do {n} things", "code": "x", "eval_score": 9}) + "\n" for n in range(30)
        )
    )
    ended = cli("demo", str(runs), "--json")
    assert len(ended.document["answers"]) == 10
    assert ended.document["judged"] == 0
    assert "own tasks" in ended.err


@pytest.mark.parametrize(
    ("content", "says"), [("nonsense", "line 1"), ("", "holds no runs"), ('{"task": "x"}', "code")]
)
def test_a_file_that_is_none(cli: Cli, tmp_path: Path, content: str, says: str) -> None:
    runs = tmp_path / "runs.jsonl"
    runs.write_text(content)
    ended = cli("demo", str(runs))
    assert ended.code == ExitCode.USAGE
    assert says in ended.err
