"""Judges a value by the name it is given: what may be a password, a token, or just a key."""

import re
from enum import Enum

from engramia.core.redaction.placeholder import is_placeholder
from engramia.core.redaction.randomness import is_digest, is_random, sequence_share, wordy_share


class Strength(Enum):
    """How much a name promises a secret."""

    PASSWORD = "password"  # noqa: S105 - a kind's name, not a password
    SECRET = "secret"  # noqa: S105 - a kind's name, not a secret
    KEY = "key"


_CODE = re.compile(
    r"^[A-Za-z_$][\w$.:>\-]*[(\[]|^[A-Za-z_][\w]*(?:(?:\.|::|->)[A-Za-z_]\w*)+$|^(?:os|process|self|this|settings|config|env|"
    r"request|req|args|options|params|var|local|data|module|secrets|vars|github|context|ctx|props|state|user|account)[.\[]|"
    r"^(?:new|await|lambda|function|not|isset|typeof|async|await|return)$|^&?[a-z]+::|=>|^/[\w./\-]+$|^[~.]{1,2}/|^[A-Za-z]:\\|"
    r"://|^arn:|^(?:vault|ssm|secretsmanager|op|sm|gcp-secret|env|file|ref)[:+]|^projects/|^\w+\.(?:json|ya?ml|txt|pem|key|env|py|js|ts)$"
)
_NAME = re.compile(r"^[A-Za-z_$][A-Za-z_$.\-]*$")
_UPPER_NAME = re.compile(r"^[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+$")
_TRAILING_NUMBER = re.compile(r"^[a-z]+(?:[_\-][a-z]+)*[_\-]?\d{1,2}$")
_ALGORITHM = re.compile(
    r"^(?:sha\d*|md5|base\d\d|utf-?\d*|bcrypt|argon2\w*|pbkdf2\w*|aes\w*|rsa\d*|hs\d{3}|rs\d{3}|es\d{3}|oauth\d?|uuid\d?|"
    r"int\d*|str\d*|u?int\d+|float\d+|ed25519|x509|latin1|ascii|hmac\w*)(?:[-_].*)?$",
    re.IGNORECASE,
)
SHORTEST = {Strength.PASSWORD: 5, Strength.SECRET: 8, Strength.KEY: 20}  # characters
_JUDGED = 256  # a longer value is as random as its beginning
_HALF = 0.5
_MIN_DIGITS = 6  # shorter numbers are counts
_PHRASE = re.compile(r"^[a-z]{3,12}(?:[-_. ][a-z]{3,12}){3,7}[-_.]?\d*!?$", re.IGNORECASE)
_VOCABULARY = re.compile(
    r"pass|pwd|secret|token|key|name|field|input|label|user|config|value|hash|reset|login|auth|admin|enter|your|the|and|not|"
    r"must|please|should|is_|new",
    re.IGNORECASE,
)


def is_code(value: str) -> bool:
    """Tell whether the value is an expression, a path or a reference to where a secret is kept."""
    return bool(_CODE.search(value))


def is_secret_value(value: str, strength: Strength, *, quoted: bool) -> bool:
    """Tell whether a value given to a name of this strength is a secret.

    `quoted` values are literals; others may be names of variables.
    """
    if len(value) < SHORTEST[strength]:
        return False
    value = value[:_JUDGED]
    if is_placeholder(value) or is_code(value) or "\n" in value:
        return False
    if strength is Strength.PASSWORD:
        return _is_password(value, quoted=quoted)
    return _is_token(value, strength)


def _is_token(value: str, strength: Strength) -> bool:
    if " " in value or _UPPER_NAME.match(value):
        return False
    if strength is Strength.KEY:
        return not is_digest(value) and is_random(value) and _is_base62(value)
    return is_random(value) or (is_digest(value) and sequence_share(value) < _HALF) or _is_mixed(value)


def _is_base62(value: str) -> bool:
    return (
        any(c.isdigit() for c in value)
        and any(c.isupper() for c in value)
        and any(c.islower() for c in value)
    )


def _is_mixed(value: str) -> bool:
    """Tell whether a short value mixes letters, digits and marks, as people's secrets do (`s3cr3t!key#9`)."""
    digits = sum(c.isdigit() for c in value)
    if not digits or "/" in value or ":" in value:
        return False
    marks = sum(c in "!@#$%^&*+~?" for c in value)
    inner = digits > 1 and re.search(r"[A-Za-z]\d+[A-Za-z]", value)
    return marks > 0 or bool(inner and wordy_share(value) < _HALF)


def _is_password(value: str, *, quoted: bool) -> bool:
    if _ALGORITHM.match(value) or _UPPER_NAME.match(value):
        return False
    if _PHRASE.match(value):
        return not _VOCABULARY.search(value)
    if " " in value or sequence_share(value) == 1:
        return False
    if _NAME.match(value):  # letters alone: a word or a variable, unless no word reads so
        return is_random(value)
    letters = any(c.isalpha() for c in value)
    if _TRAILING_NUMBER.match(value) and not quoted:
        return len(value) > SHORTEST[Strength.PASSWORD] and not _VOCABULARY.search(value)
    return letters or (value.isdigit() and len(value) >= _MIN_DIGITS)
