"""Every setting, read from the environment here and nowhere else."""

from enum import StrEnum
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class StorageKind(StrEnum):
    """Where patterns live."""

    JSON = "json"
    POSTGRES = "postgres"


class LLMProvider(StrEnum):
    """Whose language models are asked."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    NONE = "none"


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
    xdg_cache_home: Path | None = Field(
        None, validation_alias="XDG_CACHE_HOME", description="The user's cache folder (default: ~/.cache)."
    )
    model_download: bool = Field(True, description="Whether the local model may be downloaded when missing.")
    embedding_timeout: float = Field(
        30.0, gt=0, le=600, description="Deadline in seconds for one call of an embedding vendor."
    )
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
    anthropic_api_key: SecretStr | None = Field(
        None, validation_alias="ANTHROPIC_API_KEY", description="Anthropic key."
    )
    anthropic_base_url: str | None = Field(
        None,
        validation_alias="ANTHROPIC_BASE_URL",
        description="Address of an Anthropic-compatible server.",
    )
