"""Personal data: e-mail addresses, phone numbers, payment cards and IBANs, each by its own validator."""

import re

from engramia.core.redaction.candidate import Candidate
from engramia.core.redaction.checksum import passes_luhn
from engramia.core.redaction.pattern import PatternDetector


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Endings after an `@` that are domains; a file's or a method's name ends otherwise.
_GENERIC_DOMAINS = _words(
    "com org net edu gov mil int info biz name pro aero coop museum arpa asia cat jobs mobi tel travel post "
    "app dev cloud online site store tech xyz email company agency solutions systems digital media news blog "
    "shop live life world today zone academy group team club work works studio design network software "
    "services ltd gmbh inc llc bank finance health care global international foundation support center "
    "consulting engineering energy education university school swiss berlin wien london paris nyc eu"
)
# Two-letter endings that name files or attributes in code more often than countries.
_CODE_ENDINGS = _words("py js ts sh rs md cs pl rb kt mm hs ml vb tf")
_COUNTRY = 2  # letters of a country's domain
_RESERVED_DOMAIN = re.compile(
    r"(?:^|\.)(?:example\.(?:com|org|net|edu|[a-z]{2}|co\.uk)|(?:your|my)[-_]?(?:domain|company|org|site|server|email|app)"
    r"\.\w+|"
    r"domain\.(?:com|tld|org)|test\.com|foo\.(?:com|bar)|bar\.com|baz\.com|[a-z]\.(?:com|org|net|co|io)|"
    r"email\.com|company\.com|acme\.test|host\.com|server\.com|example|test|invalid|localhost|local)$"
)
_NOBODY = re.compile(
    r"^(?:git|hg|svn|no-?reply|do-?not-?reply|donotreply|mailer-daemon|you|"
    r"your[._-]?(?:name|email|mail|address|username)?|"
    r"username|someone|somebody|\d+\+[\w.-]+\[bot\])$"
)
_PATH_AFTER_HOST = re.compile(r"^:(?:[~/\w.$]|\\)")
_REMOTE_SHELL = re.compile(r"(?:\b(?:ssh|scp|sftp|rsync|mosh|ssh-copy-id)\b[^\n|;]{0,60}|://[^\s/]{0,80})$")


def _is_email(candidate: Candidate) -> bool:
    local, _, domain = candidate.value.lower().rpartition("@")
    ending = domain.rpartition(".")[2]
    if ending not in _GENERIC_DOMAINS and (len(ending) != _COUNTRY or ending in _CODE_ENDINGS):
        return False
    if not any(c.isalpha() for c in domain.rpartition(".")[0]):
        return False
    if _RESERVED_DOMAIN.search(domain) or _NOBODY.match(local) or "noreply" in domain:
        return False
    after = candidate.after(2)
    if after[:1] in {"(", "["} or _PATH_AFTER_HOST.match(after):
        return False
    return not _REMOTE_SHELL.search(candidate.before(90))


_PHONE_WORD = re.compile(
    r"(?:phone|tel(?:efon|ephone|\.|:|\b)|mobil|\bcell\b|\bcall|fax|whatsapp|\bsms|"
    r"\btext (?:me|us|him|her)|handy|contact|\breach|\bdial|\bring\b|number is|msisdn|hotline)[^\n]{0,24}$",
    re.IGNORECASE,
)
_NOT_BEFORE_NUMBER = re.compile(r"[\w.$#=/\-]$")
_FULL_NUMBER = 10  # digits with country and area
_NATIONAL_NUMBER = 9  # digits with the area
_SHORTEST_NUMBER = 6  # digits with the country: no country has shorter numbers
_FICTIONAL = re.compile(
    r"\(?(?:[2-9]\d\d[) .\-]{1,2}555|555[) .\-]{1,2}\d{3})[ .\-]\d{4}"
)  # and yet meant as a number
_GROUPED = re.compile(r"\d[ ().\-]{1,2}\(?\d")
_NATIONAL_REGIONS = (
    "US",
    "GB",
    "DE",
    "FR",
    "IT",
    "ES",
    "NL",
    "AT",
    "CH",
    "CZ",
    "SK",
    "PL",
    "AU",
    "IN",
    "JP",
    "BR",
)


def _is_international_phone(candidate: Candidate) -> bool:
    digits = sum(c.isdigit() for c in candidate.value)
    if digits < _SHORTEST_NUMBER:
        return False
    if candidate.before(1).isalnum() or re.match(r"[\w.]\d|\w", candidate.after(2)):
        return False
    import phonenumbers  # loaded only when a number is met: its metadata costs a tenth of a second

    try:
        number = phonenumbers.parse(candidate.value, None)
    except phonenumbers.NumberParseException:
        return False
    if phonenumbers.is_valid_number(number):
        return True
    telling = _GROUPED.search(candidate.value) or _PHONE_WORD.search(candidate.before(40))
    return digits >= _FULL_NUMBER and bool(telling) and phonenumbers.is_possible_number(number)


