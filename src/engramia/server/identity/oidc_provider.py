"""Asks an OpenID Connect provider for its keys: discovery document, then JWK set."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2

from engramia.errors import BadRequestError, UnavailableError
from engramia.server.identity.oidc_address import is_loopback, may_be_asked
from engramia.server.identity.oidc_keys import KeySet
from engramia.server.kit import strict_json

DEADLINE_SECONDS = 5.0
"""For both documents together, from the first name looked up to the last byte."""
DOCUMENT_MAX_BYTES = 256 * 1024
WELL_KNOWN = "/.well-known/openid-configuration"

_DOWN = "The identity provider cannot be reached just now; try again shortly."


class ProviderFault(UnavailableError):
    """The provider did not answer as one; `reason` is for the operator alone."""

    def __init__(self, reason: str) -> None:
        super().__init__(_DOWN)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider, by the name that it has in its own tokens."""

    issuer: str

    async def keys(self, deadline: float = DEADLINE_SECONDS) -> KeySet:
        """Return the keys that the provider publishes now; raises `ProviderFault` within the deadline."""
        try:
            async with asyncio.timeout(deadline), await self._client() as client:
                discovered = await self._document(client, self.issuer.rstrip("/") + WELL_KNOWN)
                published = await self._document(client, self._jwks_uri(discovered))
        except TimeoutError:
            raise ProviderFault(f"It did not answer within {deadline:g} seconds.") from None
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            raise ProviderFault(f"{type(error).__name__}: {error}") from error
        keys = published.get("keys")
        if not isinstance(keys, list):
            raise ProviderFault("Its JWK set has no list of keys.")
        return KeySet.of(keys)

    async def _client(self) -> httpx2.AsyncClient:
        local = is_loopback(self.issuer)
        # Reading the certificates takes tens of milliseconds, which the event loop does not have.
        context = await asyncio.to_thread(httpx2.create_ssl_context)
        return httpx2.AsyncClient(
            verify=context,
            follow_redirects=False,
            timeout=DEADLINE_SECONDS,
            trust_env=not local,
            headers={"accept": "application/json", "accept-encoding": "identity"},
        )

    def _jwks_uri(self, discovered: Mapping[str, Any]) -> str:
        if discovered.get("issuer") != self.issuer:
            raise ProviderFault(
                f"Its discovery document is of the issuer {str(discovered.get('issuer'))[:200]!r}, not "
                f"{self.issuer!r}: ENGRAMIA_OIDC_ISSUER must be equal to it, letter by letter."
            )
        uri = discovered.get("jwks_uri")
        if not isinstance(uri, str) or not may_be_asked(uri, local=is_loopback(self.issuer)):
            raise ProviderFault("Its discovery document names no jwks_uri that begins with https://.")
        return uri

    async def _document(self, client: httpx2.AsyncClient, url: str) -> dict[str, Any]:
        async with client.stream("GET", url) as answer:
            if answer.status_code != httpx2.codes.OK:
                raise ProviderFault(f"{url} answered {answer.status_code}.")
            if answer.headers.get("content-encoding", "identity") != "identity":
                raise ProviderFault(f"{url} answered in an encoding that was not asked for.")
            body = await _bounded(answer, url)
        try:
            document = strict_json.loads(body)
        except BadRequestError:
            raise ProviderFault(f"{url} did not answer with JSON.") from None
        if not isinstance(document, dict):
            raise ProviderFault(f"{url} did not answer with a JSON object.")
        return document


async def _bounded(answer: httpx2.Response, url: str) -> bytes:
    body = bytearray()
    async for chunk in answer.aiter_raw():
        body += chunk
        if len(body) > DOCUMENT_MAX_BYTES:
            raise ProviderFault(f"{url} answered with more than {DOCUMENT_MAX_BYTES} bytes.")
    return bytes(body)
