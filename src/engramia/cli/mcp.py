"""The command that tells an editor where the memory is: mcp config."""

import sys
import sysconfig
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer
from pydantic import SecretStr

from engramia.cli.command import block, command
from engramia.cli.session import Session, variable
from engramia.errors import ValidationError
from engramia.mcp.clients import Client, Http, Stdio, config_of, file_of, remark_on

if TYPE_CHECKING:
    from engramia.settings import Settings

SCRIPT = "engramia-mcp"

_EVERYWHERE = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - an address to be replaced, not to listen on
_Client = Annotated[Client, typer.Argument(metavar="CLIENT", help="Program to configure.")]
_Http = Annotated[bool, typer.Option("--http", help="For a running service, in place of a local process.")]
_Url = Annotated[
    str | None, typer.Option(help="Address of the service, https://host/v1/mcp; by default the one set here.")
]


def config(session: Session, client: _Client, *, http: _Http = False, url: _Url = None) -> None:
    """Print ready-made configuration of claude-desktop, claude-code, cursor, windsurf or vscode.

    The configuration alone goes to stdout, and where it belongs to stderr. By default the program starts
    its own server over stdio, on the storage and with the settings that are in force here; any number of
    them may share one folder. With --http it talks to a service that runs (`engramia serve`).
    """
    server = _http(session.settings, url) if http or url else _stdio(session.settings)
    secrets = _secrets(session.settings) if isinstance(server, Stdio) else []
    made, file = config_of(client, server), file_of(client, sys.platform)
    session.terminal.answer(
        {
            "client": client.value,
            "transport": "stdio" if isinstance(server, Stdio) else "http",
            "file": file,
            "config": made,
            "secrets": secrets,
        }
    )
    if session.json:
        return
    session.terminal.write(orjson.dumps(made, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    session.terminal.note(f"For {file}. {remark_on(client, server)}")
    if secrets:
        session.terminal.note(f"Not printed, for they are secret; add them to env: {', '.join(secrets)}.")


def register(app: typer.Typer) -> None:
    """Add these commands to `app`."""
    group = typer.Typer(
        help="The memory inside editors and assistants (MCP).",
        epilog=block("Examples:", "  engramia mcp config cursor", "  engramia mcp config claude-code --http"),
        rich_markup_mode=None,
    )
    group.callback()(_only_a_group)
    command(
        group,
        "config",
        examples=(
            "engramia mcp config claude-desktop",
            "engramia mcp config claude-code > .mcp.json",
            "engramia mcp config vscode --url https://memory.example.org/v1/mcp",
        ),
    )(config)
    app.add_typer(group, name="mcp")


def server_command() -> Sequence[str]:
    """Return how to start the stdio server of this installation, from anywhere."""
    script = Path(sysconfig.get_path("scripts")) / SCRIPT
    return [str(script)] if script.is_file() else [sys.executable, "-m", "engramia.mcp"]


def _only_a_group() -> None:
    """Keep the command's name: a group of one command would be that command."""


def _stdio(settings: "Settings") -> Stdio:
    return Stdio(server_command(), _environment(settings))


def _http(settings: "Settings", url: str | None) -> Http:
    if url is None:
        host = "127.0.0.1" if settings.host in _EVERYWHERE else settings.host
        return Http(f"http://{f'[{host}]' if ':' in host else host}:{settings.port}/v1/mcp")
    if not url.startswith(("http://", "https://")):
        raise ValidationError(f"--url must begin with http:// or https://; got {url!r}.", field="url")
    return Http(url)


def _environment(settings: "Settings") -> Mapping[str, str]:
    """Return the variables under which another process finds the same memory as this one."""
    chosen = {name: getattr(settings, name) for name in sorted(_chosen(settings))}
    told = {variable(name): _written(value) for name, value in chosen.items() if not _is_secret(value)}
    return {"ENGRAMIA_DATA_PATH": str(settings.data_path.absolute()), **told}


def _secrets(settings: "Settings") -> list[str]:
    return [variable(name) for name in sorted(_chosen(settings)) if _is_secret(getattr(settings, name))]


def _chosen(settings: "Settings") -> set[str]:
    """Return what was set on purpose, of that which the stdio server goes by."""
    from engramia.settings import EmbeddingSettings, LLMSettings, StorageSettings

    groups = (StorageSettings, EmbeddingSettings, LLMSettings)
    known = {name for group in groups for name in group.model_fields} - {"xdg_cache_home"}
    return settings.model_fields_set & known


def _is_secret(value: Any) -> bool:
    return isinstance(value, SecretStr)


def _written(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case Path():
            return str(value.absolute())
        case Enum():
            return str(value.value)
        case _:
            return str(value)
