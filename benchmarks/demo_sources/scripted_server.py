"""A local HTTP server that answers what a task's file says, so that HTTP tasks run without a network."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread

from benchmarks.demo_sources.tasks import Route


class _Script:
    """Hands out the answers of each path in turn and repeats the last one."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._answers: dict[str, list[Route]] = defaultdict(list)
        self._lock = Lock()
        for route in routes:
            self._answers[route.path].append(route)

    def answer(self, path: str) -> Route:
        with self._lock:
            left = self._answers.get(path)
            if not left:
                return Route(path, 404, '{"error": "no such page"}')
            return left.pop(0) if len(left) > 1 else left[0]


@contextmanager
def serve(routes: Sequence[Route]) -> Iterator[str]:
    """Serve `routes` on a free loopback port while the block runs; yields the base URL."""
    script = _Script(routes)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            route = script.answer(self.path)
            body = route.body.encode()
            self.send_response(route.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            # A client that was killed at its deadline is gone in the middle of an answer; that is its record.
            try:
                self.wfile.write(body)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: the recording's own output is what counts."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