def _is_national_phone(candidate: Candidate) -> bool:
    if _NOT_BEFORE_NUMBER.search(candidate.before(1)) or re.match(r"\w|[.\-/]\d", candidate.after(2)):
        return False
    if sum(c.isdigit() for c in candidate.value) < _NATIONAL_NUMBER:
        return False
    named = _PHONE_WORD.search(candidate.before(40))
    regions = _NATIONAL_REGIONS if named else ("US",) if candidate.value.startswith("(") else ()
    if not regions:
        return False
    import phonenumbers

    for region in regions:
        try:
            if phonenumbers.is_valid_number(phonenumbers.parse(candidate.value, region)):
                return True
        except phonenumbers.NumberParseException:
            return False
    return bool(named) and bool(_FICTIONAL.fullmatch(candidate.value))


# Numbers that payment providers publish for testing.
_TEST_CARDS = _words(
    "4242424242424242 4000056655665556 5555555555554444 2223003122003222 5200828282828210 5105105105105100 "
    "378282246310005 371449635398431 6011111111111117 6011000990139424 3056930009020004 36227206271667 "
    "3566002020360505 6200000000000005 4111111111111111 4012888888881881 4000000000000002 4000000000009995 "
    "4000002500003155 4000000000003220 30569309025904 38520000023237 3530111333300000 4000000000000077 "
    "4917610000000000 378734493671000 4444333322221111 5454545454545454 4000000000000127 4000000000000069"
)
_MIN_DISTINCT = 4
_SAME_RUN = re.compile(r"(\d)\1{6}")  # test numbers are filled up
_ISSUER = re.compile(
    r"4\d{15}|5[1-5]\d{14}|2(?:2[2-9]|[3-6]\d|7[01])\d{13}|2720\d{12}|3[47]\d{13}|6(?:011|5\d\d|4[4-9]\d)\d{12}|"
    r"3(?:0[0-5]|[68]\d)\d{11}|35(?:2[89]|[3-8]\d)\d{12}|62\d{14,17}"
)
_IDENTIFIER = re.compile(r"(?:\bid|_id|Id|ID|isbn|ean|sku|time|timestamp|seed|hash)[\"']?\s*[:=]\s*[\"']?$")


def _is_card(candidate: Candidate) -> bool:
    if candidate.before(1) in {".", "-", "_", "+", "/"} or re.match(r"[.\-_/]?\w", candidate.after(2)):
        return False
    digits = re.sub(r"\D", "", candidate.value)
    if (
        digits in _TEST_CARDS
        or _SAME_RUN.search(digits)
        or len(set(digits)) < _MIN_DISTINCT
        or not _ISSUER.fullmatch(digits)
    ):
        return False
    return candidate.stands_alone() and passes_luhn(digits) and not _IDENTIFIER.search(candidate.before(20))


def _is_iban(candidate: Candidate) -> bool:
    from stdnum import iban  # loaded only when a candidate is met

    return candidate.stands_alone() and bool(iban.is_valid(candidate.value))


_AREA = r"(?:\([0-9]{2,5}\)[ ]?|0[0-9]{1,5}[ .\-/]|[2-9][0-9]{2}[ .\-])"

PERSONAL = (
    PatternDetector(
        "iban",
        (r"[A-Z]{2}[0-9]{2}[ -]?[A-Z0-9]{4}",),
        r"[A-Z]{2}[0-9]{2}(?:[ -]?[A-Z0-9]{4}){2,7}(?:[ -]?[A-Z0-9]{1,3})?",
        _is_iban,
    ),
    PatternDetector(
        "card", (r"[0-9](?:[ -]?[0-9]){13}",), r"[2-6][0-9]{3}(?:[ -]?[0-9]{2,6}){2,4}[0-9]", _is_card
    ),
    PatternDetector(
        "email",
        ("@",),
        r"[A-Za-z0-9][A-Za-z0-9._%+\-]{0,63}@[A-Za-z0-9](?:[A-Za-z0-9.\-]{0,200})?\.[A-Za-z]{2,24}",
        _is_email,
    ),
    PatternDetector(
        "phone",
        (r"\+\(?[0-9][0-9]?[0-9]?\)?[ .\-/]?[ .\-/]?\(?[0-9]",),  # two groups of digits: not `x + 1`
        r"\+\(?[0-9]{1,3}\)?(?:[ .\-/]{0,2}\(?[0-9]{1,5}\)?){1,7}",
        _is_international_phone,
    ),
    PatternDetector(
        "phone",
        (rf"{_AREA}[0-9]{{2}}[ .\-]?[0-9]",),
        rf"{_AREA}[0-9]{{2,8}}(?:[ .\-][0-9]{{2,6}}){{0,4}}",
        _is_national_phone,
    ),
)
