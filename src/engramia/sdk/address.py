"""Where a server is: a base URL, taken apart and checked."""

from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urlsplit

from engramia.errors import ValidationError

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Address:
    """The parts of a base URL; `prefix` is the path before `/v1`, without a slash at its end."""

    scheme: str
    host: str
    port: int
    prefix: str

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.scheme == "https"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.prefix}"


def address_of(url: object) -> Address:
    """Return the address that `url` is; `ValidationError` names what is wrong with it."""
    if not isinstance(url, str) or not url.isprintable() or " " in url:
        raise _wrong("must be text without spaces, such as http://localhost:8000")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise _wrong(f"cannot be read: {error}") from None
    _check(parts)
    return Address(
        scheme=parts.scheme,
        host=parts.hostname or "",
        port=_PORTS[parts.scheme] if port is None else port,
        prefix=quote(parts.path.rstrip("/"), safe="/%"),
    )


def _check(parts: SplitResult) -> None:
    if parts.scheme not in _PORTS:
        raise _wrong("must begin with http:// or https://")
    if not parts.hostname:
        raise _wrong("names no host")
    if parts.port == 0:
        raise _wrong("names port 0")
    if "@" in parts.netloc:
        raise _wrong("must not carry a user or password; pass the key as api_key")
    if parts.query or parts.fragment:
        raise _wrong("must not have a query or a fragment")


def _wrong(what: str) -> ValidationError:
    # Without the URL itself: it may hold a password.
    return ValidationError(f"url {what}.", field="url")
