"""Texts to the token ids of all-MiniLM-L6-v2, cut at 256 with the two special ones."""

import re
from typing import Any

from engramia.providers.local.architecture import MAX_TOKENS
from engramia.providers.local.extra import extra_installed

_WINDOW = 4096
# BertPreTokenizer's words of more than 100 characters are one unknown token: a word that crosses the window's
# end and begins more than this before it is unknown with and without the rest.
_MARGIN = 200
_SURROGATE = re.compile("[\ud800-\udfff]")


class Tokenizer:
    """The model's own tokenizer; safe to call from several threads."""

    def __init__(self, definition: bytes) -> None:
        """Read a tokenizer.json; raises `ProviderNotConfiguredError` if the tokenizers package is missing."""
        with extra_installed():
            import tokenizers
        self._tokenizer: Any = tokenizers.Tokenizer.from_str(definition.decode())
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)

    def ids(self, text: str) -> list[int]:
        """Return 2 to 256 ids; any string has some, also an empty one or one with NUL or lone surrogates."""
        if _SURROGATE.search(text):
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return self._encode(text)

    def _encode(self, text: str) -> list[int]:
        # Only the first 256 tokens count: tokenising a megabyte for them would take a second.
        window = _WINDOW
        encoding = self._tokenizer.encode(text[:window])
        while window < len(text) and not _fills(encoding, window):
            window *= 4
            encoding = self._tokenizer.encode(text[:window])
        ids: list[int] = encoding.ids
        return ids


def _fills(encoding: Any, window: int) -> bool:
    """Say whether nothing beyond the window's end could change the ids."""
    last_word_end: int = encoding.offsets[-2][1]
    return len(encoding.ids) == MAX_TOKENS and last_word_end < window - _MARGIN
