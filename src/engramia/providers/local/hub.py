"""Where the model can be downloaded from, and how long one may wait for it."""

from collections.abc import Callable
from dataclasses import dataclass

Progress = Callable[[str, int, int], None]
"""Called with the file's name, the bytes so far and the bytes in all (0 if the server does not say)."""


@dataclass(frozen=True, slots=True)
class Hub:
    """The model's folder on the hub, and seconds to wait.

    `connect_seconds` bounds the way to the first byte, names and redirects included; `seconds` bounds each
    file as a whole.
    """

    url: str = "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2/resolve/main"
    connect_seconds: float = 10.0
    seconds: float = 900.0
