"""Who the client is, as proxies say it."""

from ipaddress import ip_network
from typing import Any

import pytest

from engramia.server.kit.peer import Peers, parsed_address

TRUSTED = Peers([ip_network("10.0.0.0/8"), ip_network("fd00::/8")])


def scope(client: str | None, *headers: tuple[str, str]) -> dict[str, Any]:
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    return {"type": "http", "client": None if client is None else (client, 1234), "headers": raw}


def found(client: str | None, *headers: tuple[str, str]) -> str:
    return str(TRUSTED.of(scope(client, *headers)))


@pytest.mark.parametrize(
    ("client", "chain", "expected"),
    [
        ("198.51.100.9", "203.0.113.1", "198.51.100.9"),  # no proxy of ours
        ("10.0.0.1", "203.0.113.1", "203.0.113.1"),
        ("10.0.0.1", "203.0.113.1, 10.0.0.2", "203.0.113.1"),
        ("10.0.0.1", "192.0.2.66, 203.0.113.1, 10.0.0.2", "203.0.113.1"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "203.0.113.1, unknown, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.1:4711", "203.0.113.1"),
        ("10.0.0.1", "[2001:db8::7]:4711", "2001:db8::7"),
        ("10.0.0.1", "2001:db8::7", "2001:db8::7"),
        ("10.0.0.1", "::ffff:203.0.113.1", "203.0.113.1"),
        ("::ffff:10.0.0.1", "203.0.113.1", "203.0.113.1"),
        ("fd00::1", "203.0.113.1", "203.0.113.1"),
    ],
)
def test_the_chain_is_walked_from_our_end(client: str, chain: str, expected: str) -> None:
    assert found(client, ("X-Forwarded-For", chain)) == expected


def test_several_header_lines_are_one_chain() -> None:
    lines = (("X-Forwarded-For", "192.0.2.66"), ("X-Forwarded-For", "203.0.113.1"))
    assert found("10.0.0.1", *lines) == "203.0.113.1"


def test_forwarded_is_not_believed() -> None:
    assert found("10.0.0.1", ("Forwarded", "for=203.0.113.1")) == "10.0.0.1"


@pytest.mark.parametrize("client", ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"])
def test_a_program_on_this_machine_is_loopback(client: str) -> None:
    assert Peers().of(scope(client)).loopback


@pytest.mark.parametrize(
    "header",
    [
        ("X-Forwarded-For", "127.0.0.1"),
        ("Forwarded", "for=127.0.0.1"),
        ("Via", "1.1 proxy"),
        ("X-Real-IP", "127.0.0.1"),
        ("X-Forwarded-Proto", "https"),
    ],
)
def test_a_proxy_on_this_machine_is_not(header: tuple[str, str]) -> None:
    assert not Peers().of(scope("127.0.0.1", header)).loopback
    assert not Peers([ip_network("127.0.0.0/8")]).of(scope("127.0.0.1", header)).loopback


@pytest.mark.parametrize("client", ["192.0.2.1", "2001:db8::1", None, "", "testclient"])
def test_nor_is_anybody_else(client: str | None) -> None:
    assert not Peers().of(scope(client)).loopback


def test_an_ipv6_customer_is_one_caller() -> None:
    one, two = (Peers().of(scope(f"2001:db8:1:2::{end}")) for end in ("1", "ffff:1"))
    other = Peers().of(scope("2001:db8:1:3::1"))
    assert one.key == two.key != other.key
    assert Peers().of(scope("::ffff:192.0.2.1")).key == Peers().of(scope("192.0.2.1")).key


@pytest.mark.parametrize("text", ["", "unknown", "_hidden", "1.2.3", "1.2.3.4.5", "::g", "1.2.3.4:x:y"])
def test_what_is_no_address(text: str) -> None:
    assert parsed_address(text) is None
