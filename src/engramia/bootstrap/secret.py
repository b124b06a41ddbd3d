"""Secrets of the settings, as adapters take them."""

from pydantic import SecretStr


def secret_of(key: SecretStr | None) -> str | None:
    """Return the text of a secret, None for none."""
    return None if key is None else key.get_secret_value()
