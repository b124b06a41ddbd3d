"""The process of the stdio server: the memory that the settings describe, for the one who started it."""

import argparse
import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Never, cast

import anyio
from mcp.server.lowlevel.server import Server
from mcp.server.stdio import stdio_server
from pydantic import ValidationError

from engramia.bootstrap import Adapters
from engramia.core.model import Scope
from engramia.errors import ConflictError, EngramiaError
from engramia.mcp.desk import Context, Desk
from engramia.mcp.lines import Lines
from engramia.mcp.server import build_server
from engramia.memory.facade import Memory
from engramia.server.kit.caller import Caller
from engramia.server.kit.operations import Operation
from engramia.server.kit.permissions import Role
from engramia.server.kit.services import Services, Submission
from engramia.server.memory.operations import OPERATIONS
from engramia.settings import Settings

OK, UNEXPECTED, USAGE = 0, 1, 2
LOG_LEVEL = "WARNING"

_STDIN = 0
_log = logging.getLogger("engramia.mcp")


def run(arguments: Sequence[str]) -> int:
    """Serve until the client closes its end or a signal says to stop; return the exit code.

    Standard output carries the protocol alone; whatever is to be said is said on stderr.
    """
    options = _options(arguments)
    try:
        settings = Settings(**{name: value for name, value in vars(options).items() if value is not None})
        scope = Scope(settings.tenant, settings.project)
        logging.basicConfig(
            level=(settings.log_level or LOG_LEVEL).upper(),
            format="%(levelname)s %(name)s: %(message)s",
            stream=sys.stderr,
        )
    except (ValueError, EngramiaError) as error:
        return _refuse(f"A setting is wrong. {_sentence(error)}", USAGE)
    try:
        adapters = Adapters(settings)
    except EngramiaError as error:
        return _refuse(str(error), UNEXPECTED)
    asyncio.run(_serve(settings, adapters, scope))
    return OK


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="engramia-mcp",
        description="Serves the memory to an editor over stdio (MCP). Settings come from the environment "
        "(ENGRAMIA_*); `engramia mcp config` prints what editors want to know.",
    )
    parser.add_argument("--data-path", type=Path, help="folder of the JSON storage")
    parser.add_argument("--tenant", help="tenant to work in")
    parser.add_argument("--project", help="project to work in")
    parser.add_argument("--version", action="version", version=f"engramia-mcp {version('engramia')}")
    return parser.parse_args(arguments)


def _refuse(sentence: str, code: int) -> int:
    sys.stderr.write(f"engramia-mcp: {sentence}\n")
    return code


def _sentence(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(f"{issue['loc'][0]}: {issue['msg']}" for issue in error.errors())
    return str(error)


async def _serve(settings: Settings, adapters: Adapters, scope: Scope) -> None:
    services = Services(
        storage=adapters.storage,
        memory_of=lambda scope: Memory(adapters.engine(scope)),
        operations={operation.name: operation for operation in OPERATIONS},
        submit=_no_jobs,
    )
    try:
        await _converse(build_server(_desk(services, scope)), settings.shutdown_timeout)
    finally:
        # What was begun is finished, so that nothing is half learned; but an editor does not wait forever.
        _end_by(settings.shutdown_timeout)
        services.lanes.close()
        adapters.close()


async def _converse(server: Server[Any], patience: float) -> None:
    """Serve the one client until it is gone or a signal comes; end `patience` seconds after that at last."""
    # The SDK asks nothing of its standard input but the lines; its own cannot stop before the next comes.
    lines = cast("anyio.AsyncFile[str]", Lines(_taken_stdin()))
    loop = asyncio.get_running_loop()
    with anyio.CancelScope() as serving:

        def stop() -> None:
            _end_by(patience)  # a client that reads no more may hold the last answer up
            serving.cancel()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        try:
            async with stdio_server(stdin=lines) as (incoming, outgoing):
                await server.run(incoming, outgoing, server.create_initialization_options())
        except* BrokenPipeError:
            _log.info("The client has gone without a word.")


def _taken_stdin() -> int:
    """Return standard input under a number of its own; what runs in this process reads nothing there."""
    own = os.dup(_STDIN)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, _STDIN)
    os.close(nothing)
    return own


def _desk(services: Services, scope: Scope) -> Desk:
    # Whoever can start this process can read the files it works on: there is nothing to keep from them.
    owner = Caller(scope, Role.OWNER)
    return Desk(services, caller=lambda _: owner, charge=_free, request_id=lambda _: None)


async def _free(_: Context, __: Operation[Any]) -> None:
    """Charge nothing: the user pays the model's vendor, and limits itself there."""


def _no_jobs(_: Submission) -> Never:
    raise ConflictError("Tools answer at once; there are no jobs here.")


def _end_by(seconds: float) -> None:
    watchdog = threading.Timer(seconds, _give_up)
    watchdog.daemon = True
    watchdog.start()


def _give_up() -> None:
    _log.error("Stopping took too long; what still ran was cut off.")
    sys.stderr.flush()
    os._exit(UNEXPECTED)
