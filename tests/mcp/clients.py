"""The official client at the other end of the server, over a real socket or a real process."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import httpx2
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult, TextContent

import engramia
from engramia.mcp.endpoint import PATH

type Era = Literal["auto", "legacy"]
"""Today's stateless revision, or the handshake of those before it."""
REVISIONS: dict[Era, str] = {"auto": "2026-07-28", "legacy": "2025-11-25"}

DEADLINE_SECONDS = 60.0
COMMAND = (sys.executable, "-m", "engramia.mcp")


def talk[T](conversation: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a conversation to its end."""

    async def bounded() -> T:
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await conversation()

    return asyncio.run(bounded())


@asynccontextmanager
async def over_http(
    address: tuple[str, int], era: Era = "auto", headers: dict[str, str] | None = None
) -> AsyncIterator[Client]:
    """Connect to a service."""
    url = f"http://{address[0]}:{address[1]}{PATH}"
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx2.AsyncClient(headers=headers or {}, timeout=30.0))
        yield await stack.enter_async_context(Client(streamable_http_client(url, http_client=http), mode=era))


@asynccontextmanager
async def over_stdio(folder: Path, era: Era = "auto", *options: str) -> AsyncIterator[Client]:
    """Start a server of one's own on `folder`."""
    first, *arguments = COMMAND
    parameters = StdioServerParameters(
        command=first, args=[*arguments, *options], env=process_environment(folder), cwd=folder.parent
    )
    async with Client(parameters, mode=era) as client:
        yield client


def process_environment(folder: Path, **more: str) -> dict[str, str]:
    """Return the environment of a server process: words alone, nothing of this process's settings."""
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder.parent),
        "PYTHONPATH": str(Path(engramia.__file__).parent.parent),
        "OMP_NUM_THREADS": "1",
        "ENGRAMIA_EMBEDDING_MODEL": "none",
        "ENGRAMIA_DATA_PATH": str(folder),
        **more,
    }


async def done(call: Awaitable[CallToolResult]) -> Any:
    """Return the typed result of a tool that succeeds; its text says the same."""
    result = await call
    assert not result.is_error, result.content
    assert result.structured_content == json.loads(text_of(result))
    return result.structured_content


async def refused(call: Awaitable[CallToolResult]) -> Any:
    """Return the error of a tool that fails as it should: flagged, with a code and a sentence."""
    result = await call
    assert result.is_error, result.structured_content
    assert result.structured_content is None
    told = json.loads(text_of(result))
    assert told["error"]
    assert told["detail"]
    return told


def text_of(result: CallToolResult) -> str:
    """Return the one text of a result."""
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text
