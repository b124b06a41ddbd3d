"""What the deep look at the service's health says of rate limits that several processes share."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from engramia.api.app import create_app
from engramia.settings import Settings
from tests.redis_server import RedisServer, redis_server
from tests.server.api import service

__all__ = ["redis_server"]


def test_it_tells_whether_limits_are_shared(tmp_path: Path, redis_server: RedisServer) -> None:
    with service(tmp_path, redis_url=SecretStr(redis_server.url)) as api:
        well = api.get("/v1/health/deep").json()
        assert well["checks"]["rate_limits"]["status"] == "ok"
        assert well["checks"]["rate_limits"]["latency_ms"] >= 0
        redis_server.kill()
        ill = api.get("/v1/health/deep")
        assert (ill.status, ill.json()["status"]) == (200, "degraded")
        assert ill.json()["checks"]["rate_limits"] == {
            "status": "degraded",
            "latency_ms": None,
            "detail": "Redis does not answer: until it does, rate limits hold for each server process by "
            "itself.",
        }


def test_without_redis_there_is_nothing_to_tell(tmp_path: Path) -> None:
    with service(tmp_path) as api:
        assert "rate_limits" not in api.get("/v1/health/deep").json()["checks"]


def test_an_address_that_is_none_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="ENGRAMIA_REDIS_URL must read"):
        create_app(Settings(data_path=tmp_path, redis_url=SecretStr("localhost")), embeddings=None, llm=None)
