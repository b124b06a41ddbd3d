import asyncio
import socket
import struct
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import APIRouter, BackgroundTasks, FastAPI, HTTPException
from fastapi.responses import StreamingResponse
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engramia.telemetry.metrics import Metrics
from engramia.telemetry.requests import RequestMetrics
from engramia.telemetry.templates import UNMATCHED, Templates
from tests.telemetry.scraped import scraped
from tests.telemetry.serving import serving


class Ticks:
    """A clock that goes on by a second whenever it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Counts:
    """In place of `Metrics`: what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, int, float]] = []
        self._any = threading.Condition()

    def request(self, method: str, path: str, status: int, seconds: float) -> None:
        with self._any:
            self.told.append((method, path, status, seconds))
            self._any.notify_all()

    def wait(self, number: int = 1) -> list[tuple[str, str, int, float]]:
        with self._any:
            assert self._any.wait_for(lambda: len(self.told) >= number, 10)
        return self.told


def application(metrics: Metrics | Counts) -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None)
    patterns = APIRouter(prefix="/patterns")

    @patterns.get("/{key:path}")
    def pattern(key: str) -> str:
        return key

    @patterns.post("/{key}/refine")
    def refine(key: str) -> str:
        raise HTTPException(404, key)

    v1 = APIRouter(prefix="/v1")
    v1.include_router(patterns)

    @v1.get("/health")
    def health() -> str:
        return "ok"

    @v1.get("/broken")
    def broken() -> str:
        raise RuntimeError("broken")

    app.include_router(v1)

    async def inner(scope: Scope, _receive: Receive, send: Send) -> None:
        scope["path"] = "/changed"
        await send({"type": "http.response.start", "status": 202, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    app.router.routes.append(Mount("/v1/mcp", app=inner))
    app.add_middleware(RequestMetrics, metrics=metrics, template=Templates(lambda: app.routes))
    return app


def test_each_request_is_counted_under_its_route() -> None:
    metrics = Metrics()
    with serving(application(metrics)) as served:
        for method, path in [
            ("GET", "/v1/health"),
            ("GET", "/v1/health?secret=1"),
            ("HEAD", "/v1/health"),
            ("GET", "/v1/patterns/patterns/01abc"),
            ("GET", "/v1/patterns/patterns%2F01abc"),
            ("POST", "/v1/patterns/a/refine"),
            ("POST", "/v1/mcp/messages/1"),
            ("GET", "/v1/nothing"),
            ("GET", "/v1/health/"),
            ("PROPFIND", "/v1/health"),
            ("GET", "/openapi.json"),
        ]:
            served.request(method, path)
    counted = {
        (labels["method"], labels["path"], labels["status_code"]): count
        for labels, count in scraped(metrics)["engramia_requests_total"]
    }
    assert counted == {
        ("GET", "/v1/health", "200"): 2,
        ("HEAD", "/v1/health", "405"): 1,
        ("GET", "/v1/patterns/{key}", "200"): 2,
        ("POST", "/v1/patterns/{key}/refine", "404"): 1,
        ("POST", "/v1/mcp/{path}", "202"): 1,
        ("GET", UNMATCHED, "404"): 1,
        ("GET", UNMATCHED, "307"): 1,
        ("other", "/v1/health", "405"): 1,
        ("GET", "/openapi.json", "200"): 1,
    }
    durations = scraped(metrics)["engramia_request_duration_seconds_count"]
    assert sum(count for _, count in durations) == 11


def test_one_that_was_turned_away_before_the_router_has_its_route() -> None:
    metrics = Metrics()
    app = FastAPI()

    @app.get("/v1/jobs/{job_id}")
    def job(job_id: str) -> str:
        return job_id

    async def refuse(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 401, "headers": []})
        await send({"type": "http.response.body", "body": b"no"})

    guarded = RequestMetrics(refuse, metrics, Templates(lambda: app.routes))
    with serving(guarded) as served:
        assert served.request("GET", "/v1/jobs/17") == (401, b"no")
    assert scraped(metrics)["engramia_requests_total"] == [
        ({"method": "GET", "path": "/v1/jobs/{job_id}", "status_code": "401"}, 1)
    ]


def test_below_a_root_path() -> None:
    app = FastAPI()
    app.add_api_route("/v1/jobs/{job_id}", lambda job_id: job_id)
    template = Templates(lambda: app.routes)
    for path, expected in [
        ("/api/v1/jobs/7", "/v1/jobs/{job_id}"),
        ("/v1/jobs/7", "/v1/jobs/{job_id}"),
        ("/apiv1/jobs/7", UNMATCHED),
    ]:
        assert template({"method": "GET", "path": path, "root_path": "/api"}) == expected


def test_a_handler_that_raises_counts_as_500(caplog: pytest.LogCaptureFixture) -> None:
    counts = Counts()
    with serving(application(counts)) as served:
        assert served.request("GET", "/v1/broken")[0] == 500
        ((_, path, status, _),) = counts.wait()
    assert (path, status) == ("/v1/broken", 500)
    assert "broken" in caplog.text


def test_the_last_byte_is_the_end_and_not_the_work_behind_it() -> None:
    counts, ticks = Counts(), Ticks()
    app = FastAPI()

    def later() -> None:
        ticks.now += 100

    @app.get("/stream")
    async def stream(background: BackgroundTasks) -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            ticks.now += 1
            yield b"a"
            ticks.now += 2
            yield b"b"

        ticks.now += 4
        background.add_task(later)
        return StreamingResponse(pieces(), background=background)

    app.add_middleware(RequestMetrics, metrics=counts, template=lambda _scope: "/stream", clock=ticks)
    with serving(app) as served:
        assert served.request("GET", "/stream") == (200, b"ab")
    assert counts.told == [("GET", "/stream", 200, 7.0)]
    assert ticks.now == 107


def test_a_client_that_went_away_is_counted_once() -> None:
    counts = Counts()
    asked, gone = threading.Event(), asyncio.Event()

    async def waiting(_scope: Scope, receive: Receive, _send: Send) -> None:
        asked.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        gone.set()

    app = RequestMetrics(waiting, counts, lambda _scope: "/wait")
    with serving(app) as served:
        client = socket.create_connection(("127.0.0.1", served.port), timeout=10)
        client.sendall(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
        assert asked.wait(10)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        counts.wait()
    assert gone.is_set()
    assert [told[:3] for told in counts.told] == [("GET", "/wait", 500)]


async def nothing(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def raising(_scope: Scope, _receive: Receive, send: Send) -> None:
    await nothing(_scope, _receive, send)
    raise RuntimeError("behind the answer")


async def cut(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"a", "more_body": True})
    raise RuntimeError("in the middle of the answer")


async def cancelled(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise asyncio.CancelledError


async def nobody() -> Message:
    return {"type": "http.disconnect"}


async def nowhere(_message: Message) -> None:
    pass


def http_scope(**more: Any) -> Scope:
    return {"type": "http", "method": "GET", "path": "/x", "headers": [], **more}


@pytest.mark.parametrize(
    ("app", "status", "raises"),
    [
        (nothing, 200, None),
        (raising, 200, RuntimeError),
        (cut, 500, RuntimeError),
        (cancelled, 500, asyncio.CancelledError),
    ],
)
def test_whatever_becomes_of_it(app: ASGIApp, status: int, raises: type[BaseException] | None) -> None:
    counts = Counts()
    watched = RequestMetrics(app, counts, lambda _scope: "/x")

    async def serve() -> None:
        if raises is None:
            await watched(http_scope(), nobody, nowhere)
            return
        with pytest.raises(raises):
            await watched(http_scope(), nobody, nowhere)

    asyncio.run(serve())
    assert [told[2] for told in counts.told] == [status]


def test_what_is_no_http_passes_by() -> None:
    counts, seen = Counts(), []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        seen.append(scope["type"])

    watched = RequestMetrics(app, counts, lambda _scope: "/x")
    for kind in ("lifespan", "websocket"):
        asyncio.run(watched({"type": kind}, nobody, nowhere))
    assert (seen, counts.told) == (["lifespan", "websocket"], [])


@pytest.mark.slow
def test_it_costs_less_than_twenty_microseconds_a_request() -> None:
    app = application(Metrics())
    template = Templates(lambda: app.routes)
    watched = RequestMetrics(nothing, Metrics(), template)

    def seconds(served: ASGIApp, path: str, times: int = 3_000) -> float:
        async def serve() -> float:
            begin = time.process_time()
            for _ in range(times):
                await served(http_scope(path=path), nobody, nowhere)
            return (time.process_time() - begin) / times

        return asyncio.run(serve())

    def cost(path: str) -> float:
        return min((seconds(watched, path) - seconds(nothing, path)) * 1e6 for _ in range(7))

    for path in ("/v1/health", "/v1/patterns/patterns/01abc", "/v1/nothing"):
        assert cost(path) < 20
