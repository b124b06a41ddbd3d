"""Everything between the socket and the endpoints, in its order."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from starlette.types import ASGIApp

from engramia.server.kit.audit_log import AuditLog
from engramia.server.kit.authentication import PUBLIC_PATHS, Authentication, Authenticator
from engramia.server.kit.body_limit import BodyLimit
from engramia.server.kit.caller import Caller
from engramia.server.kit.cors import CORS
from engramia.server.kit.last_resort import LastResort
from engramia.server.kit.maintenance import Maintenance
from engramia.server.kit.peer import Peers
from engramia.server.kit.rate_limit import Limits, RateLimit
from engramia.server.kit.request_id import RequestId
from engramia.server.kit.security_headers import SecurityHeaders, security_headers
from engramia.server.kit.windows import RateLimiter


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """What the edge is made of; plain values out of the settings, and the ports it works with."""

    authenticator: Authenticator
    limiter: RateLimiter
    limits: Limits
    peers: Peers
    audit: AuditLog
    bind_request_id: Callable[[str], None]
    """Clears the log's context, then puts the id on every line of the request."""
    bind_caller: Callable[[Caller], None] = lambda _: None
    """Puts tenant and project on the lines that follow."""
    max_body_size: int
    max_body_sizes: Mapping[str, int] = field(default_factory=dict)
    """Of paths whose limit differs, normalised: `/v1/import`."""
    cors_origins: tuple[str, ...] = ()
    maintenance: bool = False
    public_paths: frozenset[str] = PUBLIC_PATHS
    page_policies: Mapping[str, str] = field(default_factory=dict)
    """Content-Security-Policy of paths that show a page: `/docs`."""

    def around(self, app: ASGIApp) -> ASGIApp:
        """Return `app` with everything in front of it.

        For `FastAPI(middleware=[Middleware(edge.around)])`: from outside of the framework's own last resort,
        unexpected failures would come out as its plain text.
        """
        app = Authentication(
            app,
            authenticator=self.authenticator,
            peers=self.peers,
            audit=self.audit,
            bind=self.bind_caller,
            public=self.public_paths,
        )
        app = RateLimit(app, limiter=self.limiter, limits=self.limits, peers=self.peers, audit=self.audit)
        app = BodyLimit(app, self.max_body_size, self.max_body_sizes)
        if self.maintenance:
            app = Maintenance(app)
        app = LastResort(app)  # here its answer still gets the headers of those outside
        if self.cors_origins:
            app = CORS(app, self.cors_origins)
        app = SecurityHeaders(app, self.page_policies)
        app = RequestId(app, self.bind_request_id)
        return LastResort(app, security_headers())
