"""What is said where the package behind an adapter is not installed."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def extra_installed(framework: str, extra: str) -> Iterator[None]:
    """Turn an import that fails inside into an ImportError that says what to install."""
    try:
        yield
    except ImportError as error:
        raise ImportError(
            f"{framework} is not installed, or not in a version that this works with ({error}): "
            f'pip install "engramia[{extra}]"'
        ) from error
