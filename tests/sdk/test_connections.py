"""Connections: kept, checked, shared between threads, and given up in time."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from engramia.errors import ValidationError
from engramia.sdk.address import address_of
from engramia.sdk.caller import Caller, Patience
from engramia.sdk.calls import Call, whole
from engramia.sdk.connections import IDLE_MOST, IDLE_SECONDS, Deadline, Pool, Request
from engramia.sdk.errors import EngramiaConnectionError, EngramiaHTTPError, EngramiaTimeoutError
from engramia.sdk.webhook import EngramiaWebhook
from tests.sdk.api_server import ApiServer, Asked, answer, api_server, closing, dripping, raw, until
from tests.sdk.conftest import Connect

pytestmark = pytest.mark.slow

OWN_CERTIFICATE = Path(__file__).parent / "loopback.pem"


def test_a_connection_is_used_again(server: ApiServer, client: EngramiaWebhook) -> None:
    server.usual = answer({})
    for _ in range(5):
        client.metrics()
    assert len(server.connections) == 1


def test_one_that_the_server_closed_is_not(server: ApiServer, client: EngramiaWebhook) -> None:
    server.usual = closing(answer({"pruned": 1}))
    for _ in range(20):
        assert client.run_aging() == 1
        server.closed.acquire(timeout=10)
    assert len(server.asked) == len(server.connections) == 20


def test_one_that_was_idle_for_long_is_not(server: ApiServer) -> None:
    server.usual = answer({})
    pool = Pool(address_of(server.url), None, 5.0)
    for _ in range(2):
        pool.exchange(Request("GET", "/v1/metrics", {}), Deadline(5), repeatable=True)
        pool._idle[0]._idle_since -= IDLE_SECONDS
    assert len(server.connections) == 2
    pool.close()


def test_an_error_leaves_the_connection_fit_for_use(server: ApiServer, client: EngramiaWebhook) -> None:
    server.then(answer({"error": "not_found", "detail": "d"}, 404), answer({}))
    with pytest.raises(EngramiaHTTPError):
        client.metrics()
    client.metrics()
    assert len(server.connections) == 1


def test_the_beginning_of_a_huge_error_is_enough(server: ApiServer, client: EngramiaWebhook) -> None:
    server.then(raw(b"x" * (8 << 20), 500, "text/plain"), answer({}))
    with pytest.raises(EngramiaHTTPError, match="xxx"):
        client.metrics()
    assert dict(client.metrics()) == {}
    assert len(server.connections) == 2


def test_threads_share_a_client(server: ApiServer, client: EngramiaWebhook) -> None:
    together = threading.Barrier(8, timeout=10)

    def reply(handler: object, asked: Asked) -> None:
        together.wait()
        answer({"task": asked.body["task"]})(handler, asked)  # type: ignore[arg-type]  # it is one

    server.usual = reply
    with ThreadPoolExecutor(8) as threads:
        tasks = [f"task {number}" for number in range(80)]
        assert [found["task"] for found in threads.map(client.compose, tasks)] == tasks
    assert len(server.connections) <= 16


def test_only_so_many_are_kept(server: ApiServer, client: EngramiaWebhook) -> None:
    many = IDLE_MOST + 4
    together = threading.Barrier(many, timeout=10)

    def reply(handler: object, asked: Asked) -> None:
        together.wait()
        answer({})(handler, asked)  # type: ignore[arg-type]  # it is one

    server.usual = reply
    with ThreadPoolExecutor(many) as threads:
        for _ in range(2):
            list(threads.map(lambda _: client.metrics(), range(many)))
    assert len(server.connections) == many + (many - IDLE_MOST)


def test_closing_closes_and_the_client_may_go_on(server: ApiServer, client: EngramiaWebhook) -> None:
    server.usual = answer({})
    with client:
        client.metrics()
    client.metrics()
    assert len(server.connections) == 2


def test_a_client_that_nobody_holds_closes_its_connections(server: ApiServer) -> None:
    server.usual = answer({})
    # An open socket that is collected is a warning, and warnings are errors here.
    EngramiaWebhook(server.url).metrics()


@pytest.mark.parametrize("head", [False, True])
def test_an_answer_that_drips_is_given_up_in_time(server: ApiServer, connect: Connect, head: bool) -> None:
    stop = threading.Event()
    server.then(dripping(stop, head))
    begun = time.monotonic()
    with pytest.raises(EngramiaTimeoutError):
        connect(timeout=0.3).metrics()
    assert time.monotonic() - begun < 5
    stop.set()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def test_a_server_that_reads_nothing_is_given_up_in_time(listener: socket.socket, connect: Connect) -> None:
    client = connect(f"http://127.0.0.1:{listener.getsockname()[1]}", slow_timeout=1.5)
    with pytest.raises(EngramiaTimeoutError, match="could not be sent in time") as caught:
        client.import_data(["x" * (16 << 20)])
    assert not caught.value.sent


def test_a_server_that_reads_slowly_is_given_up_in_time(listener: socket.socket, connect: Connect) -> None:
    given_up = threading.Event()

    def sip() -> None:
        connection, _ = listener.accept()
        with connection:
            while not given_up.wait(0.01):
                connection.recv(1 << 14)

    server = threading.Thread(target=sip)
    server.start()
    begun = time.monotonic()
    with pytest.raises(EngramiaTimeoutError, match="could not be sent in time"):
        connect(f"http://127.0.0.1:{listener.getsockname()[1]}", slow_timeout=1.5).import_data(
            ["x" * (16 << 20)]
        )
    assert time.monotonic() - begun < 6
    given_up.set()
    server.join()


def test_a_connection_that_does_not_come_about_is_tried_again() -> None:
    pauses: list[float] = []
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, ExitStack() as waiting:
        where = full.getsockname()
        for _ in range(4):
            caller = waiting.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(where)
        pool = Pool(address_of(f"http://127.0.0.1:{where[1]}"), None, 0.1)
        patience = Patience(10.0, 10.0, 2, 0.01, sleep=pauses.append)
        call: Call[object] = Call("POST", "/v1/learn", whole)
        with pytest.raises(EngramiaTimeoutError, match="No connection to") as caught:
            Caller(pool, "", {}, None, patience).run(call)
    assert not caught.value.sent
    assert len(pauses) == 2


def test_a_refusal_before_everything_was_read_is_heard(listener: socket.socket, connect: Connect) -> None:
    body = b'{"error": "payload_too_large", "detail": "Too large."}'
    head = f"HTTP/1.1 413 Too Large\r\nContent-Length: {len(body)}\r\n\r\n".encode()

    def refuse() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(head + body)

    server = threading.Thread(target=refuse)
    server.start()
    with pytest.raises(EngramiaHTTPError, match="413 payload_too_large"):
        connect(f"http://127.0.0.1:{listener.getsockname()[1]}").import_data(["x" * (16 << 20)])
    server.join()


def test_nobody_there(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with pytest.raises(EngramiaConnectionError, match=f"Nothing listens at 127.0.0.1, port {port}") as caught:
        connect(f"http://127.0.0.1:{port}").learn("t", "c", 1.0)
    assert (caught.value.code, caught.value.sent) == ("connection_refused", False)


def test_a_server_that_comes_up_meanwhile_is_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    arrived: list[socket.socket] = []
    pool = Pool(address_of(f"http://127.0.0.1:{port}"), None, 1.0)
    patience = Patience(
        0.5, 0.5, 1, 0.01, sleep=lambda _: arrived.append(socket.create_server(("127.0.0.1", port)))
    )
    call: Call[object] = Call("POST", "/v1/learn", whole)
    # It listens and never answers: that the request went out is seen by the error.
    with pytest.raises(EngramiaTimeoutError) as caught:
        Caller(pool, "", {}, None, patience).run(call)
    assert caught.value.sent
    arrived[0].close()


def test_a_host_that_nobody_knows(connect: Connect) -> None:
    with pytest.raises(EngramiaConnectionError) as caught:
        connect("http://no-such-host.invalid", retries=0).metrics()
    assert caught.value.code in {"unknown_host", "host_lookup_failed"}
    assert "no-such-host.invalid" in str(caught.value)


def test_what_does_not_speak_http(listener: socket.socket, connect: Connect) -> None:
    def greet() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"220 mail.example ESMTP\r\n")
            connection.recv(10_000)

    server = threading.Thread(target=greet)
    server.start()
    with pytest.raises(EngramiaConnectionError, match="does not speak HTTP") as caught:
        connect(f"http://127.0.0.1:{listener.getsockname()[1]}").metrics()
    assert caught.value.code == "not_http"
    server.join()


def test_a_certificate_is_checked(connect: Connect) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(OWN_CERTIFICATE)
    with api_server(context) as server:
        with pytest.raises(EngramiaConnectionError, match="not trusted: self-signed") as caught:
            connect(server.url).metrics()
        assert caught.value.code == "bad_certificate"
        assert server.asked == []
        server.usual = answer({"runs": 1})
        trusting = connect(server.url, ssl_context=ssl.create_default_context(cafile=OWN_CERTIFICATE))
        for _ in range(3):
            assert dict(trusting.metrics()) == {"runs": 1}
        trusting.close()
        assert len(server.connections) == 2
        elsewhere = server.url.replace("127.0.0.1", "localhost")
        other = connect(elsewhere, ssl_context=ssl.create_default_context(cafile=OWN_CERTIFICATE))
        with pytest.raises(EngramiaConnectionError, match="mismatch"):
            other.metrics()


def test_https_to_a_server_that_speaks_http(server: ApiServer, connect: Connect) -> None:
    with pytest.raises(EngramiaConnectionError, match="Does it speak https") as caught:
        connect(server.url.replace("http:", "https:")).metrics()
    assert caught.value.code == "tls_failed"


def test_a_context_needs_https(connect: Connect, server: ApiServer) -> None:
    with pytest.raises(ValidationError, match="https"):
        connect(server.url, ssl_context=ssl.create_default_context())


def test_a_child_process_does_not_share_connections(server: ApiServer) -> None:
    server.usual = answer({})
    pool = Pool(address_of(server.url), None, 5.0)
    request = Request("GET", "/v1/metrics", {})
    pool.exchange(request, Deadline(5), repeatable=True)
    pool._process -= 1
    pool.exchange(request, Deadline(5), repeatable=True)
    assert len(server.connections) == 2
    pool.close()


def test_waiting_calls_do_not_hold_up_others(server: ApiServer, client: EngramiaWebhook) -> None:
    done = threading.Event()
    server.then(until(done, answer({"slow": True})))
    server.usual = answer({"quick": True})
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(client.evaluate, "t", "c")
        while not server.asked:
            time.sleep(0.005)
        assert dict(client.metrics()) == {"quick": True}
        done.set()
        assert dict(slow.result(10)) == {"slow": True}
