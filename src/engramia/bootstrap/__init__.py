"""Settings in, objects out: the only place that chooses adapters."""

from engramia.bootstrap.adapters import Adapters
from engramia.bootstrap.clock import SystemClock
from engramia.bootstrap.embeddings import (
    OPENAI_DEFAULT_MODEL,
    EmbeddingChoice,
    choose_embeddings,
    embeddings_from,
)
from engramia.bootstrap.ids import new_job_id, new_pattern_key
from engramia.bootstrap.language_model import LLMChoice, bounded, choose_llm, llm_from, pooled
from engramia.bootstrap.memory import Memory
from engramia.bootstrap.redaction import NoRedaction, redactor_from
from engramia.bootstrap.service import (
    key_service_from,
    project_service_from,
    projects_in,
    rate_limiter_from,
    shared_rate_limiter_from,
)
from engramia.bootstrap.storage import (
    database_from,
    database_limits,
    database_url,
    ledger_from,
    mover_from,
    replica_from,
    storage_from,
)
from engramia.bootstrap.watch import Unwatched, Watch

__all__ = [
    "OPENAI_DEFAULT_MODEL",
    "Adapters",
    "EmbeddingChoice",
    "LLMChoice",
    "Memory",
    "NoRedaction",
    "SystemClock",
    "Unwatched",
    "Watch",
    "bounded",
    "choose_embeddings",
    "choose_llm",
    "database_from",
    "database_limits",
    "database_url",
    "embeddings_from",
    "key_service_from",
    "ledger_from",
    "llm_from",
    "mover_from",
    "new_job_id",
    "new_pattern_key",
    "pooled",
    "project_service_from",
    "projects_in",
    "rate_limiter_from",
    "redactor_from",
    "replica_from",
    "shared_rate_limiter_from",
    "storage_from",
]
