"""Skills, feedback, failures, metrics, aging, status on a real folder."""

import pytest

from engramia.cli.exit_codes import ExitCode
from tests.cli.conftest import Cli


def test_skills_are_registered_searched_and_cleared(cli: Cli, learned: str) -> None:
    assert cli("skills", "register", learned, "Python ", "csv", "--json").document == {
        "registered": ["python", "csv"]
    }
    found = cli("skills", "search", "csv", "sql", "--json").document["matches"]
    assert [match["pattern_key"] for match in found] == [learned]
    assert found[0]["similarity"] == 1
    assert cli("skills", "search", "csv", "sql", "--all", "--json").document["matches"] == []
    assert learned in cli("skills", "search", "csv").out
    assert cli("skills", "register", learned, "--json").document == {"registered": []}
    assert "No pattern" in cli("skills", "search", "csv").out


def test_feedback_said_twice_is_surfaced(cli: Cli, learned: str) -> None:
    assert "said twice" in cli("feedback").out
    for score in ("4", "5"):
        cli("refine", learned, score, "--feedback", "fails on an empty file")
    [item] = cli("feedback", "--json").document["feedback"]
    assert (item["text"], item["count"]) == ("fails on an empty file", 2)
    assert "fails on an empty file" in cli("feedback").out
    assert cli("feedback", "--task-type", "poem", "--json").document["feedback"] == []
    assert cli("feedback", "--decay", "--json").document == {"pruned": 0}


def test_failures_are_clustered(cli: Cli, learned: str) -> None:
    assert "No failures" in cli("analyze-failures").out
    cli("refine", learned, "2", "--feedback", "KeyError: 'name'")
    cli("refine", learned, "4", "--feedback", "KeyError: 'city'")
    [cluster] = cli("analyze-failures", "--min-count", "2", "--json").document["clusters"]
    assert cluster["total_count"] == 2
    assert cluster["avg_score"] == pytest.approx(3)
    assert "KeyError" in cli("analyze-failures").out


@pytest.mark.usefixtures("learned")
def test_metrics_count_runs_and_quality(cli: Cli) -> None:
    cli("recall", "merge two CSV files by their id column")
    measured = cli("metrics", "--json").document
    assert measured == {
        "runs": 1,
        "success_rate": 1,
        "avg_eval_score": 8,
        "pattern_count": 1,
        "reuse_rate": 1,
    }
    assert "100% of recalls" in cli("metrics").out


@pytest.mark.usefixtures("learned")
def test_aging_prunes_nothing_that_is_new(cli: Cli) -> None:
    assert cli("aging", "--feedback", "--json").document == {"pruned": 0, "feedback_pruned": 0}
    assert "1 left" in cli("aging").out


@pytest.mark.usefixtures("learned")
def test_status_tells_the_scope_the_counts_and_the_place(cli: Cli, data_path: object) -> None:
    document = cli("status", "--json").document
    assert (document["tenant"], document["project"]) == ("default", "default")
    assert document["metrics"]["pattern_count"] == 1
    assert document["embedding"] == {
        "kind": "none",
        "why": "ENGRAMIA_EMBEDDING_MODEL=none",
        "model": None,
        "store_model": None,
        "waiting": 1,
    }
    assert str(data_path) in str(document["storage"])
    shown = cli("status").out
    assert "default/default" in shown
    assert "words alone" in shown


@pytest.mark.usefixtures("learned")
def test_reindex_without_a_model_is_a_provider_error(cli: Cli) -> None:
    ended = cli("reindex", "--json")
    assert ended.code == ExitCode.PROVIDER
    assert ended.document["error"] == "provider_not_configured"


def test_init_makes_the_folder_and_is_harmless_twice(cli: Cli, data_path: object) -> None:
    first = cli("init", "--json").document
    assert first["made"] is True
    assert first["data_path"] == str(data_path)
    second = cli("init")
    assert second.code == 0
    assert "there already" in second.out
    assert "engramia demo" in second.out


@pytest.mark.usefixtures("learned")
def test_a_project_sees_only_its_own(cli: Cli) -> None:
    assert cli("list", "--project", "other", "--json").document["patterns"] == []
    assert cli("--project", "other", "--json", "list").document["patterns"] == []
    assert cli("--project", "other", "list", "--project", "default", "--json").document["patterns"] != []
    assert cli("list", "--tenant", "a/b").code == ExitCode.USAGE
