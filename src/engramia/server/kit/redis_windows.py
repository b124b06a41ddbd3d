"""Counts the requests of all server processes together, in Redis or Valkey."""

import asyncio
from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from engramia.errors import UnavailableError
from engramia.server.kit.windows import WINDOW_SECONDS, Charge, Verdict

if TYPE_CHECKING:
    from redis.asyncio import BlockingConnectionPool

PREFIX = "engramia:rate:"
CONNECTIONS = 16

_DIGEST_BYTES = 16
_FORM = (
    "ENGRAMIA_REDIS_URL must read redis://[user:password@]host[:port][/database], with rediss:// for TLS, or "
    "unix:///path/to/socket."
)
_SCHEMES = {"valkey": "redis", "valkeys": "rediss"}

# All windows are looked at before any is counted; the server runs one script at a time, so that nothing comes
# in between. A window is a counter that expires with it. A full one is counted one beyond its limit, once: by
# that the first refusal is known. Returns: passed, index of the window told about, requests left,
# milliseconds left, first refusal.
_SCRIPT = """
local window = tonumber(ARGV[1])
local counts, left, full = {}, {}, 0
for i, key in ipairs(KEYS) do
  counts[i] = tonumber(redis.call('GET', key) or 0)
  left[i] = redis.call('PTTL', key)
  if left[i] < 0 then
    counts[i], left[i] = 0, window
  end
  if counts[i] >= tonumber(ARGV[i + 1]) and (full == 0 or left[i] > left[full]) then
    full = i
  end
end
if full > 0 then
  local first = 0
  if counts[full] == tonumber(ARGV[full + 1]) then
    redis.call('INCR', KEYS[full])
    first = 1
  end
  return {0, full, 0, left[full], first}
end
local tightest, least
for i, key in ipairs(KEYS) do
  if counts[i] == 0 then
    redis.call('SET', key, 1, 'PX', window)
  else
    redis.call('INCR', key)
  end
  local remaining = tonumber(ARGV[i + 1]) - counts[i] - 1
  if least == nil or remaining < least then
    tightest, least = i, remaining
  end
end
return {1, tightest, least, left[tightest], 0}
"""


class RedisRateLimiter:
    """Keeps the windows of every process that names the same server, in one script a request.

    Raises `UnavailableError` when the server does not answer within the deadline or cannot count. Nothing is
    opened before the first request; belongs to one event loop.
    """

    def __init__(self, url: str, *, secret: bytes = b"", deadline: float) -> None:
        """Count at `url`, whose keys are hashed with `secret`, which all processes share.

        `deadline` is the seconds for one answer, connecting and waiting for a connection included.
        Raises `ValueError` with a sentence, which does not repeat it, if `url` is not one of a Redis server.
        """
        from redis.asyncio import Redis
        from redis.exceptions import RedisError

        self._deadline = deadline
        self._secret = blake2b(secret, digest_size=_DIGEST_BYTES, person=b"engramia rate").digest()
        self._failures = (RedisError, OSError)  # a `TimeoutError` is an `OSError`
        self._client = Redis.from_pool(_pool(url, deadline))
        self._count = self._client.register_script(_SCRIPT)

    async def take(self, charges: Sequence[Charge]) -> Verdict:
        """Count one request in the window of each charge, or in none if one of them is full."""
        keys = [self._key(charge.bucket) for charge in charges]
        arguments = [int(WINDOW_SECONDS * 1000), *(charge.limit for charge in charges)]
        passed, index, remaining, left, first = await self._counted(keys, arguments)
        return Verdict(bool(passed), charges[index - 1].limit, remaining, left / 1000, bool(first))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _counted(self, keys: list[str], arguments: list[int]) -> list[int]:
        try:
            async with asyncio.timeout(self._deadline):
                answer: list[int] = await self._count(keys, arguments)
        except self._failures as error:
            # The error's own text may name the address; its kind says enough.
            raise UnavailableError(
                f"the server that counts requests failed ({type(error).__name__})"
            ) from error
        return answer

    def _key(self, bucket: bytes) -> str:
        return PREFIX + blake2b(bucket, digest_size=_DIGEST_BYTES, key=self._secret).hexdigest()


def _pool(url: str, deadline: float) -> "BlockingConnectionPool":
    from redis.asyncio import BlockingConnectionPool
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    options: dict[str, Any] = {
        "max_connections": CONNECTIONS,
        "timeout": deadline,
        "socket_timeout": deadline,
        "socket_connect_timeout": deadline,
        "retry": Retry(NoBackoff(), 0),  # whoever asks has something better to do than to wait
        "protocol": 2,  # every server and proxy speaks it, and connecting takes one message less
        "driver_info": None,
    }
    try:
        scheme = urlsplit(url).scheme
        known = url.replace(scheme, _SCHEMES.get(scheme, scheme), 1)
        pool = BlockingConnectionPool.from_url(known, **options)
        pool.connection_class(
            **pool.connection_kwargs
        )  # opens nothing; refuses options that it does not know
    except (ValueError, TypeError) as error:
        raise ValueError(_FORM) from error
    return pool
