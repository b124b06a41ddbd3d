"""Who is at the other end of a connection, with proxies that are trusted taken away.

`X-Forwarded-For` alone is read: proxies append to it. `Forwarded` (RFC 7239) is not: the same proxies pass a
client's own on untouched, so that a client could choose its address.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from starlette.datastructures import Headers
from starlette.types import Scope

type Address = IPv4Address | IPv6Address
type Network = IPv4Network | IPv6Network

FORWARDING_HEADERS = frozenset(
    {
        b"forwarded",
        b"via",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-proto",
        b"x-real-ip",
        b"cf-connecting-ip",
        b"true-client-ip",
    }
)
"""What a proxy puts on a request: it came from elsewhere, whatever address the connection has."""

_SUBNET_BYTES = 8


@dataclass(frozen=True, slots=True)
class Peer:
    """The client of a request; `address` is None where the connection has none, as on a Unix socket."""

    address: Address | None
    loopback: bool = False
    """Whether a program on this machine connected by itself, not a proxy for somebody else."""
    key: bytes = field(init=False)
    """What limits count by: the IPv4 address, or the /64 that an IPv6 customer gets."""

    def __post_init__(self) -> None:
        packed = b"" if self.address is None else self.address.packed
        object.__setattr__(self, "key", packed[:_SUBNET_BYTES])

    def __str__(self) -> str:
        return "unknown" if self.address is None else str(self.address)


class Peers:
    """Finds the peer of a request."""

    def __init__(self, trusted_proxies: Sequence[Network] = ()) -> None:
        """Trust `X-Forwarded-For` from connections out of these networks alone."""
        self._trusted = tuple(trusted_proxies)
        self._direct = lru_cache(maxsize=4096)(self._found)

    def of(self, scope: Scope) -> Peer:
        """Return the peer of an HTTP scope."""
        client = scope.get("client")
        headers = scope["headers"]
        forwarded = any(name in FORWARDING_HEADERS for name, _ in headers)
        peer, trusted = self._direct(client[0] if client else "", forwarded)
        if not (forwarded and trusted):
            return peer
        return self._behind(peer, Headers(raw=headers).getlist("x-forwarded-for"))

    def _found(self, host: str, forwarded: bool) -> tuple[Peer, bool]:
        address = parsed_address(host)
        if address is None:
            return Peer(None), False
        return Peer(address, loopback=address.is_loopback and not forwarded), self._trusts(address)

    def _behind(self, proxy: Peer, fields: Sequence[str]) -> Peer:
        """Walk the chain from our end: the first address that is no trusted proxy is the client."""
        client = proxy.address
        for entry in reversed(",".join(fields).split(",")):
            address = parsed_address(entry.strip())
            if address is None:
                break
            client = address
            if not self._trusts(address):
                break
        return Peer(client)

    def _trusts(self, address: Address) -> bool:
        return any(address.version == net.version and address in net for net in self._trusted)


def parsed_address(text: str) -> Address | None:
    """Return the IP address in `text` without a port, an IPv4 address in IPv6 clothing as IPv4; or None."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
