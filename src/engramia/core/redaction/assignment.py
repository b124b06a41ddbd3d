"""Finds secrets by the name they are given: `API_KEY=…`, `--token …`, `the password is …`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from engramia.core.redaction.candidate import Span
from engramia.core.redaction.pattern import compiled
from engramia.core.redaction.randomness import is_random
from engramia.core.redaction.value import SHORTEST, Strength, is_secret_value

# A name ends in one of these words; words in other languages stand as their UTF-8 bytes.
_ENTRY_WORDS = (
    "passphrase|password|passwort|passwd|passcode|pass|pwd|psk|pw|heslo|kennwort|"
    "contrase\xc3\xb1a|mot de passe|\xd0\xbf\xd0\xb0\xd1\x80\xd0\xbe\xd0\xbb\xd1\x8c|\xe5\xaf\x86\xe7\xa0\x81"
)
_GRANT_WORDS = (
    r"secret[_-]?access[_-]?key|secret[_-]?key[_-]?base|secret[_-]?key|secret[_-]?token|secret|token|"
    r"(?:api|access|auth|account|private|encryption|encrypt|signing|signature|master|license|service|"
    r"deploy|app|storage|shared[_-]?access|admin|root|write|read|client|consumer|webhook|crypto|cipher|aes|"
    r"hmac|jwt|session|cookie|integration|subscription)[_. -]?key|credentials?|authorization"
)
_KEY_WORDS = r"key|auth|sid|session|sessionid|session[_-]id|creds|salt"
_SUFFIX = (
    r"(?:[_-]?(?:prod|production|live|dev|development|staging|stage|old|new|prev|previous|current|value|val|primary|"
    r"secondary|main|default|b64|base64|plain|test|eu|us|[0-9]{1,3}))?"
)
_CLOSE = r"\\*[\"'`]?\]?\)?"
_TYPE = r"(?:[?!]?\s{0,2}:\s{0,2}[A-Za-z_&'][\w.\[\]<>|?&' ]{0,30}|\s(?:string|String|str|text|varchar))?"
_OPERATOR = (
    r"(?:\s{0,12}(?::=|=>|={1,3}|!={1,2}|\?=|\|\||\?\?|<-)\s{0,6}|\s{0,3}::?\s{0,6}(?:[|>][-+]?\s{1,12})?|:-|\s{0,2}>|"
    r"\s{1,3}value\s{0,2}=\s{0,2}|[\"']?,?\s{0,24}[\"']?value[\"']?\s{0,2}[:=]\s{0,3}|"
    r"</(?:key|name)>\s{0,12}<(?:string|value)>|"
    r"\s{0,3}\{[^{}\x00]{0,120}?default\s{0,4}=\s{0,3}|,\s{0,4})"
)
_NAMED = compiled(
    rf"(?i:({_ENTRY_WORDS})|({_GRANT_WORDS})|({_KEY_WORDS})){_SUFFIX}({_CLOSE}){_TYPE}(?i:({_OPERATOR}))"
)
_VALUE = compiled(
    r"(?:!!str |!!binary |[bBrRfFuUN@]{0,2}(?:new String\()?)?"
    r"(?:\"((?:[^\"\\\n\x00]|\\[^\n\x00])*)\"|'((?:[^'\\\n\x00]|\\[^\n\x00])*)'|`([^`\n\x00]*)`|"
    r"\\+[\"']([^\"'\\\n\x00]*)\\|&quot;([^&\x00\n]*)&quot;|([^\s\"'`\x00]+))"
)
_RUN = compiled(r"[^\s\"'`\x00]+")
_QUOTES = {b'"', b"'", b"`"}
_QUOTE = re.compile(rb"[\"'`&]")
_WINDOW = 2048  # bytes that may hold a value in quotes
_BARE_WINDOW = 300  # bytes of a value without quotes that are judged; it is taken whole
_NAME_WINDOW = 64
_NAME_BYTES = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
_LINE_START = re.compile(
    rb"(?:^|[\n\r]|\\n)[ \t]*(?:[-*+>#]\s+|//\s*)?(?:export |set |env |arg |setx |local |"
    rb"declare -x |- |\$env:|readonly )?[ \t]*[\"']?$",
    re.IGNORECASE,
)
_BARE_END = re.compile(r"[,;&)}\]<>|]|\\[nrt\"']")
_CODE_CALL = re.compile(r"^[A-Za-z_$][\w$.>:\-]*[\[(]|^[\[({]")
# Names that end in `key`, `token` or `auth` and hold something public.
_PUBLIC = re.compile(
    rb"(?:public|publishable|pub|primary|foreign|cache|sort|partition|hash|object|s3|row|column|next|page|pagination|"
    rb"continuation|cursor|sync|csrf|xsrf|cancellation|cancel|idempotency|idem|composite|unique|dict|map|group|"
    rb"host|known|dedup|routing|translation|i18n|message|query|storage_object|mon|tur|hot|don|block|eos|bos|pad|"
    rb"unk|sep|cls|mask|stop|start|end|special|vocab|max|min|num|first|last|lookup|index|design|site|nonce|"
    rb"short|key_?pair|ssh|gpg|registry|image|file|path|url|redis|kafka|bucket|ordering|"
    rb"sharding|shard|tree|leaf)[_.\- ]?$",
    re.IGNORECASE,
)
_SHORT_WORDS = {b"pass", b"pw"}
_ENDS_IN_LETTER = re.compile(rb"[A-Za-z]$")


_NAMES_END = (
    rf"(?:{_ENTRY_WORDS}|secret[_-]?key[_-]?base|secret|token|credentials?|authorization|{_KEY_WORDS})"
)
_VALUE_SIGN = r"[\"']?,?\s*[\"']?value[\"']?\s*[:=]"
_SIGN = rf"(?:{_CLOSE}\s*(?:[?!:=|<>{{]|{_VALUE_SIGN}|str|text|varchar)|\\*[\"'`]\]?\)?\s*,)"
_ASSIGNED = f"{_NAMES_END}{_SUFFIX}{_SIGN}"
"""What every assignment begins with: `_NAMED` without what is costly to look for in a text without any."""
_SPOKEN = rf"{_NAMES_END}{_SUFFIX}(?:[\"']?,?|[:\-])[ ]|{_NAMES_END}{_SUFFIX}[\"'],"
"""What stands wherever a value follows a name by a blank."""


@dataclass(frozen=True, slots=True)
class Name:
    """The end of a name that promises a secret, and where its value begins."""

    strength: Strength
    start: int
    end: int
    operator: bytes
    in_quotes: bool
    word: bytes = b""


@dataclass(frozen=True, slots=True)
class AssignmentDetector:
    """Finds values assigned to names such as `DB_PASSWORD`, `apiKey` or `client-secret` in any notation."""

    triggers: tuple[str, ...] = (_ASSIGNED,)
    _name: Any = field(default=_NAMED, repr=False)

    def find(self, data: bytes) -> Iterator[Span]:
        """Yield the values; each name looks at a bounded window behind it."""
        done = 0
        for match in self._name.finditer(data):
            name = _name(match)
            if name.start < done or _is_public(data, name) or not _may_assign(data, name):
                continue
            span = value_span(data, name)
            if span:
                done = span[1]
                yield Span(name.strength.value, *span)


def _name(match: Any) -> Name:
    strength = Strength.PASSWORD if match.group(1) else Strength.SECRET if match.group(2) else Strength.KEY
    close = match.group(4)
    quoted = close.strip(b"\\])")[:1] in _QUOTES
    return Name(strength, match.start(), match.end(), match.group(5), quoted, (match.group(1) or b"").lower())


def _prefix(data: bytes, name: Name) -> bytes:
    window = data[max(0, name.start - _NAME_WINDOW) : name.start]
    return window[len(window.rstrip(_NAME_BYTES)) :]


def _is_public(data: bytes, name: Name) -> bool:
    prefix = _prefix(data, name)
    if name.strength is Strength.PASSWORD:
        inside = name.word in _SHORT_WORDS and data[name.start : name.start + 1].islower()
        return inside and _ENDS_IN_LETTER.search(prefix) is not None  # `compass`, `bypass`
    return bool(_PUBLIC.search(prefix))


def _may_assign(data: bytes, name: Name) -> bool:
    """Tell whether the sign behind the name assigns: a comma does only behind a quoted name, `>` in a tag."""
    sign = name.operator.strip()
    if sign == b",":
        opening = name.start - len(_prefix(data, name)) - 1
        return name.in_quotes and data[max(0, opening) : name.start][:1] in _QUOTES
    if sign == b":" and data[name.start - 1 : name.start] == b":":
        return False  # one part of a resource name, `arn:aws:secretsmanager:…:secret:app`
    if sign == b">":
        return b"<" in data[max(0, name.start - 120) : name.start]
    return True


def _in_line_form(data: bytes, name: Name) -> bool:
    """Tell whether the name opens its line, as in `.env`, INI and YAML files."""
    prefix = _prefix(data, name)
    before = data[max(0, name.start - len(prefix) - 24) : name.start - len(prefix)]
    return not before or bool(_LINE_START.search(before))


def value_span(data: bytes, name: Name) -> tuple[int, int] | None:
    """Return where the secret stands that follows the name, if one does."""
    window = _WINDOW if _QUOTE.search(data[name.end : name.end + 16]) else _BARE_WINDOW
    match = _VALUE.match(data, name.end, min(len(data), name.end + window))
    if not match:
        return None
    for group in range(1, 6):
        if match.group(group) is not None:
            value = match.group(group).decode("latin-1")
            return match.span(group) if is_secret_value(value, name.strength, quoted=True) else None
    return _bare_span(data, name, match)


def _bare_span(data: bytes, name: Name, match: Any) -> tuple[int, int] | None:
    start, end = match.span(6)
    if end - start < SHORTEST[name.strength]:
        return None
    text = data[start:end].decode("latin-1")
    if _CODE_CALL.match(text):
        return None
    in_line = _in_line_form(data, name)
    whole = (
        in_line
        and name.strength is Strength.PASSWORD
        and data[match.end() : match.end() + 1] in {b"", b"\n", b"\r"}
    )
    cut = re.search(r"\\[nrt\"']|,$|;$", text) if whole else _BARE_END.search(text)
    value = text[: cut.start()] if cut else text
    followed_by_code = (
        data[start + len(value) : start + len(value) + 1] in {b")", b"]", b"}", b","} and not in_line
    )
    value = value.rstrip(".:") if not in_line else value
    if not _is_bare_secret(value, name, code=followed_by_code):
        return None
    if len(value) >= _BARE_WINDOW:
        return start, _RUN.match(data, start).end()
    return start, start + len(value)


def _is_bare_secret(value: str, name: Name, *, code: bool) -> bool:
    if code and re.fullmatch(r"[A-Za-z_]\w{0,15}", value) and name.strength is Strength.PASSWORD:
        return False  # `connect(password=pwd2)` hands on a variable
    return is_secret_value(value, name.strength, quoted=False)


_OPTION = compiled(
    rf"(?:^|[\s\"'\x60(,\[])(?:--[\w.\-]{{0,40}}?|[\-/](?:store|key|src|dest|admin)?)"
    rf"(?i:({_ENTRY_WORDS})|({_GRANT_WORDS})|({_KEY_WORDS})){_SUFFIX}([\"']?)(,?[ ]+|[\"'],[ ]*)"
)
_DIRECTIVE = compiled(
    rf"(?m:^)[ \t]*(?:ENV|ARG|set|setx|setenv|AuthToken|config set|auth)[ ]+"
    rf"[\w.\-]{{0,60}}?(?i:({_ENTRY_WORDS})|({_GRANT_WORDS})|({_KEY_WORDS})){_SUFFIX}()([ ]+)"
)


_OPTION_SHAPE = compiled(
    r"[\-/][a-z.\-]{0,40}(?:pass|pwd|secret|token|key|auth|credential)|"
    r"(?:env|arg|set|setx|setenv) [a-z0-9_.\-]{0,60}(?:pass|pwd|secret|token|key|auth)",
    ignore_case=True,
)


@dataclass(frozen=True, slots=True)
class OptionDetector:
    """Finds values after a blank: command-line options (`--token …`) and directives (`ENV API_KEY …`)."""

    triggers: tuple[str, ...] = (_SPOKEN,)
    _names: tuple[Any, ...] = field(default=(_OPTION, _DIRECTIVE), repr=False)

    def find(self, data: bytes) -> Iterator[Span]:
        """Yield the values."""
        if not _OPTION_SHAPE.search(data):
            return
        for pattern in self._names:
            done = 0
            for match in pattern.finditer(data):
                name = _name(match)
                if name.start < done or _is_public(data, name):
                    continue
                span = value_span(data, name)
                if span:
                    done = span[1]
                    yield Span(name.strength.value, *span)


_WORDS = r"(?:[ ][A-Za-z0-9_@.\-/']{1,40}){0,5}?(?:[ ]\([^()\n\x00]{1,40}\))?"
_SAYS = (
    r"(?:[ ](?:is|was|are|will be|has been|ist|lautet|je|es|est|set to|changed to|reset to)"
    r"(?:[ ](?:now|currently|still|set to|changed to|reset to))?:?[ ])"
)
_FOR_WHOM = r"(?:[ ](?:for|of|to|on|in|at|from)[ ][^\s\x00]{1,40}(?:[ ][^\s\x00]{1,30}){0,3}?)?"
_SHOWS = r"(?::[ ]{1,2}|[ ]=[ ]|[ ]?-[ ]|[ ](?:to|as)[ ])"
_UNBROKEN = r"[^\s\"'\x60\x00]"
_SENTENCE = compiled(
    rf"(?i:({_ENTRY_WORDS})|({_GRANT_WORDS})|(key)){_SUFFIX}()"
    rf"(?i:((?:{_WORDS}{_SAYS}|{_FOR_WHOM}{_SHOWS})[\"'\x60*(]{{0,3}}))([^\s\"'\x60\x00]+)"
)
_BESIDE = compiled(
    rf"(?i:({_ENTRY_WORDS})|({_GRANT_WORDS})|(key)){_SUFFIX}()([ ][\"'\x60(<]{{0,2}})([^\s\"'\x60\x00]+)"
)
_SENTENCE_END = ".,;:?)>*"
_MIN_BESIDE = 16
_SENTENCE_SHAPE = compiled(
    r"(?:pass|pwd|pw|phrase|word|wd|code|wort|heslo|secret|token|key|\xb1a|asse)[a-z0-9_]{0,8}:? |"
    "\xd0\xbb\xd1\x8c|\xa0\x81",
    ignore_case=True,
)
# A value that is told has letters and digits, or is long.
_TELLING = compiled(rf"[A-Za-z]{_UNBROKEN}*[0-9]|[0-9]{_UNBROKEN}*[A-Za-z]|{_UNBROKEN}{{{_MIN_BESIDE}}}")


@dataclass(frozen=True, slots=True)
class SentenceDetector:
    """Finds secrets that people tell each other: `the password for staging is …`."""

    triggers: tuple[str, ...] = (_SPOKEN,)
    _sentences: tuple[Any, ...] = field(default=(_SENTENCE, _BESIDE), repr=False)

    def find(self, data: bytes) -> Iterator[Span]:
        """Yield the values."""
        if not (_SENTENCE_SHAPE.search(data) and _TELLING.search(data)):
            return
        for pattern in self._sentences:
            for match in pattern.finditer(data):
                name = _name(match)
                start, end = match.span(6)
                value = data[start:end].decode("latin-1").rstrip(_SENTENCE_END)
                tells = _is_beside if pattern is _BESIDE else _is_told
                if not _is_verb(name) and tells(value, name) and not _is_public(data, name):
                    yield Span(name.strength.value, start, start + len(value))


def _is_verb(name: Name) -> bool:
    return name.word == b"pass" and name.operator.strip() in {b"to", b"as"}


def _is_beside(value: str, name: Name) -> bool:
    """Tell whether a value that merely follows a name (`token …`, `password "…"`) is a secret."""
    if name.strength is Strength.PASSWORD:
        return name.operator != b" " and any(c.isupper() for c in value) and _is_told(value, name)
    return len(value) >= _MIN_BESIDE and is_random(value[:_BARE_WINDOW]) and _is_told(value, name)


def _is_told(value: str, name: Name) -> bool:
    if name.strength is not Strength.PASSWORD:
        return is_secret_value(value, name.strength, quoted=False)
    digits = any(c.isdigit() for c in value)
    letters = any(c.isalpha() for c in value)
    shaped = (
        digits
        and letters
        and not re.fullmatch(r"\d+[a-z]{1,3}|[a-z]+\d*(?:-[a-z0-9]+)+|v?\d[\d.]*\w?", value)
    )
    return (
        bool(shaped)
        and not re.search(r"[(){}\[\]=<>/]", value)
        and is_secret_value(value, name.strength, quoted=False)
    )
