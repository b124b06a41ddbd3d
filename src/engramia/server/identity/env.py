"""Static keys out of the environment."""

import hmac
from collections.abc import Sequence
from hashlib import blake2b, sha256

from starlette.datastructures import Headers

from engramia.core.model import Scope
from engramia.errors import AuthenticationError
from engramia.server.kit.bearer import bearer_token
from engramia.server.kit.caller import Caller
from engramia.server.kit.peer import Peer
from engramia.server.kit.permissions import Role

_ID_BYTES = 6


class EnvAuthenticator:
    """Knows the holders of static keys; all have one role, in project `default` of tenant `default`."""

    def __init__(self, keys: Sequence[str], role: Role) -> None:
        """Take the keys, at least one."""
        raw = [key.encode() for key in keys]
        self._known = [(sha256(key).digest(), Caller(Scope(), role, key_id(key))) for key in raw]

    async def authenticate(self, headers: Headers, peer: Peer) -> Caller:  # noqa: ARG002 - the port's form
        """Return the holder of the request's key; raises `AuthenticationError`."""
        presented = sha256(bearer_token(headers.raw)).digest()
        holder: Caller | None = None
        for (
            digest,
            caller,
        ) in self._known:  # to the end: the time taken tells nothing of which key, or how near
            if hmac.compare_digest(digest, presented):
                holder = caller
        if holder is None:
            raise AuthenticationError("This API key is not valid.")
        return holder


def key_id(key: bytes) -> str:
    """Return what names a static key in logs and as an author: too short to find the key by."""
    return f"env-{blake2b(key, digest_size=_ID_BYTES, person=b'engramia-key-id').hexdigest()}"
