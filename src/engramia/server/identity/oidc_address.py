"""Which addresses of an identity provider may be asked."""

from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit


def issuer_problem(issuer: str) -> str | None:
    """Return what is wrong with an issuer's name as a sentence, or None."""
    parts = _split(issuer)
    if parts is None or not parts.hostname or parts.query or parts.fragment or parts.username is not None:
        return "ENGRAMIA_OIDC_ISSUER must be an address such as https://login.example.com/realm."
    if not may_be_asked(issuer, local=True):
        return "ENGRAMIA_OIDC_ISSUER must begin with https://; http:// is for this machine alone."
    return None


def is_loopback(url: str) -> bool:
    """Return whether `url` is of this machine by its very name."""
    parts = _split(url)
    host = parts.hostname if parts is not None else None
    if host is None or host == "localhost":
        return host is not None
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def may_be_asked(url: str, *, local: bool) -> bool:
    """Return whether `url` is one to trust: https, or plain http on this machine for a `local` provider."""
    parts = _split(url)
    if parts is None or not parts.hostname:
        return False
    return parts.scheme == "https" or (local and parts.scheme == "http" and is_loopback(url))


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # read only when asked for
    except ValueError:
        return None
    return parts
