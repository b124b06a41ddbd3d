"""Keys that are kept in the database."""

import asyncio
import time
from dataclasses import replace
from functools import partial

from starlette.datastructures import Headers

from engramia.core.model import Scope
from engramia.errors import AuthenticationError, NotFoundError
from engramia.server.identity.key_cache import KeyCache, NotKept
from engramia.server.identity.key_usage import KeyUsage
from engramia.server.identity.key_watch import KeyWatch
from engramia.server.identity.known_projects import KnownProjects
from engramia.server.identity.lookups import Lookups
from engramia.server.keys.model import Holder
from engramia.server.keys.secret import is_well_formed
from engramia.server.keys.service import KeyService
from engramia.server.kit.auditing import KnownRefusalError
from engramia.server.kit.authentication import in_project
from engramia.server.kit.bearer import bearer_token
from engramia.server.kit.caller import Caller
from engramia.server.kit.peer import Peer
from engramia.server.tenancy.model import Project

_UNKNOWN = "This API key is not valid."


class DbAuthenticator:
    """Knows the holders of the keys in the database; a revoked one is refused within a second everywhere.

    Where it was revoked, in this very process, it is refused at once.

    A key whose checksum is wrong is refused without a look at the database. Its threads begin with the first
    request; `close` ends them.
    """

    def __init__(self, service: KeyService) -> None:
        self._service = service
        self._cache = KeyCache(time.monotonic)
        service.on_change(self._cache.drop)
        self._watch = KeyWatch(service.database, self._cache)
        self._usage = KeyUsage(service)
        self._lookups = Lookups()
        self._projects = KnownProjects(self._cache, self._lookups)
        self._started = False

    async def close(self) -> None:
        """Let the threads go; when keys were last used is written once more."""
        if self._started:
            await asyncio.to_thread(self._watch.stop)
            await asyncio.to_thread(self._usage.stop)
        self._lookups.close()

    async def authenticate(self, headers: Headers, peer: Peer) -> Caller:
        """Return the holder of the request's key, in the project that the request names or the key's own.

        Raises `AuthenticationError`, `AuthorizationError` below admin for another project, `NotFoundError`
        for one that is not there, and `UnavailableError` while the database cannot be asked.
        """
        secret = bearer_token(headers.raw)
        if not is_well_formed(secret):
            raise AuthenticationError(_UNKNOWN)
        self._start()
        holder = await self._holder(secret, peer)
        if holder is None:
            raise AuthenticationError(_UNKNOWN)
        self._check_live(holder)
        key = holder.key
        own = Caller(key.scope, key.role, key.id, holder.limit_in(holder.project))
        caller = in_project(own, headers)
        if caller.scope == own.scope:
            return caller
        return replace(caller, max_patterns=holder.limit_in(await self._project(caller.scope, peer)))

    def _start(self) -> None:
        if not self._started:
            self._started = True
            self._watch.start()
            self._usage.start()

    async def _holder(self, secret: bytes, peer: Peer) -> Holder | None:
        digest, generation = self._service.digest(secret), self._cache.generation
        if digest is not None:
            kept = self._cache.holder(digest)
            if not isinstance(kept, NotKept):
                return kept
        found = await self._lookups.ask(peer.key, partial(self._service.holder, secret))
        if digest is not None:
            self._cache.keep_holder(digest, found, generation)
        return found

    async def _project(self, scope: Scope, peer: Peer) -> Project:
        found = await self._projects.project(scope, peer, self._service.project)
        if found is None:
            raise NotFoundError("There is no such project.")
        return found

    def _check_live(self, holder: Holder) -> None:
        key, now = holder.key, self._service.clock.now()
        if key.is_live(now):
            self._usage.note(key, now)
            return
        raise KnownRefusalError(
            "This API key has expired." if key.revoked_at is None else "This API key was revoked.",
            tenant_id=key.scope.tenant_id,
            project_id=key.scope.project_id,
            key_id=key.id,
        )
