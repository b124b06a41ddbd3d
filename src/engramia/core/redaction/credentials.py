"""Credentials that are told by where they stand: in URLs, headers, command lines, key files."""

import base64
import binascii
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from engramia.core.redaction.candidate import Candidate, Span
from engramia.core.redaction.pattern import PatternDetector, compiled
from engramia.core.redaction.placeholder import is_documented, is_filler, is_placeholder
from engramia.core.redaction.randomness import is_random, sequence_share

_GLUE = r"(?:\\+[nrt]|[\s\"'+,\\>|#*.;&]|<br ?/?>)"
_BODY = rf"(?:{_GLUE}{{0,40}}[A-Za-z0-9+/]{{8,}}={{0,2}})"
_ARMOUR_HEADER = rf"(?:{_GLUE}{{0,40}}(?:Proc-Type|DEK-Info|Version|Comment|Hash|Charset): ?[^\n\\]{{0,120}})"
_TAIL = rf"(?:{_GLUE}{{0,40}}[A-Za-z0-9+/=]{{1,10}})?(?:{_GLUE}{{0,40}}-----END[A-Z0-9 ]{{0,40}}-----)?"
_MIN_KEY_BODY = 24
_SHORTEST_BODY = 10  # a key cut off in its first line
_SHORTEST = 4


def _is_key_body(candidate: Candidate) -> bool:
    body = candidate.value.partition("KEY")[2]
    runs = re.findall(r"[A-Za-z0-9+/]{8,}", body)
    joined = "".join(runs)
    mixed = any(c.isdigit() for c in joined) or len(max(runs, key=len)) >= _MIN_KEY_BODY
    return mixed and not is_filler(max(runs, key=len)[:64]) and len(joined) >= _SHORTEST_BODY


def _is_jwt(candidate: Candidate) -> bool:
    value = candidate.value
    if not candidate.stands_alone() or is_documented(value):
        return False
    try:
        header = json.loads(base64.urlsafe_b64decode(value.split(".")[0] + "==="))
    except (binascii.Error, ValueError):
        return False
    return isinstance(header, dict) and ("alg" in header or "typ" in header)


def _is_url_password(candidate: Candidate) -> bool:
    value = candidate.value
    user = re.search(r"://([^\s/:@]*):$", candidate.before(160))
    if user and user[1] == value:
        return False  # the account's name again, as in every image's default: nobody keeps a secret so
    if value.lower() in {"pass", "pw", "pwd", "secret", "p", "x", "x-oauth-basic", "x-token-auth"}:
        return False
    if len(value) < _SHORTEST:
        return False
    return not is_placeholder(value) and not re.fullmatch(r":?[A-Z_]*PASS[A-Z_]*|\{[^}]*\}|\d{1,5}/.*", value)


def _is_url_token(candidate: Candidate) -> bool:
    return not is_placeholder(candidate.value) and is_random(candidate.value)


