import hashlib
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from engramia.errors import (
    ProviderNotConfiguredError,
    ProviderOutputError,
    ProviderTimeoutError,
    ProviderUnreachableError,
)
from engramia.providers.local import Hub, LocalEmbeddings
from engramia.providers.local.download import fetch
from engramia.providers.local.weights import (
    PACKAGE,
    TOKENIZER_FILE,
    WEIGHTS_FILE,
    WEIGHTS_SHA256,
    installed_weights,
)

pytestmark = pytest.mark.slow  # real sockets and deadlines


class Files(SimpleHTTPRequestHandler):
    """Serves the official files, and counts."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class Faulty(BaseHTTPRequestHandler):
    """Fails as the path says."""

    def do_GET(self) -> None:
        fault = self.path.split("/")[1]
        getattr(self, fault)()

    def missing(self) -> None:
        self.send_error(404)

    def wrong(self) -> None:
        self.answer(b"something else", 14)

    def short(self) -> None:
        self.answer(b"only the beginning", 466_247)

    def silent(self) -> None:
        time.sleep(0.9)

    def dripping(self) -> None:
        self.answer(b"", 466_247)
        for _ in range(200):
            self.wfile.write(b"{")
            self.wfile.flush()
            time.sleep(0.02)

    def local(self) -> None:
        self.send_response(302)
        self.send_header("Location", "file:///etc/hostname")
        self.end_headers()

    def answer(self, body: bytes, length: int) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class Quiet(ThreadingHTTPServer):
    # Closing waits for the handlers: none is left behind with an open socket.
    daemon_threads = False

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hung up on a faulty answer is what the test wants."""


def serving(handler: object) -> Iterator[str]:
    server = Quiet(("127.0.0.1", 0), handler)  # type: ignore[arg-type]  # a partial is as good as the class
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def _direct(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def official() -> Iterator[str]:
    weights = installed_weights(PACKAGE)
    assert weights is not None
    Files.asked = []
    yield from serving(partial(Files, directory=str(weights.folder)))


@pytest.fixture
def faulty() -> Iterator[str]:
    yield from serving(Faulty)


def kept(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def from_hub(cache: Path, url: str, *, download: bool = True) -> LocalEmbeddings:
    return LocalEmbeddings(
        cache_dir=cache, download=download, hub=Hub(url), package="no_such_package", progress=lambda *_: None
    )


def test_the_model_is_downloaded_once(official: str, tmp_path: Path) -> None:
    assert from_hub(tmp_path, official).embed(["sort"]).shape == (1, 384)
    assert Files.asked == [f"/{TOKENIZER_FILE}", f"/{WEIGHTS_FILE}"]

    assert from_hub(tmp_path, official, download=False).embed(["sort"]).shape == (1, 384)
    assert len(Files.asked) == 2


def test_a_damaged_download_is_fetched_again(official: str, tmp_path: Path) -> None:
    from_hub(tmp_path, official).load()
    (weights,) = tmp_path.rglob(WEIGHTS_FILE)
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")

    with pytest.raises(ProviderNotConfiguredError, match="not the official file"):
        from_hub(tmp_path, official, download=False).load()
    from_hub(tmp_path, official).load()

    assert Files.asked[2:] == [f"/{WEIGHTS_FILE}"]
    assert hashlib.sha256(weights.read_bytes()).hexdigest() == WEIGHTS_SHA256


def test_progress_is_told(official: str, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []

    fetch(Hub(official), tmp_path, lambda *step: told.append(step))

    last = [step for step in told if step[0] == WEIGHTS_FILE][-1]
    assert last == (WEIGHTS_FILE, 90_868_376, 90_868_376)
    assert [done for _, done, _ in told[:-1]] != [done for _, done, _ in told[1:]]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("missing", ProviderUnreachableError),
        ("wrong", ProviderOutputError),
        ("short", ProviderUnreachableError),
        ("silent", ProviderTimeoutError),
        ("dripping", ProviderTimeoutError),
        ("local", ProviderUnreachableError),
    ],
)
def test_a_failed_download_leaves_nothing(
    faulty: str, tmp_path: Path, fault: str, expected: type[Exception]
) -> None:
    begin = time.monotonic()

    with pytest.raises(expected) as raised:
        fetch(Hub(f"{faulty}/{fault}", connect_seconds=0.5, seconds=0.6), tmp_path, lambda *_: None)

    assert type(raised.value) is expected
    assert time.monotonic() - begin < 3.5
    assert kept(tmp_path) == []


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(ProviderUnreachableError):
        fetch(Hub("http://127.0.0.1:9"), tmp_path, lambda *_: None)


def test_only_http_is_spoken(tmp_path: Path) -> None:
    with pytest.raises(ProviderNotConfiguredError, match="file:"):
        fetch(Hub("file:///tmp"), tmp_path, lambda *_: None)


def test_a_folder_that_cannot_be_written_is_named(official: str, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")

    with pytest.raises(ProviderNotConfiguredError, match=str(blocked)):
        fetch(Hub(official), blocked / "below", lambda *_: None)
