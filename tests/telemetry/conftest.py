"""Logs that a test may configure, since logging belongs to the whole process."""

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from engramia.core.redaction import Redactor
from engramia.telemetry import logging as telemetry_logging

REDACTOR = Redactor()
_TOUCHED = ("engramia.audit", "uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")


class Log:
    """What was logged since the log was configured."""

    def __init__(self, *, json: bool, level: str = "INFO") -> None:
        root = logging.getLogger()
        # pytest's own handlers raise for what cannot be formatted.
        root.handlers[:] = [one for one in root.handlers if not type(one).__module__.startswith("_pytest")]
        self.stream = io.StringIO()
        self.handler = telemetry_logging.configure(level, json=json, redactor=REDACTOR, stream=self.stream)

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]

    def saying(self, message: str) -> dict[str, Any]:
        """Return the only line with this message."""
        (line,) = (line for line in self.lines if line["message"] == message)
        return line

    @property
    def last(self) -> dict[str, Any]:
        return self.lines[-1]


type MakeLog = Callable[..., Log]


@pytest.fixture
def make_log() -> Iterator[MakeLog]:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    loggers = {name: logging.getLogger(name) for name in _TOUCHED}
    states = {name: (one.handlers[:], one.level, one.propagate) for name, one in loggers.items()}
    shown = warnings.showwarning
    yield Log
    logging.captureWarnings(capture=False)
    warnings.showwarning = shown
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    root.handlers[:], root.level = before
    for name, one in loggers.items():
        one.handlers[:], one.level, one.propagate = states[name]


@pytest.fixture
def log(make_log: MakeLog) -> Log:
    """Return a JSON log at INFO."""
    return make_log(json=True)
