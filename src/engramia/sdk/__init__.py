"""Doors for programs: the HTTP client in `engramia.sdk.webhook`; nothing is loaded before it is imported."""
