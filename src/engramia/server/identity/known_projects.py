"""Projects as authentication knows them: kept in this process while the database is heard."""

from collections.abc import Callable
from functools import partial

from engramia.core.model import Scope
from engramia.server.identity.key_cache import KeyCache
from engramia.server.identity.lookups import Lookups
from engramia.server.kit.peer import Peer
from engramia.server.tenancy.model import Project


class KnownProjects:
    """Finds projects, and remembers in a `KeyCache` those that are there."""

    def __init__(self, cache: KeyCache, lookups: Lookups) -> None:
        self._cache = cache
        self._lookups = lookups

    async def project(
        self, scope: Scope, peer: Peer, look: Callable[[Scope], Project | None]
    ) -> Project | None:
        """Return what is known of a project, or what `look` finds for a request of `peer`.

        Raises what `look` and `Lookups.ask` raise.
        """
        generation = self._cache.generation
        kept = self._cache.project(scope)
        if isinstance(kept, Project):
            return kept
        found = await self._lookups.ask(peer.key, partial(look, scope))
        if found is not None:
            self._cache.keep_project(scope, found, generation)
        return found
