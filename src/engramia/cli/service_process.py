"""One process that serves: uvicorn with our logging, our way to stop, and a bound on how long that takes."""

import contextlib
import logging
import math
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn

from engramia.cli import INTERRUPTED
from engramia.cli.exit_codes import ExitCode
from engramia.errors import ValidationError

if TYPE_CHECKING:
    from engramia.settings import Settings

SERVER_LOG_LEVEL = "INFO"
_SPARE_SECONDS = 5.0

_log = logging.getLogger("engramia.server")


def serve_on(
    listener: socket.socket,
    settings: "Settings",
    on_ready: Callable[[], None],
    *,
    interactive: bool = True,
) -> ExitCode:
    """Serve the app on `listener` until a signal says to stop; call `on_ready` once requests are answered.

    SIGTERM and SIGINT let running requests finish; a second SIGINT ends at once. Without `interactive` SIGINT
    is left to the process above.
    """
    from engramia.api.app import create_app

    configure_logging(settings)
    try:
        app = create_app(settings)
    except ValueError as error:
        raise ValidationError(str(error), field="settings") from error
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="on",
        ws="none",
        # Whose X-Forwarded-For counts is decided by ENGRAMIA_TRUSTED_PROXIES.
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=math.ceil(settings.shutdown_timeout),
    )
    server = _Server(config, on_ready, app.state.drain, patience(settings), interactive=interactive)
    try:
        server.run(sockets=[listener])
    except SystemExit:  # uvicorn's way to say that the app did not start; the log has the reason
        return ExitCode.UNEXPECTED
    return ExitCode.OK


def configure_logging(settings: "Settings") -> None:
    """Send every log line to stderr in the form that the settings ask for."""
    from engramia.core.redaction import Redactor
    from engramia.telemetry.logging import configure

    configure(settings.log_level or SERVER_LOG_LEVEL, json=settings.json_logs, redactor=Redactor())


def patience(settings: "Settings") -> float:
    """Return how many seconds a process may take to stop: for requests and jobs, and some for the rest."""
    return settings.shutdown_timeout + _SPARE_SECONDS


def end_by(seconds: float) -> None:
    """End this process after `seconds`, whatever it does: threads that wait for a vendor keep it alive."""
    watchdog = threading.Timer(seconds, _give_up)
    watchdog.daemon = True
    watchdog.start()


def end_now() -> None:
    """End this process at once; what was answered is on the disk already, and jobs are taken over."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(INTERRUPTED)


def tell_stopping(what: str) -> None:
    """Tell whoever pressed Ctrl-C what is waited for; may be called by a signal handler."""
    # Past Python's own buffer: the handler may have interrupted a line on its way into that.
    with contextlib.suppress(OSError):
        os.write(2, f"Stopping once running {what} are done; Ctrl-C again ends at once.\n".encode())


def _give_up() -> None:
    _log.error("Stopping took too long; what still ran was cut off.")
    sys.stderr.flush()
    os._exit(ExitCode.UNEXPECTED)


class _Server(uvicorn.Server):
    """uvicorn's server, which would end by the signal that it was stopped with; ours ends with code 0."""

    def __init__(
        self,
        config: uvicorn.Config,
        on_ready: Callable[[], None],
        drain: Callable[[], None],
        seconds: float,
        *,
        interactive: bool,
    ) -> None:
        """`drain` tells the rest of the app, when a signal comes, that the end is near."""
        super().__init__(config)
        self._on_ready = on_ready
        self._drain = drain
        self._seconds = seconds
        self._interactive = interactive
        self._interrupts = 0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's form
        """Begin to stop; a second Ctrl-C ends at once."""
        if sig == signal.SIGINT and not self._interactive:
            return
        self._interrupts += sig == signal.SIGINT
        if self._interrupts > 1:
            end_now()
        if not self.should_exit:
            self.should_exit = True
            self._drain()
            end_by(self._seconds)
            if sig == signal.SIGINT:
                tell_stopping("requests")
