"""Access tokens of an OpenID Connect provider (RFC 9068, OpenID Connect Discovery)."""

import time
from collections.abc import Callable

from starlette.datastructures import Headers

from engramia.errors import AuthenticationError, InvalidTokenError
from engramia.server.identity.oidc_claims import Standing, check_claims, check_issuer
from engramia.server.identity.oidc_keyring import KeyRing
from engramia.server.identity.oidc_token import Token, read_token
from engramia.server.kit.bearer import bearer_token
from engramia.server.kit.caller import Caller
from engramia.server.kit.peer import Peer


class OidcAuthenticator:
    """Lets in who bears a token that the provider signed for this service."""

    def __init__(
        self,
        keys: KeyRing,
        *,
        issuer: str,
        audience: str,
        standing: Standing,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Believe `issuer` about tokens for `audience`; `clock` is Unix time in seconds."""
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._standing = standing
        self._clock = clock

    async def authenticate(self, headers: Headers, peer: Peer) -> Caller:  # noqa: ARG002 - the port's form
        """Return the bearer of the request's token.

        Raises `InvalidTokenError`, `AuthorizationError` for a genuine token that names no place or role here,
        and `UnavailableError` while the provider's keys are not to be had.
        """
        if "authorization" not in headers:
            raise AuthenticationError("No token: send the header 'Authorization: Bearer <token>'.")
        token = read_token(bearer_token(headers.raw))
        check_issuer(token.claims, self._issuer)  # before a foreign token makes anyone look for its key
        await self._verify(token)
        check_claims(token.claims, audience=self._audience, now=self._clock())
        return self._standing.caller(token.claims)

    async def _verify(self, token: Token) -> None:
        key = await self._keys.key(token.kid, token.algorithm)
        if not key.verifies(token.algorithm, token.signed, token.signature):
            raise InvalidTokenError("The token's signature is not the identity provider's.")
