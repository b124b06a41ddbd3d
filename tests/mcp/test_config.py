"""`engramia mcp config`: what editors want to know."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters

import engramia
from engramia.cli.app import run
from engramia.cli.exit_codes import ExitCode
from engramia.mcp import clients
from engramia.mcp.clients import Http, Stdio, config_of, file_of, remark_on
from tests.mcp.clients import done, talk

URL = "https://memory.example.org/v1/mcp"
LOCAL = Stdio(["/opt/engramia/bin/engramia-mcp"], {"ENGRAMIA_DATA_PATH": "/srv/memory"})
REMOTE = Http(URL)
EVERY = pytest.mark.parametrize("client", clients.Client)

type Config = Callable[..., tuple[int, Any, str]]


@pytest.fixture
def config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> Config:
    """Run the command with settings of its own; returns its code, its document and its notes."""
    for name in [name for name in os.environ if name.startswith(("ENGRAMIA_", "OPENAI_", "ANTHROPIC_"))]:  # noqa: TID251 - a clean slate
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ENGRAMIA_EMBEDDING_MODEL", "none")

    def call(*arguments: str) -> tuple[int, Any, str]:
        code = run(["mcp", "config", *arguments])
        out, err = capfdbinary.readouterr()
        return code, json.loads(out) if out else None, err.decode()

    return call


@EVERY
def test_a_local_server_is_started_by_its_full_path(client: clients.Client) -> None:
    (entry,) = config_of(client, LOCAL)["servers" if client == "vscode" else "mcpServers"].values()
    assert entry["command"] == LOCAL.command[0]
    assert entry["args"] == []
    assert entry["env"] == {"ENGRAMIA_DATA_PATH": "/srv/memory"}


def test_clients_that_want_the_kind_of_a_local_server_are_told() -> None:
    told = {client for client in clients.Client if '"type": "stdio"' in json.dumps(config_of(client, LOCAL))}
    assert told == {clients.Client.CLAUDE_CODE, clients.Client.CURSOR, clients.Client.VSCODE}


@EVERY
def test_no_configuration_holds_a_key(client: clients.Client) -> None:
    text = json.dumps(config_of(client, REMOTE))
    assert URL in text
    assert "ENGRAMIA_API_KEY" in text or "${input:engramia_api_key}" in text
    assert "Bearer" in text


def test_each_client_has_its_own_words_for_an_address() -> None:
    def entry(client: clients.Client, within: str = "mcpServers") -> Any:
        return config_of(client, REMOTE)[within]["engramia"]

    assert entry(clients.Client.CLAUDE_CODE)["type"] == "http"
    assert entry(clients.Client.CLAUDE_CODE)["headers"] == {"Authorization": "Bearer ${ENGRAMIA_API_KEY}"}
    assert entry(clients.Client.CURSOR)["url"] == URL
    assert entry(clients.Client.CURSOR)["headers"] == {"Authorization": "Bearer ${env:ENGRAMIA_API_KEY}"}
    assert entry(clients.Client.WINDSURF)["serverUrl"] == URL
    assert entry(clients.Client.VSCODE, "servers")["type"] == "http"
    (asked,) = config_of(clients.Client.VSCODE, REMOTE)["inputs"]
    assert asked["password"] is True
    assert asked["id"].replace("_", "").isalnum(), "Visual Studio takes no other"
    assert entry(clients.Client.CLAUDE_DESKTOP)["args"][:3] == ["-y", "mcp-remote", URL]


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("http://10.0.0.5:8000/v1/mcp", True),
        ("http://127.0.0.1:8000/v1/mcp", False),
        ("https://memory.example.org/v1/mcp", False),
    ],
)
def test_the_bridge_is_told_of_plain_http_in_a_network(url: str, allowed: bool) -> None:
    entry = config_of(clients.Client.CLAUDE_DESKTOP, Http(url))["mcpServers"]["engramia"]
    assert ("--allow-http" in entry["args"]) is allowed


@EVERY
def test_files_and_remarks_are_said_for_every_platform(client: clients.Client) -> None:
    for platform in ("linux", "darwin", "win32", "freebsd14"):
        assert file_of(client, platform).endswith(".json")
    assert remark_on(client, REMOTE).endswith(remark_on(client, LOCAL))
    assert file_of(clients.Client.CLAUDE_DESKTOP, "darwin").startswith("~/Library/")


def test_the_configuration_alone_goes_to_stdout(config: Config, tmp_path: Path) -> None:
    code, made, notes = config("claude-desktop")
    assert code == ExitCode.OK
    assert made["mcpServers"]["engramia"]["env"] == {
        "ENGRAMIA_DATA_PATH": str(tmp_path / "engramia_data"),
        "ENGRAMIA_EMBEDDING_MODEL": "none",
    }
    assert "claude_desktop_config.json" in notes


def test_secrets_are_named_and_not_printed(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    monkeypatch.setenv("ENGRAMIA_LLM_MODEL", "gpt-4.1")
    monkeypatch.setenv("ENGRAMIA_REDACTION", "false")
    _, made, notes = config("cursor", "--project", "billing")
    environment = made["mcpServers"]["engramia"]["env"]
    assert environment["ENGRAMIA_LLM_MODEL"] == "gpt-4.1"
    assert environment["ENGRAMIA_REDACTION"] == "false"
    assert environment["ENGRAMIA_PROJECT"] == "billing"
    assert "OPENAI_API_KEY" in notes
    assert "sk-very-secret" not in json.dumps(made) + notes


def test_programs_get_everything_in_one_document(config: Config) -> None:
    code, told, notes = config("vscode", "--http", "--json")
    assert code == ExitCode.OK
    assert (told["client"], told["transport"], told["file"]) == ("vscode", "http", ".vscode/mcp.json")
    assert told["config"]["servers"]["engramia"]["url"] == "http://127.0.0.1:8000/v1/mcp"
    assert notes == ""


def test_a_server_that_listens_everywhere_is_reached_here(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENGRAMIA_HOST", "::")
    monkeypatch.setenv("ENGRAMIA_PORT", "9000")
    _, made, _ = config("cursor", "--http")
    assert made["mcpServers"]["engramia"]["url"] == "http://127.0.0.1:9000/v1/mcp"


@pytest.mark.parametrize("arguments", [("emacs",), ("cursor", "--url", "memory.example.org")])
def test_what_is_no_client_or_address_is_wrong_usage(config: Config, arguments: tuple[str, ...]) -> None:
    code, _, notes = config(*arguments)
    assert code == ExitCode.USAGE
    assert "Error: " in notes


@pytest.mark.slow
def test_the_command_that_is_printed_works(config: Config, tmp_path: Path) -> None:
    _, made, _ = config("claude-code")
    entry = made["mcpServers"]["engramia"]
    sources = str(Path(engramia.__file__).parent.parent)
    parameters = StdioServerParameters(
        command=entry["command"], args=entry["args"], env={**entry["env"], "PYTHONPATH": sources}, cwd="/"
    )

    async def learn() -> None:
        async with Client(parameters) as client:
            run = {"task": "Sort the members", "code": "sorted(members)", "eval_score": 7}
            assert (await done(client.call_tool("engramia_learn", run)))["stored"]

    talk(learn)
    assert (tmp_path / "engramia_data").is_dir()
    assert Path(entry["command"]).is_absolute()
    assert entry["command"].startswith(sys.prefix)
