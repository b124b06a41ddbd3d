"""Which redactor the settings choose."""

from engramia.core.ports import Redactor
from engramia.core.redaction import Redactor as SecretRedactor
from engramia.settings import Settings


class NoRedaction:
    """Leaves text as it is; for development only."""

    def redact(self, text: str) -> str:
        return text


def redactor_from(settings: Settings) -> Redactor:
    """Return the redactor, or one that does nothing if redaction is switched off."""
    return SecretRedactor() if settings.redaction else NoRedaction()
