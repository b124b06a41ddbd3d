"""Which pages of other origins may read answers."""

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from engramia.errors import BadRequestError
from engramia.server.kit.errors import problem_of, response_of

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
REQUEST_HEADERS = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "Mcp-Method",
    "Mcp-Name",
    "Mcp-Protocol-Version",
    "Mcp-Session-Id",
    "Prefer",
    "X-Project-Id",
    "X-Request-ID",
)
EXPOSED_HEADERS = (
    "Idempotency-Replayed",
    "Location",
    "Preference-Applied",
    "RateLimit-Limit",
    "RateLimit-Remaining",
    "RateLimit-Reset",
    "Retry-After",
    "X-Request-ID",
)


class CORS(CORSMiddleware):
    """Starlette's middleware with this service's headers, refusing in the shape of all errors.

    Credentials are not allowed: keys travel in `Authorization`, which a page sets itself, never in cookies.
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        """Wrap `app`; `origins` are such as `https://app.example.org`, or `*`."""
        super().__init__(
            app,
            allow_origins=tuple(origins),
            allow_methods=METHODS,
            allow_headers=REQUEST_HEADERS,
            # Pages from elsewhere reach a server in a private network if their origin was named, not by "*".
            allow_private_network="*" not in origins,
            expose_headers=EXPOSED_HEADERS,
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        """Answer a preflight; a refused one with a 400 that names what is refused."""
        answer = super().preflight_response(request_headers)
        if answer.status_code < 400:  # noqa: PLR2004 - where errors begin
            return answer
        said = bytes(answer.body).decode().removeprefix("Disallowed CORS ")
        refusal = response_of(problem_of(BadRequestError(f"CORS does not allow this request's {said}.")))
        for name, value in answer.headers.items():
            if name not in {"content-length", "content-type"}:
                refusal.headers[name] = value
        return refusal
