"""What a parsed task consists of."""

from enum import StrEnum


class Kind(StrEnum):
    """What a token is, as far as telling tasks apart goes."""

    WORD = "word"
    FUNCTION = "function"
    CONNECTOR = "connector"
    NUMBER = "number"
    LITERAL = "literal"
    CODE = "identifier"
    BREAK = "break"


type Token = tuple[str, Kind]
"""A text and its kind: words are canonical, literals and code as they stand."""