def _is_basic(candidate: Candidate) -> bool:
    value = candidate.value
    if is_filler(value):
        return False
    try:
        pair = base64.b64decode(value + "=" * (-len(value) % 4), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return False
    return ":" in pair and pair.isprintable() and not is_placeholder(pair.partition(":")[2])


def _is_bearer(candidate: Candidate) -> bool:
    value = candidate.value.rstrip(".")
    return not is_placeholder(value) and is_random(value)


def _is_option(candidate: Candidate) -> bool:
    value = candidate.value
    return len(value) >= _SHORTEST and not is_placeholder(value) and not value.startswith(("-", "$", "/"))


def _is_mixed_option(candidate: Candidate) -> bool:
    """Confirm an attached option's value (`-pS3cret`), which may as well be another option's letters."""
    value = candidate.value
    return _is_option(candidate) and any(c.isdigit() for c in value) and any(c.isalpha() for c in value)


def _is_strong(candidate: Candidate) -> bool:
    """Confirm what stands between `user:` and `@host` without a scheme, unless it is a version or a tag."""
    value = candidate.value
    mixed = (
        any(c.isupper() for c in value)
        and any(c.islower() for c in value)
        and any(c.isdigit() for c in value)
    )
    marked = any(c in "!#$%^&*+?" for c in value) and any(c.isalnum() for c in value)
    return (
        (mixed or marked)
        and not is_placeholder(value)
        and value[0] != "_"
        and not candidate.after(4).startswith("@sha")
    )


_ISSUED = re.compile(
    r"(?:^|[_-])(?:sk|key|pat|tok|token|secret|api|apikey|live|prod|auth|access)[_-]", re.IGNORECASE
)
_NOT_ISSUED = re.compile(
    r"^(?:sha\d*|chatcmpl|cs|id|hash|etag|trace|span|chunk|build|md5|blake\w*|pk|pub\w*)[_-]", re.IGNORECASE
)


def _is_issued(candidate: Candidate) -> bool:
    """Confirm a prefix and a long body in the manner of vendors (`acme_live_…`) that are not in the table."""
    value = candidate.value
    body = re.split(r"[_-]", value)[-1]
    if (
        not candidate.stands_alone()
        or candidate.before(1) in {"_", "-", "/", "."}
        or _NOT_ISSUED.search(value)
    ):
        return False
    if is_filler(value) or not is_random(body):
        return False
    mixed = (
        any(c.isupper() for c in body) and any(c.islower() for c in body) and any(c.isdigit() for c in body)
    )
    return mixed or bool(_ISSUED.search(value))


def _is_sql_password(candidate: Candidate) -> bool:
    value = candidate.value
    return len(value) >= _SHORTEST and not is_placeholder(value) and sequence_share(value) < 1


_SHELL_VALUE = r"\"?'?([^\s\"'|;<>\x00]+)"
_USER_PAIR = r"[\"']?[A-Za-z0-9._%@+\-\\]{1,64}:"

CREDENTIALS = (
    PatternDetector(
        "private_key",
        ("PRIVATE KEY",),
        rf"-----BEGIN[A-Z0-9 ]{{0,40}}PRIVATE KEY(?: BLOCK)?-----{_ARMOUR_HEADER}{{0,6}}{_BODY}+{_TAIL}",
        _is_key_body,
    ),
    PatternDetector(
        "private_key",
        ("PuTTY-User-Key-File",),
        r"Private-Lines: ?[0-9]+((?:\r?\n[A-Za-z0-9+/=]+)+)",
        lambda _: True,
    ),
    PatternDetector(
        "jwt", ("eyJ",), r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){1,3}", _is_jwt
    ),
    PatternDetector(
        "url_password",
        ("://",),
        r"://[^\s/?#:@\"'`<>\x00]{0,128}:([^\s/\"'`<>\x00]{1,256})@[A-Za-z0-9\[$%{(_]",
        _is_url_password,
    ),
    PatternDetector(
        "url_password",
        ("://",),
        r"://[^\s/?#:@\"'`<>\x00]{0,128}:([^\s\"'`<>\x00@]{1,128})@[A-Za-z0-9.\-]{1,200}[:/]",
        _is_url_password,
    ),
    PatternDetector(
        "token",
        (r"[a-z0-9][_-][a-z0-9]{32}",),
        r"[A-Za-z][A-Za-z0-9]{0,15}(?:[_-][A-Za-z0-9]{1,12}){0,3}[_-][A-Za-z0-9]{32,}",
        _is_issued,
    ),
    PatternDetector(
        "url_token", ("://",), r"://([A-Za-z0-9_\-]{20,200})(?::x-oauth-basic|:)?@[A-Za-z0-9]", _is_url_token
    ),
    PatternDetector(
        "basic_auth",
        ("auth",),
        r"(?i:auth)[\"']?\s{0,2}[:=]\s{0,2}[\"']?([A-Za-z0-9+/_-]{8,}={0,2})",
        _is_basic,
    ),
    PatternDetector(
        "session",
        ("sess",),
        r"(?i:phpsessid|jsessionid|sessionid|laravel_session|_session_id)=([\w%.\-]{16,})",
        _is_bearer,
    ),
    PatternDetector(
        "password",
        ("-stdin", "passwd", "sudo -S"),
        r"(?:echo|printf)[ ]+(?:-n[ ]+)?[\"']?([^\s\"'|$\x00]+)[\"']?[ ]*\|"
        r"[^\n\x00]{0,60}(?:-stdin|passwd|sudo -S)",
        _is_option,
    ),
    PatternDetector(
        "password",
        ("[a-z0-9!?#%*+]@[a-z0-9]",),
        r"(?:^|[\s\"'=(])[A-Za-z][\w.\-]{1,40}:([^\s\"'@/:\x00]{6,128})@[A-Za-z0-9]",
        _is_strong,
    ),
    PatternDetector("basic_auth", ("basic",), r"(?i:basic)[ ]+([A-Za-z0-9+/_-]{8,}={0,2})", _is_basic),
    PatternDetector(
        "bearer_token",
        ("bearer",),
        r"(?i:bearer)(?:[ ]+|%20|\", ?\"|: ?)[\"']?([A-Za-z0-9._~+/=:\-]{12,})",
        _is_bearer,
    ),
    PatternDetector(
        "authorization",
        ("authorization",),
        r"(?i:authorization)[\"']?\]?\s{0,2}[:=,]\s{0,2}[\"'`]?(?:(?i:token|apikey|api-key|key|ssws|splunk|genie"
        r"key|digest|negotiate|ntlm|hmac|aws4)[ =]+)?(?:token=)?[\"']?([A-Za-z0-9._~+/=:\-]{12,})",
        _is_bearer,
    ),
    PatternDetector(
        "password",
        ("curl", "wget", "http"),
        rf"(?:-u|--user|--auth|--proxy-user|-U|-a)[ =]{{1,3}}{_USER_PAIR}([^\s\"'\x00]+)",
        _is_option,
    ),
    PatternDetector(
        "password",
        ("mysql", "mariadb"),
        r"(?:mysql|mariadb)[\w\-]*[^\n\x00]{0,120}?[ ]-p\"?'?([^\s\"'\-|;<>\x00][^\s\"'|;<>\x00]*)",
        _is_mixed_option,
    ),
    PatternDetector(
        "password",
        ("sqlcmd", "bcp", "zip"),
        rf"(?:sqlcmd|bcp|zip)[^\n\x00]{{0,80}}?[ ]-P[ ]?{_SHELL_VALUE}",
        _is_option,
    ),
    PatternDetector(
        "password",
        ("securestring",),
        rf"(?i:SecureString)[ ]+(?:-String[ ]+)?{_SHELL_VALUE}",
        _is_mixed_option,
    ),
    PatternDetector("password", ("sshpass",), rf"sshpass[ ]+-p[ ]*{_SHELL_VALUE}", _is_option),
    PatternDetector(
        "password", ("redis-cli",), rf"redis-cli[^\n\x00]{{0,80}}?[ ]-a[ ]+{_SHELL_VALUE}", _is_option
    ),
    PatternDetector(
        "password",
        ("login",),
        rf"(?:docker|podman|helm|az|oc|npm|skopeo|buildah|crane)[^\n\x00]{{0,20}}[ ]login"
        rf"[^\n\x00]{{0,120}}?[ ]-p[ ]+{_SHELL_VALUE}",
        _is_option,
    ),
    PatternDetector(
        "password",
        ("requirepass", "masterauth"),
        rf"(?:requirepass|masterauth)[ ]+{_SHELL_VALUE}",
        _is_option,
    ),
    PatternDetector(
        "password", ("ldap",), rf"ldap[a-z]+[^\n\x00]{{0,160}}?[ ]-w[ ]+{_SHELL_VALUE}", _is_option
    ),
    PatternDetector(
        "password",
        ("smbclient", "rpcclient", "mount", "smb"),
        r"-U[ ]+[\w\\.]{1,40}%([^\s\"'\x00]+)",
        _is_option,
    ),
    PatternDetector(
        "password",
        ("chpasswd",),
        rf"(?:echo|printf)[ ]+{_USER_PAIR}([^\s\"'\\]+)[^\n\x00]{{0,20}}chpasswd",
        _is_option,
    ),
    PatternDetector(
        "password", ("net user",), r"(?i:net user)[ ]+[\w.]{1,40}[ ]+([^\s/\"'\x00]+)", _is_mixed_option
    ),
    PatternDetector(
        "password", ("sqlplus",), r"sqlplus[^\n\x00]{0,40}?[ ][\w.]{1,40}/([^\s@\"'\x00]+)@", _is_option
    ),
    PatternDetector(
        "password", ("pass:",), r"(?:-passin|-passout|-pass|-k)[ ]+[\"']?pass:([^\s\"'\x00]+)", _is_option
    ),
    PatternDetector(
        "password",
        ("login", "machine"),
        r"(?i:login)\s+[^\s\x00]{1,80}\s+(?i:password)\s+([^\s\"'\x00]+)",
        _is_option,
    ),
    PatternDetector(
        "password",
        ("identified", "password"),
        r"(?i:identified (?:with [\w']{1,40} )?(?:by|as)|password)[ ]+'([^'\n\x00]{1,200})'",
        _is_sql_password,
    ),
    PatternDetector(
        "password",
        (r":[0-9]{4,5}:",),
        r"(?m:^)[\w.*\-]{1,80}:[0-9]{4,5}:[\w*\-]{1,60}:[\w*\-]{1,60}:([^\s:\x00]+)(?m:$)",
        _is_option,
    ),
)


@dataclass(frozen=True, slots=True)
class CookieDetector:
    """Finds values that look generated in `Cookie` and `Set-Cookie` headers."""

    triggers: tuple[str, ...] = ("cookie",)
    _header: Any = field(
        default=compiled(r"(?i:cookies?)[\"']?\]?\s{0,2}[:=,]\s{0,2}[\"'`{]{0,2}([^\n\x00]{0,600})"),
        repr=False,
    )
    _pair: Any = field(
        default=compiled(r"[\w.\-]{2,60}[\"']?[=:] ?[\"']?([A-Za-z0-9%._~+/\-]{16,})"), repr=False
    )

    def find(self, data: bytes) -> Iterator[Span]:
        """Yield the cookies' values."""
        for header in self._header.finditer(data):
            start, end = header.span(1)
            for pair in self._pair.finditer(data, start, end):
                value = Candidate(data, *pair.span(1)).value
                if is_random(value) and not is_filler(value):
                    yield Span("cookie", *pair.span(1))
