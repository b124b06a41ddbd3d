"""The optional packages behind the local model."""

from collections.abc import Iterator
from contextlib import contextmanager

from engramia.errors import ProviderNotConfiguredError


@contextmanager
def extra_installed() -> Iterator[None]:
    """Turn an import that fails inside into a `ProviderNotConfiguredError` that says what to install."""
    try:
        yield
    except ImportError as error:
        raise ProviderNotConfiguredError(
            f'The local embedding model needs more packages ({error}): pip install "engramia[local]"'
        ) from error
