"""Bodies over their limit, over real sockets."""

import resource
import threading
from collections.abc import Iterator

import pytest

from tests.server.kit.edge_app import AUTHORIZED, edge
from tests.server.serving import Wire, ask

type Address = tuple[str, int]

LIMIT = 1 << 20
CHUNKED = AUTHORIZED | {"Transfer-Encoding": "chunked"}
TOO_LARGE = f"Request body too large. Maximum allowed: {LIMIT} bytes."


@pytest.fixture(scope="module")
def served() -> Iterator[Address]:
    with edge() as address:
        yield address


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def json_of(size: int) -> bytes:
    return b'"' + b"a" * (size - 2) + b'"'


@pytest.mark.parametrize(("size", "status"), [(LIMIT, 200), (LIMIT + 1, 413)])
def test_a_declared_body_may_have_the_limit_and_no_byte_more(served: Address, size: int, status: int) -> None:
    answer = ask(served, "POST", "/v1/learn", AUTHORIZED, json_of(size))
    assert answer.status == status
    if status == 413:
        assert answer.json() == {"error": "payload_too_large", "detail": TOO_LARGE}


@pytest.mark.parametrize(("size", "status"), [(LIMIT, 200), (LIMIT + 1, 413)])
@pytest.mark.parametrize("path", ["/v1/learn", "/careless"])
def test_a_chunked_body_too(served: Address, size: int, status: int, path: str) -> None:
    body = json_of(size)
    chunks = b"".join(chunk(body[start : start + 60_000]) for start in range(0, size, 60_000))
    answer = ask(served, "POST", path, CHUNKED, chunks + b"0\r\n\r\n")
    assert answer.status == status
    assert status == 200 or answer.json()["detail"] == TOO_LARGE


def test_a_path_may_have_a_limit_of_its_own_however_it_is_spelled(served: Address) -> None:
    body = b"x" * (3 << 20)
    assert ask(served, "POST", "/v1/import", AUTHORIZED, body).json() == {"size": len(body)}
    assert ask(served, "POST", "/v1/import", CHUNKED, chunk(body) + b"0\r\n\r\n").status == 200
    assert ask(served, "POST", "/v1/import", AUTHORIZED, b"x" * ((4 << 20) + 1)).status == 413
    assert ask(served, "POST", "/v1/IMPORT", AUTHORIZED, b"x" * (5 << 20)).status == 413


def test_a_client_that_keeps_sending_reads_its_413_and_costs_no_memory(served: Address) -> None:
    megabyte = chunk(b"x" * LIMIT)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with Wire(served) as wire:
        wire.request("POST", "/v1/learn", CHUNKED, b"")
        for _ in range(100):
            wire.send(megabyte)
        wire.send(b"0\r\n\r\n")
        answer = wire.answer()
        assert (answer.status, answer["connection"]) == (413, "close")
        assert wire.closed()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20 << 10  # kB


def test_the_413_comes_while_the_client_still_sends(served: Address) -> None:
    with Wire(served) as wire:
        wire.request("POST", "/v1/learn", AUTHORIZED | {"Content-Length": str(1 << 40)}, b"x" * 10)
        assert wire.answer().status == 413


def test_a_client_that_asks_first_is_told_not_to_send(served: Address) -> None:
    asking = AUTHORIZED | {"Expect": "100-continue", "Content-Length": str(LIMIT + 1)}
    with Wire(served) as wire:
        wire.request("POST", "/v1/learn", asking)
        wire.socket.settimeout(5)
        head = wire.socket.recv(100)
    assert head.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "zstd", "identity, gzip", "x" * 500])
def test_an_encoded_body_is_415(served: Address, encoding: str) -> None:
    answer = ask(served, "POST", "/v1/learn", AUTHORIZED | {"Content-Encoding": encoding}, b"{}")
    assert (answer.status, answer.json()["error"]) == (415, "unsupported_media_type")
    assert len(answer.body) < 200


@pytest.mark.parametrize("encoding", ["", "identity", "Identity"])
def test_identity_is_no_encoding(served: Address, encoding: str) -> None:
    answer = ask(served, "POST", "/v1/learn", AUTHORIZED | {"Content-Encoding": encoding}, b"{}")
    assert answer.status == 200


def test_nobody_without_a_key_makes_the_server_read_a_body(served: Address) -> None:
    with Wire(served) as wire:
        wire.request("POST", "/v1/import", {"Transfer-Encoding": "chunked"}, chunk(b"{"))  # and no more
        assert wire.answer().status == 401


def test_many_oversized_bodies_at_once_are_all_refused(served: Address) -> None:
    statuses: list[int] = []

    def send() -> None:
        statuses.append(
            ask(served, "POST", "/v1/learn", CHUNKED, chunk(b"x" * (2 << 20)) + b"0\r\n\r\n").status
        )

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [413] * 8
