"""The command evaluate: judges on one piece of work, alike or told apart."""

import json
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from engramia.cli.exit_codes import ExitCode
from engramia.cli.session import Session
from engramia.core.jury import calibrate, read_recordings
from engramia.errors import ProviderTimeoutError
from engramia.testing import ScriptedLLM
from tests.cli.asking import judgement, scripted
from tests.cli.conftest import Cli
from tests.providers.llm_server import CHAT, chat, llm_server
from tests.providers.openai_server import OpenAIServer, Request, failure

pytestmark = pytest.mark.slow  # real processes

TASK = ("evaluate", "--task", "Report the mean of each column")
CODE = "def mean(rows):\n    return sum(rows) / len(rows)\n"
WORK = (*TASK, "--code", CODE)
UNSURE = (("harsh", -2), ("fair", 0))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Weights of two judges, one of which is two points too harsh."""
    anchors = [
        {"id": str(gold), "gold": gold, "scores": {name: gold + off for name, off in UNSURE}}
        for gold in (2, 3, 5, 6, 8, 9)
    ]
    found = calibrate(read_recordings(json.dumps(anchor) for anchor in anchors))
    file = tmp_path / "weights.json"
    file.write_text(found.to_json())
    return file


def by_model(handler: BaseHTTPRequestHandler, request: Request) -> None:
    """Answer as a judge of the model's name would: the harsh one 5, others 7."""
    overall = 5 if request.body["model"] == "harsh" else 7
    chat(json.dumps(judgement(overall, f"So says {request.body['model']}")))(handler, request)


def at(server: OpenAIServer) -> dict[str, str]:
    """Return the settings that name the server."""
    return {"OPENAI_API_KEY": "sk-of-a-test", "OPENAI_BASE_URL": server.url}


def test_a_program_gets_the_body_of_the_http_interface(cli: Cli) -> None:
    said = [judgement(8), judgement(3, "Close the file", robustness=1), judgement(6)]
    ended = cli(*WORK, "--json", session=scripted(ScriptedLLM(said)))
    assert (ended.code, ended.err) == (ExitCode.OK, "")
    document = ended.document
    scores = document.pop("scores")
    assert document == {
        "median_score": 6,
        "variance": pytest.approx(19 / 3),
        "high_variance": True,
        "feedback": "Close the file",
        "adversarial_detected": False,
    }
    assert sorted(scores, key=lambda score: float(score["overall"])) == [said[1], said[2], said[0]]


def test_people_get_each_judges_dimensions_and_what_they_come_to(cli: Cli) -> None:
    said = [judgement(8, task_alignment=9.5), judgement(3, "Close the file")]
    ended = cli(*WORK, "-n", "2", session=scripted(ScriptedLLM(said)))
    assert (ended.code, ended.err) == (ExitCode.OK, "")
    for told in (
        "Robustness",
        "9.5",
        "5.50 of 10",
        "12.50",
        "the judges disagree",
        "Close the file",
        "not found",
    ):
        assert told in ended.out, told
    calm = cli(*WORK, "-n", "1", session=scripted(ScriptedLLM([judgement(8)]))).out
    assert "disagree" not in calm
    assert "one judge was asked" in calm


def test_hard_coded_output_is_pointed_out(cli: Cli, tmp_path: Path) -> None:
    output = tmp_path / "output.txt"
    output.write_text("mean of the second column: 42.375")
    faked = (*TASK, "--code", 'print("mean of the second column: 42.375")', "--output-file", str(output))
    ended = cli(*faked, session=scripted(ScriptedLLM(lambda _: judgement(9))))
    assert ended.code == ExitCode.OK
    assert "nothing computes it" in ended.out
    document = cli(*faked, "--json", session=scripted(ScriptedLLM(lambda _: judgement(9)))).document
    assert document["adversarial_detected"] is True


def test_the_code_comes_from_a_file_and_just_once(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "mean.py"
    file.write_text(CODE)
    llm = ScriptedLLM([judgement(7)])
    assert cli(*TASK, "--code-file", str(file), "-n", "1", session=scripted(llm)).code == ExitCode.OK
    assert "sum(rows) / len(rows)" in llm.questions[0].material
    ended = cli(*WORK, "--code-file", str(file), session=scripted(ScriptedLLM([])))
    assert ended.code == ExitCode.USAGE
    assert "--code-file FILE" in ended.err


def test_the_pattern_gets_the_median_and_the_feedback_is_counted(cli: Cli, learned: str) -> None:
    for _ in range(2):
        session = scripted(ScriptedLLM(lambda _: judgement(4, "Close the file")))
        ended = cli(*WORK, "--pattern", learned.removeprefix("patterns/"), session=session)
        assert learned in ended.out
    observations = cli("show", learned, "--json").document["observations"]
    assert [seen["score"] for seen in observations][-2:] == [4, 4]
    assert [item["text"] for item in cli("feedback", "--json").document["feedback"]] == ["Close the file"]
    unknown = cli(*WORK, "--pattern", "0" * 26, session=scripted(ScriptedLLM([])))
    assert unknown.code == ExitCode.NOT_FOUND


def test_judges_that_answer_badly_are_counted_and_too_many_are_an_error(cli: Cli) -> None:
    one_bad = ScriptedLLM([judgement(7), "prose", "prose again"])
    ended = cli(*WORK, "-n", "2", session=scripted(one_bad))
    assert ended.code == ExitCode.OK
    assert "1 judge gave no valid answer" in ended.err
    ended = cli(*WORK, "--json", session=scripted(ScriptedLLM(lambda _: "prose")))
    assert ended.code == ExitCode.PROVIDER
    assert ended.document["error"] == "bad_provider_output"
    late = cli(*WORK, session=scripted(ScriptedLLM(lambda _: ProviderTimeoutError("Too late."))))
    assert late.code == ExitCode.PROVIDER
    assert "ENGRAMIA_LLM_TIMEOUT" in late.err


def test_what_a_judge_says_cannot_steer_the_terminal(cli: Cli) -> None:
    llm = ScriptedLLM([judgement(7, "[red]Clear\x1b[2J[/red]")])
    ended = cli(*WORK, "-n", "1", session=scripted(llm))
    assert "\x1b" not in ended.out
    assert "[red]Clear" in ended.out


@pytest.mark.parametrize(
    "arguments",
    [
        WORK,
        ("compose", "Fetch and report"),
        ("evolve", "--role", "coder", "--prompt", "You write code."),
    ],
    ids=lambda arguments: str(arguments[0]),
)
def test_without_a_language_model_it_says_what_to_set(cli: Cli, arguments: tuple[str, ...]) -> None:
    ended = cli(*arguments)
    assert ended.code == ExitCode.PROVIDER
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "ENGRAMIA_LLM_PROVIDER", f"engramia {arguments[0]}"):
        assert name in ended.err
    assert cli(*arguments, "--json").document["error"] == "provider_not_configured"


