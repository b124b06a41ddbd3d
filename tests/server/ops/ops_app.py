"""The endpoints of the slice over real storage, on a real socket."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as ASGIScope

from engramia.bootstrap import Adapters
from engramia.core.embedding import Embeddings
from engramia.core.llm import LLM
from engramia.core.model import Scope
from engramia.errors import AuthenticationError
from engramia.memory.facade import Memory
from engramia.providers.json.storage import JSONStorage
from engramia.server.kit.authentication import PUBLIC_FOLDERS, PUBLIC_PATHS, MetricsToken
from engramia.server.kit.bearer import presented_token
from engramia.server.kit.caller import Caller
from engramia.server.kit.errors import EXCEPTION_HANDLERS, problem_of, send_problem
from engramia.server.kit.permissions import Role
from engramia.server.kit.security_headers import SecurityHeaders
from engramia.server.kit.services import Services, Submission
from engramia.server.ops import endpoints, pages
from engramia.server.ops.health import Health, Pace
from engramia.server.ops.service import Build, Exposition, Ops
from engramia.server.ops.writing import writes_into
from engramia.settings import Settings
from engramia.testing import FrozenClock
from tests.server.serving import Answer, ask, serving

KEY = "test-key-of-the-reader"


@dataclass
class Running:
    """A service that runs, and how to ask it."""

    address: tuple[str, int]
    memory_of: Callable[[Scope], Memory]
    headers: dict[str, str] = field(default_factory=lambda: {"Authorization": f"Bearer {KEY}"})

    @property
    def memory(self) -> Memory:
        return self.memory_of(Scope())

    def get(self, path: str, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return ask(self.address, "GET", path, {**self.headers, **named})

    def deep(self) -> Any:
        return self.get("/v1/health/deep").json()

    def anonymous(self) -> "Running":
        return Running(self.address, self.memory_of, {})


@contextmanager
def running(
    data_path: Path,
    *,
    embeddings: Embeddings | None = None,
    llm: LLM | None = None,
    check_writes: Callable[[], None] | None = None,
    pace: Pace | None = None,
    build: Build | None = None,
    metrics: Exposition | None = None,
    metrics_token: str | None = None,
) -> Iterator[Running]:
    """Serve the slice over the folder until the block ends."""
    settings = Settings(data_path=data_path)
    storage = JSONStorage(data_path)
    adapters = Adapters(settings, storage=storage, embeddings=embeddings, llm=llm, clock=FrozenClock())
    services = Services(storage, lambda scope: Memory(adapters.engine(scope)), {}, _no_jobs)
    app = FastAPI(
        exception_handlers=dict(EXCEPTION_HANDLERS),
        middleware=[Middleware(SecurityHeaders, pages={"/docs": pages.POLICY}), Middleware(_Door)],
        docs_url=None,
        redoc_url=None,
    )
    app.include_router(endpoints.router)
    app.include_router(pages.router)
    app.state.services = services
    app.state.ops = Ops(
        build or Build("1.2.3"),
        "json",
        Health(services.lanes, check_writes or writes_into(data_path), pace=pace),
        metrics,
        MetricsToken(metrics_token),
    )
    try:
        with serving(app) as address:
            yield Running(address, services.memory_of)
    finally:
        services.lanes.close()
        adapters.close()


class _Door:
    """Lets in the reader, and everybody where nobody has to say who they are."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        given = presented_token(scope["headers"]) if scope["type"] == "http" else None
        if given == KEY.encode():
            scope.setdefault("state", {})["caller"] = Caller(Scope(), Role.READER)
        elif scope["type"] == "http" and path not in PUBLIC_PATHS and not path.startswith(PUBLIC_FOLDERS):
            await send_problem(problem_of(AuthenticationError("Who are you?")), scope, receive, send)
            return
        await self._app(scope, receive, send)


def _no_jobs(_submission: Submission) -> str:
    raise AssertionError("Nothing here is a job.")
