"""A small app behind the whole edge, and what tests hand it."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from engramia.errors import ConflictError, StorageUnavailableError
from engramia.server.identity.env import EnvAuthenticator
from engramia.server.kit import strict_json
from engramia.server.kit.authentication import Authenticator
from engramia.server.kit.caller import Caller
from engramia.server.kit.edge import Edge
from engramia.server.kit.errors import EXCEPTION_HANDLERS
from engramia.server.kit.peer import Peers
from engramia.server.kit.permissions import Role
from engramia.server.kit.rate_limit import Limits
from engramia.server.kit.windows import MemoryRateLimiter
from tests.server.serving import serving

KEY = "test-key-of-the-editor"
AUTHORIZED = {"Authorization": f"Bearer {KEY}"}
UNLIMITED = Limits(1_000_000, 1_000_000, 1_000_000)


class Clock:
    """A monotonic clock that stands still until told."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Notes:
    """Keeps what the edge tells the audit log and the log's context."""

    audits: list[dict[str, Any]] = field(default_factory=list)
    request_ids: list[str] = field(default_factory=list)
    callers: list[Caller] = field(default_factory=list)

    def __call__(self, event: str, **facts: Any) -> None:
        self.audits.append({"event": event, **facts})

    def bind_request_id(self, request_id: str) -> None:
        self.request_ids.append(request_id)

    def bind_caller(self, caller: Caller) -> None:
        self.callers.append(caller)


async def _echo(request: Request) -> Response:
    return JSONResponse(strict_json.loads(await request.body()))


async def _size(request: Request) -> Response:
    return JSONResponse({"size": len(await request.body())})


async def _careless(request: Request) -> Response:
    """Reads the body and makes nothing of a failure."""
    try:
        await request.body()
    except Exception:  # noqa: BLE001 - what a careless application does
        return JSONResponse({"careless": True}, 400)
    return JSONResponse({"careless": False})


async def _whoami(request: Request) -> Response:
    caller = request.state.caller
    return JSONResponse(
        {
            "tenant": caller.scope.tenant_id,
            "project": caller.scope.project_id,
            "role": caller.role,
            "key_id": caller.key_id,
            "request_id": request.state.request_id,
        }
    )


async def _open(_: Request) -> Response:
    return JSONResponse({"open": True})


async def _boom(_: Request) -> Response:
    raise RuntimeError("postgresql://me:hunter2@db.internal/x")


async def _conflict(_: Request) -> Response:
    raise ConflictError("It is not pending.", code="job_not_cancellable", facts={"status": "running"})


async def _down(_: Request) -> Response:
    raise StorageUnavailableError("Another process has held /srv/data/lock for too long")


async def _torn(_: Request) -> Response:
    async def parts() -> Any:
        yield b"begun"
        raise RuntimeError("in the middle")

    return StreamingResponse(parts())


ROUTES = [
    *(Route(f"/v1/{name}", _echo, methods=["POST"]) for name in ("learn", "evaluate", "compose", "evolve")),
    Route("/v1/import", _size, methods=["POST"]),
    Route("/careless", _careless, methods=["POST"]),
    Route("/v1/whoami", _whoami, methods=["GET"]),
    *(Route(path, _open) for path in ("/v1/version", "/v1/health", "/v1/health/live", "/docs")),
    Route("/boom", _boom),
    Route("/conflict", _conflict),
    Route("/down", _down),
    Route("/torn", _torn),
]


@contextmanager
def edge(
    notes: Notes | None = None, *, authenticator: Authenticator | None = None, **changes: Any
) -> Iterator[tuple[str, int]]:
    """Serve the small app behind an edge, changed as told."""
    notes = notes or Notes()
    host = changes.pop("host", "127.0.0.1")
    parts: Mapping[str, Any] = {
        "authenticator": authenticator or EnvAuthenticator([KEY], Role.EDITOR),
        "limiter": MemoryRateLimiter(Clock(), slots=1 << 10),
        "limits": UNLIMITED,
        "peers": Peers(),
        "audit": notes,
        "bind_request_id": notes.bind_request_id,
        "bind_caller": notes.bind_caller,
        "max_body_size": 1 << 20,
        "max_body_sizes": {"/v1/import": 4 << 20},
        **changes,
    }
    front = Middleware(Edge(**parts).around)
    app = Starlette(routes=ROUTES, middleware=[front], exception_handlers=dict(EXCEPTION_HANDLERS))
    with serving(app, host=host) as address:
        yield address


def at_once(count: int, work: Any) -> list[Any]:
    """Run `work(index)` in `count` threads that begin together, and return what each returned."""
    barrier, results = threading.Barrier(count), [None] * count

    def run(index: int) -> None:
        barrier.wait()
        results[index] = work(index)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
