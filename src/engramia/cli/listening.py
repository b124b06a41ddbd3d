"""The socket that the service listens on, and what to say when there is none to be had."""

import errno
import ipaddress
import socket
from collections.abc import Mapping

from engramia.errors import ValidationError

BACKLOG = 2048

_REASONS: Mapping[int, tuple[str, str]] = {
    errno.EADDRINUSE: (
        "ENGRAMIA_PORT",
        "Port {port} is in use on {host}. Choose another with --port, or stop what listens there.",
    ),
    errno.EADDRNOTAVAIL: (
        "ENGRAMIA_HOST",
        "{host} is no address of this machine. Choose another with --host.",
    ),
    errno.EACCES: (
        "ENGRAMIA_PORT",
        "Port {port} is for privileged users. Choose one from 1024 upwards with --port.",
    ),
}
"""The setting to blame, and the sentence."""


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that is bound to `host` and `port` (0: any that is free) and listens.

    `ValidationError` says why there can be none.
    """
    family, address = _resolved(host, port)
    try:
        return socket.create_server(
            address, family=family, backlog=BACKLOG, dualstack_ipv6=address[0] == "::"
        )
    except OSError as error:
        field, sentence = _REASONS.get(
            error.errno or 0, ("ENGRAMIA_HOST", f"Cannot listen on {{host}}: {error.strerror or error}.")
        )
        raise ValidationError(sentence.format(host=host, port=port), field=field) from error


def url_of(listener: socket.socket) -> str:
    """Return where a program on this machine finds the service."""
    host, port = listener.getsockname()[:2]
    address = ipaddress.ip_address(host)
    if address.is_unspecified:
        address = ipaddress.ip_address("127.0.0.1")
    return f"http://[{address}]:{port}" if address.version == 6 else f"http://{address}:{port}"


def is_exposed(host: str) -> bool:
    """Return whether other machines may reach what listens on `host`; False if it has no address."""
    try:
        _, address = _resolved(host, 0)
    except ValidationError:
        return False
    return not ipaddress.ip_address(address[0].partition("%")[0]).is_loopback


def _resolved(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        raise ValidationError(
            f"The host {host!r} has no address: {getattr(error, 'strerror', None) or error}.",
            field="ENGRAMIA_HOST",
        ) from error
    # A name may stand for both; an IPv4 address is what clients of `localhost` find in any case.
    family, _, _, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    return family, (str(address[0]), int(address[1]))
