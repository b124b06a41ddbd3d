"""What the endpoints of this slice work with, made once for an app."""

import time
from dataclasses import dataclass, field
from typing import Protocol

from starlette.requests import Request

from engramia.server.kit.authentication import MetricsToken
from engramia.server.ops.health import Health


@dataclass(frozen=True, slots=True)
class Build:
    """Which release this is, and what it was built from; None where nobody said so."""

    app_version: str
    git_commit: str | None = None
    build_time: str | None = None


class Exposition(Protocol):
    """The metrics as Prometheus reads them."""

    def render(self, accept: str | None) -> tuple[str, bytes]:
        """Return content type and body, in a form that the `Accept` header takes."""
        ...


@dataclass(frozen=True)
class Ops:
    """The parts of this slice. Put it at `app.state.ops`."""

    build: Build
    storage_kind: str
    """`json` or `postgres`."""
    health: Health
    metrics: Exposition | None = None
    """None: there is nothing at /metrics."""
    metrics_token: MetricsToken = field(default_factory=lambda: MetricsToken(None))
    started: float = field(default_factory=time.monotonic)

    @property
    def uptime_seconds(self) -> float:
        """Seconds since this was made."""
        return round(time.monotonic() - self.started, 1)


def ops_of(request: Request) -> Ops:
    """Return the parts of the app that serves `request`."""
    ops: Ops = request.app.state.ops
    return ops
