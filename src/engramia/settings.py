"""Every setting, read from the environment here and nowhere else: a class a concern, `Settings` is them all.

The docstring of each class is its heading in docs/settings.md, which is generated from this file.
"""

from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


class StorageKind(StrEnum):
    """Where patterns live."""

    JSON = "json"
    POSTGRES = "postgres"


class LLMProvider(StrEnum):
    """Whose language models are asked."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    NONE = "none"


class AuthMode(StrEnum):
    """How the service finds out who is calling."""

    AUTO = "auto"
    ENV = "env"
    DB = "db"
    DEV = "dev"
    OIDC = "oidc"


def _split(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


type _Listed[T] = Annotated[tuple[T, ...], NoDecode, BeforeValidator(_split)]
"""Several values in one variable, separated by commas."""


class _Group(BaseSettings):
    """Settings of one concern; an empty variable counts as unset."""

    model_config = SettingsConfigDict(
        env_prefix="ENGRAMIA_", env_ignore_empty=True, extra="ignore", populate_by_name=True, frozen=True
    )


class StorageSettings(_Group):
    """Storage."""

    storage: StorageKind = Field(StorageKind.JSON, description="Storage backend.")
    data_path: Path = Field(Path("./engramia_data"), description="Root folder of the JSON storage.")
    database_url: SecretStr | None = Field(
        None, description="PostgreSQL connection string; needed where the storage is postgres."
    )
    database_replica_url: SecretStr | None = Field(
        None,
        description="Connection string of a streaming replica of that server: reads go to it as long as it "
        "has everything that was written before.",
    )
    database_pool_size: int = Field(
        10, ge=1, le=1_000, description="Connections to the database that a process keeps open."
    )
    database_max_overflow: int = Field(
        10, ge=0, le=1_000, description="Connections that it opens beyond them under load."
    )
    database_pool_timeout: float = Field(
        3.0, gt=0, le=60, description="Seconds that a request waits for a free connection before it gets 503."
    )
    tenant: str = Field("default", description="Tenant that the library and the CLI work in.")
    project: str = Field("default", description="Project that the library and the CLI work in.")
    redaction: bool = Field(
        True, description="Redact secrets and personal data. Disable in development only."
    )


class EmbeddingSettings(_Group):
    """Embeddings."""

    local_embeddings: str | None = Field(
        None, description="Any non-empty value: embed locally, even if an OpenAI key is set."
    )
    embedding_model: str | None = Field(
        None,
        description="OpenAI embedding model (text-embedding-3-small), 'local' for the local model, "
        "or 'none' to answer from words alone.",
    )
    local_model_path: Path | None = Field(
        None, description="Folder with model.safetensors and tokenizer.json of the local model."
    )
    cache_path: Path | None = Field(
        None, description="Folder for the local model's files and graph (default: the user's cache folder)."
    )
    xdg_cache_home: Path | None = Field(
        None, validation_alias="XDG_CACHE_HOME", description="The user's cache folder (default: ~/.cache)."
    )
    model_download: bool = Field(True, description="Whether the local model may be downloaded when missing.")
    embedding_timeout: float = Field(
        30.0, gt=0, le=600, description="Deadline in seconds for one call of an embedding vendor."
    )


class LLMSettings(_Group):
    """Language models."""

    llm_provider: LLMProvider | None = Field(
        None, description="Vendor of the language model; by default the one whose key is set, OpenAI first."
    )
    llm_model: str | None = Field(
        None, description="Language model (openai: gpt-4.1, anthropic: claude-sonnet-5-5)."
    )
    llm_base_url: str | None = Field(
        None, description="Address of a compatible server for the language model alone."
    )
    llm_timeout: float = Field(
        30.0, gt=0, le=600, description="Deadline in seconds for one call of a language model."
    )
    llm_concurrency: int = Field(
        10, ge=1, le=256, description="Calls of the language model at once; twice as many may wait."
    )
    openai_api_key: SecretStr | None = Field(
        None, validation_alias="OPENAI_API_KEY", description="OpenAI key."
    )
    openai_base_url: str | None = Field(
        None, validation_alias="OPENAI_BASE_URL", description="Address of an OpenAI-compatible server."
    )
    anthropic_api_key: SecretStr | None = Field(
        None, validation_alias="ANTHROPIC_API_KEY", description="Anthropic key."
    )
    anthropic_base_url: str | None = Field(
        None,
        validation_alias="ANTHROPIC_BASE_URL",
        description="Address of an Anthropic-compatible server.",
    )


class ServerSettings(_Group):
    """The server."""

    host: str = Field("127.0.0.1", description="Address that the server listens on.")
    port: int = Field(8000, ge=0, le=65_535, description="Port that the server listens on; 0 for any.")
    maintenance: bool = Field(
        False, description="Maintenance mode: 503 on everything but health, version and metrics."
    )
    shutdown_timeout: float = Field(
        30.0, gt=0, le=600, description="Seconds that running requests and jobs have to finish at the end."
    )


class AuthSettings(_Group):
    """Authentication."""

    auth_mode: AuthMode = Field(
        AuthMode.AUTO,
        description="How callers are told apart; auto: db if a database is set, else env.",
    )
    api_keys: _Listed[SecretStr] = Field((), description="Comma-separated static API keys of the env mode.")
    env_auth_role: Literal["owner", "admin", "editor", "reader"] = Field(
        "owner", description="Role of requests with a static API key."
    )
    allow_no_auth: bool = Field(
        False, description="Serve everyone without authentication; refused outside local environments."
    )
    environment: str | None = Field(
        None,
        description="Label of the deployment; unset, local, dev, development and test count as local.",
    )
    oidc_issuer: str | None = Field(
        None, description="Issuer whose access tokens the oidc mode takes, exactly as its tokens spell it."
    )
    oidc_audience: str | None = Field(None, description="Audience that access tokens must be for.")
    oidc_role_claim: str = Field(
        "engramia_role", description="Claim with the role; dots lead into nested claims."
    )
    oidc_default_role: Literal["admin", "editor", "reader"] = Field(
        "reader", description="Role of tokens whose role claim is not there."
    )
    oidc_owner_role: str | None = Field(
        None, description="Value of the role claim that makes an owner; unset: no token does."
    )
    oidc_tenant_claim: str | None = Field(
        None, description="Claim that names the tenant; unset: everyone is in tenant default."
    )
    oidc_project_claim: str | None = Field(
        None, description="Claim that names the project; unset: everyone is in project default."
    )
    secret_key: SecretStr | None = Field(
        None,
        min_length=32,
        description="What API keys in the database are hashed under, at least 32 characters; unset: a secret "
        "that is kept in the database.",
    )
    bootstrap_token: SecretStr | None = Field(
        None, min_length=32, description="Token of POST /v1/keys/bootstrap, at least 32 characters."
    )


class EdgeSettings(_Group):
    """Limits and networking."""

    cors_origins: _Listed[str] = Field((), description="Comma-separated CORS origins; unset: CORS is off.")
    trusted_proxies: _Listed[IPv4Network | IPv6Network] = Field(
        (), description="Comma-separated CIDRs of proxies whose X-Forwarded-For counts."
    )
    rate_limit_default: int = Field(
        60, ge=1, le=1_000_000, description="Requests a minute on standard endpoints together, per client IP."
    )
    rate_limit_expensive: int = Field(
        10, ge=1, le=1_000_000, description="Requests a minute on LLM endpoints together, per client IP."
    )
    rate_limit_per_key: int = Field(
        120, ge=1, le=1_000_000, description="Requests a minute on all paths together, per API key."
    )
    redis_url: SecretStr | None = Field(
        None,
        description="Address of a Redis or Valkey server in which rate limits are counted for all processes; "
        "unset: each process counts for itself.",
    )
    redis_timeout: float = Field(
        0.3,
        gt=0,
        le=30,
        description="Seconds that a request waits for that server; then its process counts for itself until "
        "that server answers again.",
    )
    max_body_size: int = Field(1 << 20, ge=1024, le=1 << 30, description="Largest request body in bytes.")
    max_import_body_size: int = Field(
        64 << 20, ge=1024, le=1 << 30, description="Largest request body of POST /v1/import in bytes."
    )


class JobSettings(_Group):
    """Async jobs."""

    job_poll_interval: float = Field(
        2.0, gt=0, le=3_600, description="Seconds between two looks of a worker for new jobs."
    )
    job_max_concurrent: int = Field(3, ge=1, le=64, description="Jobs that one worker runs at once.")
    job_timeout: float = Field(900.0, gt=0, le=86_400, description="Deadline in seconds of one job.")
    job_worker: bool = Field(
        True, description="Whether the server process runs jobs itself; false where `engramia worker` does."
    )


class ObservabilitySettings(_Group):
    """Observability."""

    log_level: str | None = Field(
        None, description="Least level that is logged (CLI: WARNING, server: INFO)."
    )
    json_logs: bool = Field(False, description="Log one JSON object a line.")
    telemetry: bool = Field(False, description="OpenTelemetry tracing.")
    otel_endpoint: str = Field("http://localhost:4317", description="OTLP gRPC endpoint of the collector.")
    metrics: bool = Field(False, description="Prometheus metrics at /metrics.")
    metrics_token: SecretStr | None = Field(
        None, description="Bearer token that /metrics asks for; unset: it is open."
    )
    metrics_path: Path | None = Field(
        None, description="Folder in which several server processes on one machine add up their metrics."
    )
    git_commit: str | None = Field(None, description="Commit of the build, for /v1/version.")
    build_time: str | None = Field(None, description="Time of the build, for /v1/version.")


class Settings(
    StorageSettings,
    EmbeddingSettings,
    LLMSettings,
    ServerSettings,
    AuthSettings,
    EdgeSettings,
    JobSettings,
    ObservabilitySettings,
):
    """The environment as this release understands it."""
