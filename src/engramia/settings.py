"""Every setting, read from the environment here and nowhere else."""

from enum import StrEnum
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class StorageKind(StrEnum):
    """Where patterns live."""

    JSON = "json"
    POSTGRES = "postgres"


class Settings(BaseSettings):
    """The environment as this release understands it; an empty variable counts as unset."""

    model_config = SettingsConfigDict(
        env_prefix="ENGRAMIA_", env_ignore_empty=True, extra="ignore", populate_by_name=True, frozen=True
    )

    storage: StorageKind = Field(StorageKind.JSON, description="Storage backend.")
    data_path: Path = Field(Path("./engramia_data"), description="Root folder of the JSON storage.")
    tenant: str = Field("default", description="Tenant that the library and the CLI work in.")
    project: str = Field("default", description="Project that the library and the CLI work in.")

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
    model_download: bool = Field(True, description="Whether the local model may be downloaded when missing.")
    embedding_timeout: float = Field(
        30.0, gt=0, le=600, description="Deadline in seconds for one call of an embedding vendor."
    )
    redaction: bool = Field(
        True, description="Redact secrets and personal data. Disable in development only."
    )
    log_level: str = Field("WARNING", description="Least level that is logged.")

    openai_api_key: SecretStr | None = Field(
        None, validation_alias="OPENAI_API_KEY", description="OpenAI key."
    )
    openai_base_url: str | None = Field(
        None, validation_alias="OPENAI_BASE_URL", description="Address of an OpenAI-compatible server."
    )
