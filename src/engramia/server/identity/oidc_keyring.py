"""Keeps a provider's keys at hand: fetched when they are needed, never twice at once, never in a hurry.

No thread and no timer: requests drive it, so that there is nothing to start or stop, and a provider is asked
only while somebody comes with tokens.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable
from typing import Protocol

from engramia.errors import InvalidTokenError, UnavailableError
from engramia.server.identity.oidc_keys import KeySet, PublicKey
from engramia.server.identity.oidc_provider import ProviderFault

REFETCH_SECONDS = 10.0
"""Between two fetches, whatever tokens ask for."""
FIRST_RETRY_SECONDS = 2.0
"""Between two fetches as long as there are no keys at all, and nobody can be let in."""
REFRESH_SECONDS = 300.0
"""Keys older than this are fetched again while they go on being used."""
TRUST_SECONDS = 600.0
"""Keys older than this wait for the provider's answer: so long may a withdrawn key live on."""

_log = logging.getLogger("engramia.auth")


class KeySource(Protocol):
    """Where keys come from."""

    async def keys(self) -> KeySet:
        """Return the keys of this moment; raises `ProviderFault`, and does so within seconds."""
        ...


class KeyRing:
    """The keys of one provider, for one event loop."""

    def __init__(self, source: KeySource, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Fetch from `source` when asked; `clock` counts seconds."""
        self._source = source
        self._clock = clock
        self._keys: KeySet | None = None
        self._fetched = self._tried = -math.inf
        self._failing = False
        self._flight: asyncio.Task[None] | None = None

    async def key(self, kid: str | None, algorithm: str) -> PublicKey:
        """Return the key that a token names.

        Raises `InvalidTokenError` if the provider has no such key, `UnavailableError` while it cannot say.
        """
        await self._keep_fresh()
        key = self._find(kid, algorithm)
        if key is None:
            await self._fetch()
            key = self._find(kid, algorithm)
        if key is not None:
            return key
        if self._keys is None or self._failing:
            # It may be a key of today: nobody here can know.
            raise UnavailableError(
                "The identity provider cannot be reached just now; try again shortly.",
                retry_after=max(1.0, self._interval - (self._clock() - self._tried)),
            )
        raise InvalidTokenError("The token is signed with a key that the identity provider does not publish.")

    def _find(self, kid: str | None, algorithm: str) -> PublicKey | None:
        return None if self._keys is None else self._keys.find(kid, algorithm)

    async def _keep_fresh(self) -> None:
        now = self._clock()
        if self._keys is None or now - self._fetched <= REFRESH_SECONDS:
            return
        # While the provider is down somebody has just waited in vain: the others need not.
        if now - self._fetched > TRUST_SECONDS and now - self._tried > REFRESH_SECONDS:
            await self._fetch()
        else:
            self._begin()

    async def _fetch(self) -> None:
        """Wait for the fetch on its way, or for a new one if it is time for one."""
        flight = self._begin()
        if flight is not None:
            # Shielded: others may wait for it when this request is gone.
            await asyncio.shield(flight)

    def _begin(self) -> "asyncio.Task[None] | None":
        if self._flight is not None and not self._flight.done():
            return self._flight
        if self._clock() - self._tried < self._interval:
            return None
        self._tried = self._clock()
        self._flight = asyncio.create_task(self._refill(), name="engramia-oidc-keys")
        return self._flight

    async def _refill(self) -> None:
        try:
            keys = await self._source.keys()
        except ProviderFault as fault:
            self._failing = True
            _log.warning("The identity provider's keys could not be fetched: %s", fault.reason)
            return
        self._keys, self._fetched, self._failing = keys, self._clock(), False
        if not keys.keys:
            _log.warning("The identity provider publishes no key that can be used here.")

    @property
    def _interval(self) -> float:
        return FIRST_RETRY_SECONDS if self._keys is None else REFETCH_SECONDS
