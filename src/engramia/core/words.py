"""How text is cut into words: one cut for the word index, for overlap and for telling texts apart."""

import re
import unicodedata
from functools import lru_cache

_WORD = re.compile(r"[^\W_]+", re.UNICODE)

# For ASCII, NFKC changes nothing and a word is a run of letters and digits: a byte table and `split` give
# what the expression gives, ten times as fast. Every pattern passes here whenever a store is opened.
_ASCII_FOLD = bytes(ord(chr(code).lower()) if chr(code).isalnum() else 32 for code in range(128)).ljust(256)


def normalise(text: str) -> str:
    """Return `text` in NFKC, case-folded, with punctuation gone and single spaces: equal for equal tasks."""
    return " ".join(words(text))


def words(text: str) -> list[str]:
    """Return the words of `text` in order, folded (NFKC, case), without punctuation."""
    if text.isascii():
        return text.encode().translate(_ASCII_FOLD).decode().split()
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


@lru_cache(maxsize=16)  # a task that is looked for and then learned is cut once
def distinct_words(text: str) -> frozenset[str]:
    """Return the words of `text` without order."""
    return frozenset(words(text))


def jaccard(left: frozenset[str], right: frozenset[str]) -> float:
    """Return the share of all their words that both sets have, 0 to 1; two empty sets are equal (1)."""
    if not left and not right:
        return 1.0
    shared = len(left & right)
    return shared / (len(left) + len(right) - shared)
