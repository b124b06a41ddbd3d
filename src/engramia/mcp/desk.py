"""Where a call of a tool is checked, charged and done, the same on every transport."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from mcp.server.context import ServerRequestContext

from engramia.memory.asking import configured
from engramia.server.kit.caller import Caller
from engramia.server.kit.operations import Asked, Operation
from engramia.server.kit.services import Services

type Context = ServerRequestContext[Any, Any]


@dataclass(frozen=True, slots=True)
class Desk:
    """Does operations for whoever a transport says is calling."""

    services: Services
    caller: Callable[[Context], Caller]
    charge: Callable[[Context, Operation[Any]], Awaitable[None]]
    """Takes what an operation costs that asks a language model; raises `RateLimitedError`."""
    request_id: Callable[[Context], str | None]
    """What the log calls the request, where it has a name there."""

    async def answer(
        self, context: Context, operation: Operation[Any], asked_by: Callable[[str | None], Asked[Any]]
    ) -> bytes:
        """Return the answer as JSON; `asked_by` makes the request of its author. Blocks no event loop.

        Raises what the operation raises, `AuthorizationError` for a role that may not do it, and pydantic's
        `ValidationError` for a request of another form.
        """
        caller = self.caller(context)
        caller.require(operation.permission)
        if operation.needs_llm:
            await self.charge(context, operation)
        asked = asked_by(caller.key_id)
        if operation.needs_llm:
            configured(self.services.memory_of(caller.scope).engine.llm, operation.name)
        if operation.run_many is not None:
            return await self.services.batches[operation.name].ask(caller.workspace, asked)
        do = partial(self.services.do, operation, caller.workspace, asked)
        return await self.services.lanes.run(operation.lane, do)
