"""Values that stand for a secret and are none: documented examples, blanks to fill in, names of variables."""

import re

# Values that vendors print in their own documentation.
DOCUMENTED = frozenset(
    {
        "AKIAIOSFODNN7EXAMPLE",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY",
        "mF_9.B5f-4.1JqM",
        "QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
        "QWxhZGRpbjpPcGVuU2VzYW1l",
        "dXNlcm5hbWU6cGFzc3dvcmQ=",
        "dXNlcjpwYXNzd29yZA==",
        "dXNlcjpwYXNz",
        "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
        "C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DE2nQ9nDuVTqobD4b8mGGyPMbIZnqyMsEcaGQy67XIw/Jw==",
        # Digests of nothing.
        "d41d8cd98f00b204e9800998ecf8427e",
        "da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    }
)
# The tail of tokens that vendors' documentation shows whole; kept without the prefix that makes them tokens.
_DOCUMENTED_TAILS = (
    "4eC39HqLyjWDarjtT1zdp7dc",
    "BQokikJOvBiI2HlWgH4olfQ2",
    "16C7e42F292c6912E7710c838347Ae178B4a",
    "SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c",
    "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
)
_FILLER = re.compile(
    r"example|changeme|change[_-]me|change[_-]this|placeholder|your[_-]|your(?:token|key|secret|password|api)|"
    r"insert[_-]|replace[_-]?(?:me|with|this)|dummy|redacted|xxxx|fake|foobar|todo|fixme|"
    r"\*\*\*|\.\.\.|-here\b|_here\b|goes[_-]?here|not[_-]?(?:a[_-]?)?(?:real|secret)|"
    r"0{8}|1{8}|1234567890$|deadbeef|cafebabe|\xe2\x80\xa6|\xe2\x80\xa2",
    re.IGNORECASE,
)
_TEMPLATE = re.compile(
    r"^<.*>?$|[$#%]\{|\{\{|\}\}|^\{[^}]*\}$|^\$[A-Za-z_(]|^%[A-Za-z_]+%$|^%\(?[a-z_]*\)?[sd]$|^\[.*\]$|^@\w+@$|"
    r"^!(?:Ref|Sub|GetAtt|ImportValue|vault|secret|env)\b|\$\(|<%|^__.*__$|&(?:#x?[0-9A-Fa-f]+|lt|gt);|"
    r"\(\?[:P=!<i]|\[[^\]]*-[^\]]*\][+*{?]|^\\?\\[bwdsAS]|\)[*+]\)",
    re.DOTALL,
)
_COMMON = (
    r"pass(?:word|wd|phrase|wort|code)?|pwd|secret|token|key|api[_-]?key|test(?:ing)?|test[_-]?(?:password|token|key|secret)|"
    r"my[_-]?(?:password|token|secret|key|api[_-]?key|pass)|user(?:name)?|root|admin|guest|demo|sample|qwerty|letmein|"
    r"welcome|hello|abc|foo|bar|baz|value|string|str|none|null|nil|undefined|true|false|yes|no|required|optional|"
    r"default|empty|blank|unset|hidden|masked|encrypted|invalid|wrong|bad|good|old|new|some|any|bearer|basic|"
    r"postgres|mysql|redis|mongo|minio(?:admin)?|rabbitmq|asdf|super[_-]?secret|secret[_-]?(?:key|token|password)|"
    r"bad[_-]?password|wrong[_-]?password|p@ss(?:w0rd|word)|dev|local|development|production|temp"
)
_NAME = re.compile(rf"^(?:{_COMMON})[_-]?(?:\d{{1,4}}|12345\d*)?!?$", re.IGNORECASE)
_REPEATED = re.compile(r"^(.)\1*$|^(..?)\2{3,}$|^[xX.*_\-#?]+$", re.DOTALL)


def is_documented(value: str) -> bool:
    """Tell whether a vendor's documentation prints this very value."""
    return value in DOCUMENTED or value.endswith(_DOCUMENTED_TAILS) or value.endswith("EXAMPLE")


def is_filler(value: str) -> bool:
    """Tell whether the value says itself that it is to be filled in, or is known as an example."""
    return is_documented(value) or bool(
        _FILLER.search(value) or _TEMPLATE.search(value) or _REPEATED.match(value)
    )


def is_placeholder(value: str) -> bool:
    """Tell whether a value assigned to a secret's name stands for a secret without being one."""
    return not value or is_filler(value) or bool(_NAME.match(value))
