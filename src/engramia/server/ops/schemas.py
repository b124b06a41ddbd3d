"""The bodies of health and version."""

from typing import Any, Literal

from pydantic import Field

from engramia.server.kit.error_responses import Error
from engramia.server.kit.schemas import Answer

type Overall = Literal["ok", "degraded", "error"]


class HealthAnswer(Answer):
    """The service is up and its storage can be read."""

    status: Literal["ok"]
    storage: Literal["json", "postgres"] = Field(description="Kind of the storage.")
    pattern_count: int = Field(ge=0, description="Patterns in the caller's project.")
    version: str


class Alive(Answer):
    """The process answers."""

    status: Literal["ok"]


class Version(Answer):
    """Which release this is; null where the build did not say."""

    app_version: str
    api_version: str = Field(description="The first part of every path.")
    git_commit: str | None
    build_time: str | None


class CheckBody(Answer):
    """How one part is."""

    status: Literal["ok", "degraded", "error", "not_configured", "unknown"] = Field(
        description="`not_configured` is no fault; `unknown`: it cannot be asked for free."
    )
    latency_ms: float | None = Field(ge=0, description="Milliseconds of the probe; null if it was not asked.")
    error: str | None = Field(None, description="Code of what is wrong; left out if nothing is.")
    detail: str | None = Field(None, description="A sentence for a human; left out if there is none.")


class ModelCheckBody(CheckBody):
    """How a language model is."""

    model: str | None


class EmbeddingCheckBody(ModelCheckBody):
    """How the embedding model is."""

    thresholds: dict[str, float | None] = Field(
        description="What similarities must reach with this model: `duplicate`, `adapt`; `min_similarity`, "
        "which every match has."
    )


class ReplicaCheckBody(CheckBody):
    """How the replica of the database is."""

    lag_bytes: int | None = Field(
        None, ge=0, description="Log of the primary that it has not replayed; null if that is not known."
    )
    lag_seconds: float | None = Field(
        None, description="Age of the newest commit that it replayed; 0 if it has everything."
    )


class Checks(Answer):
    """Every part that the service stands on."""

    storage: CheckBody
    llm: ModelCheckBody
    embedding: EmbeddingCheckBody
    rate_limits: CheckBody | None = Field(
        None, description="How limits shared by all processes are; left out without `ENGRAMIA_REDIS_URL`."
    )
    replica: ReplicaCheckBody | None = Field(
        None, description="How the replica is; left out without `ENGRAMIA_DATABASE_REPLICA_URL`."
    )


class DeepHealthAnswer(Answer):
    """How the service and all that it stands on are."""

    status: Overall = Field(
        description="`degraded`: a model fails, or recall uses words alone; `error`: the storage is down."
    )
    version: str
    uptime_seconds: float = Field(ge=0)
    checks: Checks


class DeepHealthDown(Error):
    """The storage is down: the same body, and the error's fields beside it."""

    status: Overall | None = None
    version: str | None = None
    uptime_seconds: float | None = None
    checks: Checks | None = None


_THRESHOLDS = {"duplicate": 0.92, "adapt": 0.7, "min_similarity": 0.3}
_MODEL = "all-MiniLM-L6-v2"
_LLM_CHECK = {"status": "ok", "latency_ms": 212.4, "model": "gpt-4.1"}
_EMBEDDING_CHECK = {"status": "ok", "latency_ms": 4.8, "model": _MODEL, "thresholds": _THRESHOLDS}

HEALTH = {"status": "ok", "storage": "json", "pattern_count": 42, "version": "0.1.0"}
ALIVE = {"status": "ok"}
VERSION = {"app_version": "0.1.0", "api_version": "v1", "git_commit": None, "build_time": None}
DEEP: dict[str, Any] = {
    "status": "ok",
    "version": "0.1.0",
    "uptime_seconds": 3600.5,
    "checks": {
        "storage": {"status": "ok", "latency_ms": 1.3},
        "llm": _LLM_CHECK,
        "embedding": _EMBEDDING_CHECK,
    },
}
_DOWN = {"error": "storage_error", "detail": "The storage could not do this; the server's log says why."}
DEEP_DOWN: dict[str, Any] = {
    **_DOWN,
    **DEEP,
    "status": "error",
    "checks": {**DEEP["checks"], "storage": {"status": "error", "latency_ms": 0.4, **_DOWN}},
}
METRICS = """# HELP engramia_pattern_count Stored patterns.
# TYPE engramia_pattern_count gauge
engramia_pattern_count 42.0
"""
