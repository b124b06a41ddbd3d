"""Logging: structlog and the standard library through one pipeline, one line for each event."""

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import copy_context  # noqa: TID251 - carries log fields and the current span, nothing else
from functools import wraps
from typing import Any, TextIO, cast

import orjson
import structlog
from structlog.contextvars import bind_contextvars, bound_contextvars, clear_contextvars, unbind_contextvars
from structlog.stdlib import BoundLogger, ExtraAdder, PositionalArgumentsFormatter, ProcessorFormatter

from engramia.core.ports import Redactor
from engramia.telemetry.facts import Censor
from engramia.telemetry.lines import AUDIT_LOGGER, Lines, timestamp

_UVICORN = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")
_TO_PIPELINE = (structlog.stdlib.filter_by_level, ProcessorFormatter.wrap_for_formatter)


class LineHandler(logging.StreamHandler[TextIO]):
    """Writes one line for each record; whatever goes wrong stays here and is counted in `lost`."""

    lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record's line and flush it."""
        try:
            self._write(self._line(record))
        except Exception:  # noqa: BLE001 - a log call never raises into the program, nor is there anyone to tell
            self.lost += 1

    def _line(self, record: logging.LogRecord) -> str:
        try:
            return self.format(record)
        except Exception as error:  # noqa: BLE001 - the line is lost, but not that there was one
            self.lost += 1
            return _lost(record, error)

    def _write(self, line: str) -> None:
        try:
            self.stream.write(f"{line}\n")
        except UnicodeEncodeError:
            encoding = getattr(self.stream, "encoding", None) or "ascii"
            self.stream.write(f"{line}\n".encode(encoding, "replace").decode(encoding))
        self.flush()


def configure(
    level: str | int, *, json: bool, redactor: Redactor, stream: TextIO | None = None
) -> LineHandler:
    """Send every logger's records of at least `level` to `stream` (default: standard error), as one pipeline.

    `json` writes one JSON object a line. `redactor` runs over everything that is written, also where the
    redaction of what is stored is switched off. `AUDIT` lines are written at any level. Calling it again
    replaces what it did before. uvicorn must be started with `log_config=None`, or its own handlers
    come back.
    """
    handler = LineHandler(stream)
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=(ExtraAdder(),),
            processors=(PositionalArgumentsFormatter(), Lines(Censor(redactor), json=json)),
        )
    )
    root = logging.getLogger()
    for old in [one for one in root.handlers if _replaceable(one)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper() if isinstance(level, str) else level)
    logging.getLogger(AUDIT_LOGGER).setLevel(logging.INFO)
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells each time that it asked for the schema
    _adopt_uvicorn()
    logging.captureWarnings(capture=True)
    structlog.configure(
        processors=_TO_PIPELINE,
        wrapper_class=BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    return handler


def logger(name: str) -> BoundLogger:
    """Return the logger of that name: `log.info("Learned a pattern", pattern_key=key)`.

    It needs no configuration first, and writes where the standard library's logger of that name does.
    """
    bound = structlog.wrap_logger(
        logging.getLogger(name),
        processors=_TO_PIPELINE,
        wrapper_class=BoundLogger,
        cache_logger_on_first_use=True,
    )
    return cast("BoundLogger", bound)


def bind(**fields: str | int | None) -> None:
    """Put fields on every line that this task or thread, and what it starts, writes from now on."""
    bind_contextvars(**fields)


def unbind(*names: str) -> None:
    """Take fields off again; names that are not there are passed over."""
    unbind_contextvars(*names)


def clear() -> None:
    """Take all fields off, as a worker does between two jobs."""
    clear_contextvars()


def bound(**fields: str | int | None) -> AbstractContextManager[None]:
    """Put fields on the lines that are written inside the block."""
    return bound_contextvars(**fields)


def carried[**P, T](function: Callable[P, T]) -> Callable[P, T]:
    """Return `function` as it should be handed to a thread: with the log fields and span of here and now."""
    context = copy_context()

    @wraps(function)
    def inside(*args: P.args, **kwargs: P.kwargs) -> T:
        # A copy for each call: one context cannot be entered by two threads at once.
        return context.copy().run(function, *args, **kwargs)

    return inside


def _replaceable(handler: logging.Handler) -> bool:
    """Tell whether this is a handler of ours or of `logging.basicConfig`; what others added stays."""
    return isinstance(handler, LineHandler) or type(handler) is logging.StreamHandler


def _adopt_uvicorn() -> None:
    for name in _UVICORN:
        theirs = logging.getLogger(name)
        theirs.handlers.clear()
        theirs.propagate = True
        theirs.setLevel(logging.NOTSET)


def _lost(record: logging.LogRecord, error: Exception) -> str:
    facts: dict[str, Any] = {
        "level": str(record.levelname).upper(),
        "message": "A log line could not be written.",
        "timestamp": timestamp(time.time()),
        "logger": str(record.name),
        "error": type(error).__name__,
    }
    return orjson.dumps(facts).decode()
