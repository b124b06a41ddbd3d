"""The SDK against the server over a line that loses answers: each call is done once all the same."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from engramia.sdk.webhook import EngramiaWebhook
from tests.server.api import service

pytestmark = pytest.mark.slow

LEARNS = 12


@contextmanager
def losing(address: tuple[str, int], lost: set[int]) -> Iterator[str]:
    """Yield the url of a line to `address` that loses the answers of the exchanges numbered in `lost`."""
    listener = socket.create_server(("127.0.0.1", 0))

    def carry() -> None:
        with suppress(OSError):
            for number in range(10**6):
                client, _ = listener.accept()
                with client, socket.create_connection(address) as server:
                    server.sendall(message(client).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
                    answer = message(server)
                    if number not in lost:
                        client.sendall(answer.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))

    thread = threading.Thread(target=carry, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


def message(source: socket.socket) -> bytes:
    """Return one whole HTTP message with a Content-Length."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += source.recv(65_536)
    head, _, body = data.partition(b"\r\n\r\n")
    lines = (line.partition(b":") for line in head.lower().split(b"\r\n"))
    length = next((int(value) for name, _, value in lines if name == b"content-length"), 0)
    while len(body) < length:
        body += source.recv(65_536)
    return head + b"\r\n\r\n" + body


@pytest.mark.parametrize("every", [2, 3])
def test_a_learn_whose_answer_is_lost_stores_once(tmp_path: Path, every: int) -> None:
    with service(tmp_path) as api, losing(api.address, set(range(0, 100, every))) as url:
        client = EngramiaWebhook(url, backoff=0.001)
        answers = [
            client.learn("Sort the rows", f"sort({number})", 5.0, on_duplicate="keep_both")
            for number in range(LEARNS)
        ]
        client.close()
        assert [answer["pattern_count"] for answer in answers] == list(range(1, LEARNS + 1))
        assert api.get("/v1/metrics").json()["pattern_count"] == LEARNS


def test_a_job_whose_acceptance_is_lost_is_one_job(tmp_path: Path) -> None:
    record = {
        "version": 1,
        "key": "patterns/" + "0" * 26,
        "data": {"task": "Sort the rows", "code": "x", "success_score": 5},
    }
    with service(tmp_path) as api, losing(api.address, {0, 1}) as url:
        client = EngramiaWebhook(url, backoff=0.001)
        job = client.background.import_data([record])
        assert job.wait()["imported"] == 1
        assert [state["id"] for state in client.list_jobs()] == [job.id]
        client.close()
