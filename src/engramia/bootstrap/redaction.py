"""Which redactor the settings choose."""

from collections.abc import Sequence

from engramia.core.ports import Redactor
from engramia.core.redaction import Redactor as SecretRedactor
from engramia.settings import Settings


class NoRedaction:
    """Leaves text as it is; for development only."""

    def redact(self, text: str) -> str:
        return text

    def suspects(self, texts: Sequence[str]) -> bool:  # noqa: ARG002 - the protocol's form
        return False


def redactor_from(settings: Settings) -> Redactor:
    """Return the redactor, or one that does nothing if redaction is switched off."""
    return SecretRedactor() if settings.redaction else NoRedaction()
