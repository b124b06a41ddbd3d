"""Callers whom an identity provider places in projects, behind the register of projects in the database."""

import asyncio
import time
from dataclasses import replace
from functools import partial

from starlette.datastructures import Headers

from engramia.errors import NotFoundError
from engramia.server.identity.key_cache import KeyCache
from engramia.server.identity.key_watch import KeyWatch
from engramia.server.identity.known_projects import KnownProjects
from engramia.server.identity.lookups import Lookups
from engramia.server.kit.authentication import Authenticator, in_project
from engramia.server.kit.caller import Caller
from engramia.server.kit.peer import Peer
from engramia.server.tenancy.service import ProjectService


class ProvisioningAuthenticator:
    """Lets in whom another authenticator does, and makes the project that it places them in.

    What the provider says is there: it answers for it. What a caller names by `X-Project-Id` must be there
    already, or an admin's typing error would make projects. The thread begins with the first request; `close`
    ends it.
    """

    def __init__(self, callers: Authenticator, projects: ProjectService) -> None:
        self._callers = callers
        self._projects = projects
        self._cache = KeyCache(time.monotonic)
        self._watch = KeyWatch(projects.database, self._cache)
        self._lookups = Lookups()
        self._known = KnownProjects(self._cache, self._lookups)
        self._started = False

    async def close(self) -> None:
        """Let the threads go."""
        if self._started:
            await asyncio.to_thread(self._watch.stop)
        self._lookups.close()

    async def authenticate(self, headers: Headers, peer: Peer) -> Caller:
        """Return the caller, in the project that the request names or that the provider does.

        Raises what the other authenticator does, `AuthorizationError` below admin for another project,
        `NotFoundError` for one that is not there, and `UnavailableError` while the database cannot be asked.
        """
        placed = await self._callers.authenticate(headers, peer)
        caller = in_project(placed, headers)
        if not self._started:
            self._started = True
            self._watch.start()
        look = self._projects.find
        if caller.scope == placed.scope:
            look = partial(self._projects.provide, actor=caller.key_id, ip=str(peer))
        project = await self._known.project(caller.scope, peer, look)
        if project is None:
            raise NotFoundError("There is no such project.")
        return replace(caller, max_patterns=project.max_patterns)
