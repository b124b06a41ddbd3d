"""Ready-made configuration of the programs that agents live in, each in its own dialect."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

NAME = "engramia"
KEY_VARIABLE = "ENGRAMIA_API_KEY"
"""Where the HTTP configurations take the key from: none of them holds it."""

_KEY_INPUT = "engramia_api_key"
"""Visual Studio, which reads the same file, allows no other signs."""
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

type Config = dict[str, Any]


class Client(StrEnum):
    """A program that speaks MCP."""

    CLAUDE_DESKTOP = "claude-desktop"
    CLAUDE_CODE = "claude-code"
    CURSOR = "cursor"
    WINDSURF = "windsurf"
    VSCODE = "vscode"


@dataclass(frozen=True, slots=True)
class Stdio:
    """A server that the client starts itself."""

    command: Sequence[str]
    """Absolute path and arguments: clients start in folders, and with a PATH, of their own."""
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Http:
    """A server that runs already."""

    url: str
    """Of the MCP endpoint, such as `https://memory.example.org/v1/mcp`."""


def config_of(client: Client, server: Stdio | Http) -> Config:
    """Return what goes into the client's configuration file."""
    dialect = _DIALECTS[client]
    return dialect.stdio(server) if isinstance(server, Stdio) else dialect.http(server)


def file_of(client: Client, platform: str) -> str:
    """Return where the client's configuration is on a platform (`sys.platform`); `~` is the user's home."""
    files = _DIALECTS[client].files
    return files.get(platform, files["linux"])


def remark_on(client: Client, server: Stdio | Http) -> str:
    """Return what has to be done besides, in a sentence."""
    dialect = _DIALECTS[client]
    return dialect.reload if isinstance(server, Stdio) else f"{dialect.key} {dialect.reload}"


def _entry(server: Stdio) -> Config:
    first, *arguments = server.command
    return {"command": first, "args": arguments, "env": dict(server.environment)}


def _under(name: str, entry: Config) -> Config:
    return {name: {NAME: entry}}


def _servers(server: Stdio) -> Config:
    return _under("mcpServers", _entry(server))


def _typed(name: str) -> Callable[[Stdio], Config]:
    return lambda server: _under(name, {"type": "stdio", **_entry(server)})


def _bearer(reference: str) -> Config:
    return {"Authorization": f"Bearer {reference}"}


def _bridged(server: Http) -> Config:
    """Return a program that speaks stdio to Claude Desktop, whose file knows no addresses, and HTTP to us."""
    parts = urlsplit(server.url)
    plain = ["--allow-http"] if parts.scheme == "http" and parts.hostname not in _LOOPBACK else []
    # Without a space: some releases split arguments there.
    arguments = ["-y", "mcp-remote", server.url, *plain, "--header", "Authorization:${AUTHORIZATION}"]
    key = {"AUTHORIZATION": f"Bearer <{KEY_VARIABLE}>"}
    return _under("mcpServers", {"command": "npx", "args": arguments, "env": key})


def _claude_code(server: Http) -> Config:
    headers = _bearer(f"${{{KEY_VARIABLE}}}")
    return _under("mcpServers", {"type": "http", "url": server.url, "headers": headers})


def _cursor(server: Http) -> Config:
    return _under("mcpServers", {"url": server.url, "headers": _bearer(f"${{env:{KEY_VARIABLE}}}")})


def _windsurf(server: Http) -> Config:
    return _under("mcpServers", {"serverUrl": server.url, "headers": _bearer(f"${{env:{KEY_VARIABLE}}}")})


def _vscode(server: Http) -> Config:
    asked = {"type": "promptString", "id": _KEY_INPUT, "description": "Engramia API key", "password": True}
    headers = _bearer(f"${{input:{_KEY_INPUT}}}")
    entry = {"type": "http", "url": server.url, "headers": headers}
    return {"inputs": [asked], **_under("servers", entry)}


@dataclass(frozen=True, slots=True)
class _Dialect:
    """How one client is configured."""

    files: Mapping[str, str]
    stdio: Callable[[Stdio], Config]
    http: Callable[[Http], Config]
    key: str
    """How it comes by the API key."""
    reload: str
    """What makes it read its file."""


_FROM_ENVIRONMENT = f"The key is read from {KEY_VARIABLE} in the environment it is started in."

_DIALECTS: Mapping[Client, _Dialect] = {
    Client.CLAUDE_DESKTOP: _Dialect(
        {
            "linux": "~/.config/Claude/claude_desktop_config.json",
            "darwin": "~/Library/Application Support/Claude/claude_desktop_config.json",
            "win32": r"%APPDATA%\Claude\claude_desktop_config.json",
        },
        _servers,
        _bridged,
        f"Put the key in the place of <{KEY_VARIABLE}>; the bridge mcp-remote needs Node.js.",
        "Quit Claude Desktop and start it again.",
    ),
    Client.CLAUDE_CODE: _Dialect(
        {"linux": ".mcp.json"},
        _typed("mcpServers"),
        _claude_code,
        _FROM_ENVIRONMENT,
        "The file belongs into the project's folder; `/mcp` shows whether it is connected.",
    ),
    Client.CURSOR: _Dialect(
        {"linux": "~/.cursor/mcp.json", "win32": r"%USERPROFILE%\.cursor\mcp.json"},
        _typed("mcpServers"),
        _cursor,
        _FROM_ENVIRONMENT,
        "Switch the server on under Settings, MCP.",
    ),
    Client.WINDSURF: _Dialect(
        {
            "linux": "~/.codeium/windsurf/mcp_config.json",
            "win32": r"%USERPROFILE%\.codeium\windsurf\mcp_config.json",
        },
        _servers,
        _windsurf,
        _FROM_ENVIRONMENT,
        "Press Refresh in Cascade's list of MCP servers.",
    ),
    Client.VSCODE: _Dialect(
        {"linux": ".vscode/mcp.json"},
        _typed("servers"),
        _vscode,
        "VS Code asks for the key once and keeps it.",
        "The file belongs into the workspace; `MCP: List Servers` starts the server.",
    ),
}
