"""Closes the service while its operator works on it."""

from starlette.types import ASGIApp, Receive, Scope, Send

from engramia.errors import MaintenanceError
from engramia.server.kit.errors import problem_of, send_problem
from engramia.server.kit.paths import route_path

OPEN_PATHS = frozenset({"/v1/health", "/v1/health/deep", "/v1/health/live", "/v1/version", "/metrics"})


class Maintenance:
    """Refuses everything but health, version and metrics."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._problem = problem_of(
            MaintenanceError("The service is closed for maintenance; try again later.")
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http" or route_path(scope) in OPEN_PATHS:
            await self._app(scope, receive, send)
        else:
            await send_problem(self._problem, scope, receive, send)
