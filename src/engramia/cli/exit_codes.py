"""What the process's exit code says, and which error leads to which."""

from dataclasses import dataclass
from enum import IntEnum

from engramia.errors import (
    AuthorizationError,
    ConflictError,
    EmbeddingModelMismatchError,
    EngramiaError,
    NotFoundError,
    ProviderBusyError,
    ProviderError,
    ProviderLimitedError,
    ProviderNotConfiguredError,
    ProviderOutputError,
    ProviderRefusedError,
    ProviderTimeoutError,
    QuotaExceededError,
    StorageCorruptError,
    StorageError,
    StorageFullError,
    StorageUnavailableError,
    ValidationError,
)


class ExitCode(IntEnum):
    """How a command ended."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    NOT_FOUND = 3
    STORAGE = 4
    PROVIDER = 5
    PARTLY = 6
    NOT_ALLOWED = 7
    BROKEN_CHAIN = 8
    INTERRUPTED = 130
    BROKEN_PIPE = 141


MEANINGS = {
    ExitCode.OK: "done (a recall that finds nothing is done, too)",
    ExitCode.UNEXPECTED: "unexpected failure: a bug, or a part that is not installed",
    ExitCode.USAGE: "wrong usage, or input outside the limits",
    ExitCode.NOT_FOUND: "the pattern or job named does not exist, or recall --code found none",
    ExitCode.STORAGE: "storage error",
    ExitCode.PROVIDER: "embedding model, language model or vendor error",
    ExitCode.PARTLY: "done in part: some records or lines were skipped, or a reindex stopped early",
    ExitCode.NOT_ALLOWED: "refused: permission, quota, or a state that does not allow it",
    ExitCode.BROKEN_CHAIN: "the audit trail is not as it was written",
    ExitCode.INTERRUPTED: "interrupted; what was done is kept",
    ExitCode.BROKEN_PIPE: "the reader of the output went away",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one kind of error means to the caller: the code in `--json`, the exit code, a way out."""

    error: str
    exit_code: ExitCode
    hint: str | None = None


_VERDICTS: dict[type[BaseException], Verdict] = {
    ValidationError: Verdict("validation_error", ExitCode.USAGE),
    NotFoundError: Verdict(
        "not_found",
        ExitCode.NOT_FOUND,
        "`engramia list`, `jobs list`, `projects list` and `keys list` show what there is.",
    ),
    AuthorizationError: Verdict("forbidden", ExitCode.NOT_ALLOWED),
    ConflictError: Verdict("conflict", ExitCode.NOT_ALLOWED),
    QuotaExceededError: Verdict("quota_exceeded", ExitCode.NOT_ALLOWED),
    StorageFullError: Verdict(
        "storage_full", ExitCode.STORAGE, "Free some space, then run the command again."
    ),
    StorageCorruptError: Verdict(
        "storage_corrupt",
        ExitCode.STORAGE,
        "Keep a copy of the folder; `engramia doctor` names what is damaged.",
    ),
    StorageUnavailableError: Verdict(
        "unavailable", ExitCode.STORAGE, "Try again in a moment; `engramia doctor` checks the storage."
    ),
    EmbeddingModelMismatchError: Verdict("embedding_model_mismatch", ExitCode.STORAGE),
    StorageError: Verdict("storage_error", ExitCode.STORAGE, "`engramia doctor` checks the storage."),
    ProviderNotConfiguredError: Verdict(
        "provider_not_configured",
        ExitCode.PROVIDER,
        "`engramia doctor` shows which models are chosen, and why.",
    ),
    ProviderRefusedError: Verdict(
        "provider_refused", ExitCode.PROVIDER, "Check the key and the model's name."
    ),
    ProviderLimitedError: Verdict(
        "rate_limited", ExitCode.PROVIDER, "Wait a little and run the command again."
    ),
    ProviderTimeoutError: Verdict(
        "upstream_timeout",
        ExitCode.PROVIDER,
        "Try again; ENGRAMIA_EMBEDDING_TIMEOUT and ENGRAMIA_LLM_TIMEOUT set the deadlines.",
    ),
    ProviderBusyError: Verdict(
        "provider_busy", ExitCode.PROVIDER, "Wait a little and run the command again."
    ),
    ProviderOutputError: Verdict(
        "bad_provider_output",
        ExitCode.PROVIDER,
        "Try again; another model may keep to the form that is asked for.",
    ),
    ProviderError: Verdict("provider_unavailable", ExitCode.PROVIDER, "`engramia doctor` checks the model."),
    EngramiaError: Verdict("error", ExitCode.UNEXPECTED),
    KeyboardInterrupt: Verdict("interrupted", ExitCode.INTERRUPTED),
}
_BUG = Verdict(
    "internal_error",
    ExitCode.UNEXPECTED,
    "This is a bug. `engramia --traceback …` shows where; please report it.",
)


def verdict(error: BaseException) -> Verdict:
    """Return what `error` means, by its nearest known class."""
    return next((_VERDICTS[kind] for kind in type(error).__mro__ if kind in _VERDICTS), _BUG)
