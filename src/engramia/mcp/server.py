"""The MCP server: the operations' rows as tools, the patterns as resources, the loop as a prompt."""

from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from importlib.metadata import version
from typing import Any

import orjson
from mcp import types
from mcp.server.caching import CacheableMethod, CacheHint
from mcp.server.lowlevel.server import Server
from mcp.shared.exceptions import MCPError

from engramia.mcp import resources, teaching
from engramia.mcp.desk import Context, Desk
from engramia.mcp.failures import failed, refusal
from engramia.mcp.json_schema import Schema
from engramia.mcp.operations import LIST_PATTERNS
from engramia.mcp.tools import TOOLS, Tool
from engramia.server.kit.operations import Operation

NAME = "engramia"

_HOUR_MS = 3_600_000
_HINTS: Mapping[CacheableMethod, CacheHint] = {
    # Which tools there are depends on the caller's role, the rest only on the release.
    "tools/list": CacheHint(_HOUR_MS, "private"),
    "prompts/list": CacheHint(_HOUR_MS, "public"),
    "resources/templates/list": CacheHint(_HOUR_MS, "public"),
}


def build_server(desk: Desk) -> Server[Any]:
    """Return a server whose every request is answered by `desk`; it keeps nothing between requests."""
    handlers = _Handlers(desk)
    return Server(
        NAME,
        version=version("engramia"),
        title="Engramia",
        description="Memory for AI agents: store runs, find them again, know how far to trust them.",
        instructions=teaching.INSTRUCTIONS,
        cache_hints=_HINTS,
        get_tool_input_schema=_input_schema,
        on_list_tools=handlers.list_tools,
        on_call_tool=handlers.call_tool,
        on_list_resources=handlers.list_resources,
        on_list_resource_templates=handlers.list_templates,
        on_read_resource=handlers.read_resource,
        on_list_prompts=handlers.list_prompts,
        on_get_prompt=handlers.get_prompt,
    )


class _Handlers:
    """Answers the requests of the protocol."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def list_tools(self, context: Context, _: Any) -> types.ListToolsResult:
        """Return the tools that the caller's role may call."""
        caller = self._desk.caller(context)
        allowed = (tool for tool in TOOLS.values() if caller.may(tool.operation.permission))
        return types.ListToolsResult(tools=[_advertised(tool.name) for tool in allowed])

    async def call_tool(self, context: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        """Return what a tool answers; whatever goes wrong in it is an answer, too."""
        tool = TOOLS.get(params.name)
        if tool is None:
            raise MCPError(types.INVALID_PARAMS, f"Unknown tool: {params.name[:100]}")
        arguments = params.arguments or {}
        try:
            answer = await self._desk.answer(
                context, tool.operation, lambda author: tool.asked(arguments, author)
            )
        except Exception as error:  # noqa: BLE001 - an agent can act on an answer, not on a broken protocol
            return failed(error, self._desk.request_id(context))
        content = [types.TextContent(type="text", text=answer.decode())]
        return types.CallToolResult(content=list(content), structured_content=orjson.loads(answer))

    async def list_resources(self, context: Context, _: Any) -> types.ListResourcesResult:
        """Return the listing and the newest patterns."""
        answer = await self._read(
            context, lambda: self._desk.answer(context, LIST_PATTERNS, lambda _: resources.newest())
        )
        return types.ListResourcesResult(resources=resources.listed(orjson.loads(answer)))

    async def list_templates(self, _: Context, __: Any) -> types.ListResourceTemplatesResult:
        """Return how patterns are addressed."""
        return types.ListResourceTemplatesResult(resource_templates=list(resources.TEMPLATES))

    async def read_resource(
        self, context: Context, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        """Return a pattern, or a page of the listing."""

        async def read() -> bytes:
            operation, asked = resources.wanted(params.uri)
            return await self._desk.answer(context, operation, lambda _: asked)

        text = (await self._read(context, read)).decode()
        content = types.TextResourceContents(uri=params.uri, mime_type="application/json", text=text)
        return types.ReadResourceResult(contents=[content])

    async def list_prompts(self, _: Context, __: Any) -> types.ListPromptsResult:
        """Return the one prompt."""
        task = types.PromptArgument(name="task", description=teaching.TASK_DESCRIPTION, required=False)
        prompt = types.Prompt(
            name=teaching.LOOP,
            title=teaching.LOOP_TITLE,
            description=teaching.LOOP_DESCRIPTION,
            arguments=[task],
        )
        return types.ListPromptsResult(prompts=[prompt])

    async def get_prompt(self, _: Context, params: types.GetPromptRequestParams) -> types.GetPromptResult:
        """Return the message of the prompt."""
        if params.name != teaching.LOOP:
            raise MCPError(types.INVALID_PARAMS, f"Unknown prompt: {params.name[:100]}")
        text = teaching.loop((params.arguments or {}).get("task"))
        message = types.PromptMessage(role="user", content=types.TextContent(type="text", text=text))
        return types.GetPromptResult(description=teaching.LOOP_DESCRIPTION, messages=[message])

    async def _read(self, context: Context, read: Callable[[], Awaitable[bytes]]) -> bytes:
        try:
            return await read()
        except Exception as error:  # whatever it is, the SDK would pass its words on
            raise refusal(error, self._desk.request_id(context)) from error


@cache
def _advertised(name: str) -> types.Tool:
    tool = TOOLS[name]
    return types.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=tool.input_schema,
        output_schema=tool.output_schema,
        annotations=_annotations(tool, tool.operation),
    )


def _annotations(tool: Tool, operation: Operation[Any]) -> types.ToolAnnotations:
    return types.ToolAnnotations(
        title=tool.title,
        read_only_hint=tool.reads_only,
        destructive_hint=tool.destroys,
        idempotent_hint=tool.repeatable,
        # What it sends to a language model leaves this memory.
        open_world_hint=operation.needs_llm,
    )


def _input_schema(name: str) -> Schema | None:
    return _advertised(name).input_schema if name in TOOLS else None
