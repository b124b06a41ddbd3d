"""Redaction: secrets and personal data are replaced before a text is stored, embedded or logged."""

from engramia.core.redaction.redactor import Finding, Redactor

__all__ = ["Finding", "Redactor"]