@pytest.mark.usefixtures("learned")
def test_a_missing_key_stops_only_what_asks(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGRAMIA_LLM_PROVIDER", "anthropic")
    assert cli("list").code == ExitCode.OK
    doctor = cli("doctor", "--json").document
    assert {check["name"] for check in doctor["checks"] if check["status"] == "fail"} == {"language model"}
    ended = cli(*WORK)
    assert ended.code == ExitCode.PROVIDER
    assert "ANTHROPIC_API_KEY" in ended.err


def test_named_models_are_asked_and_their_scores_are_told_apart(process: Cli) -> None:
    with llm_server() as server:
        server.usual[CHAT] = by_model
        document = process(*WORK, "--judge", "harsh", "--judge", "fair", "--json", **at(server)).document
    assert document["jury"] == {
        "score": None,
        "confidence": None,
        "abstained": False,
        "judges": {"harsh": 5, "fair": 7},
    }
    assert document["feedback"] == "So says harsh"


def test_a_jury_asks_the_models_of_its_weights_and_weighs_them(process: Cli, weights: Path) -> None:
    with llm_server() as server:
        server.usual[CHAT] = by_model
        jury = process(*WORK, "--jury", str(weights), "--json", **at(server)).document["jury"]
        assert sorted(request.body["model"] for request in server.requests) == ["fair", "harsh"]
    # The anchors say that the harsh one is two points under the truth.
    assert jury["score"] == pytest.approx(7, abs=0.5)
    assert 0.5 < jury["confidence"] < 1
    assert jury["abstained"] is False


def test_people_see_who_judged_and_how_sure_the_jury_is(cli: Cli, weights: Path) -> None:
    def agreeing() -> Session:
        return scripted(ScriptedLLM(lambda _: judgement(6)))

    named = cli(*WORK, "--judge", "harsh", "--judge", "fair", session=agreeing()).out
    assert "harsh" in named
    assert "sure to be within a point" not in named
    asked = (*WORK, "--jury", str(weights))
    jury = cli(*asked, "--json", session=agreeing()).document["jury"]
    shown = cli(*asked, session=agreeing()).out
    assert f"{jury['score']:.2f} of 10, {jury['confidence']:.0%} sure" in shown
    unsure = (*asked, "--min-confidence", "1")
    assert cli(*unsure, "--json", session=agreeing()).document["jury"]["abstained"] is True
    assert "abstains" in cli(*unsure, session=agreeing()).out


def test_who_judges_is_said_once(cli: Cli, weights: Path) -> None:
    for twice in (
        ("--judge", "fair", "-n", "2"),
        ("--jury", str(weights), "--judge", "fair"),
        ("--jury", str(weights), "-n", "2"),
    ):
        ended = cli(*WORK, *twice, "--json")
        assert (ended.code, ended.document["field"]) == (ExitCode.USAGE, "jury")
    ended = cli(*WORK, "--min-confidence", "0.9", "--json")
    assert (ended.code, ended.document["field"]) == (ExitCode.USAGE, "min_confidence")
    assert cli(*WORK, "--jury", str(weights.with_name("none.json"))).code == ExitCode.USAGE


def test_a_process_asks_a_real_server(process: Cli) -> None:
    with llm_server() as server:
        server.usual[CHAT] = chat(json.dumps(judgement(7)))
        ended = process(*TASK, "-", "--json", stdin=CODE.encode(), **at(server))
        assert (ended.code, ended.err) == (ExitCode.OK, "")
        assert ended.document["median_score"] == 7
        assert len(server.requests) == 3
        assert "sum(rows) / len(rows)" in json.dumps(server.requests[0].body)
        server.usual[CHAT] = failure(401, "bad key")
        ended = process(*WORK, "--json", **at(server))
        assert (ended.code, ended.document["error"]) == (ExitCode.PROVIDER, "provider_refused")
