"""Makes values of a documented shape from a seed, so that no token stands literally in this repository."""

import base64
import json
import random
import re

from engramia.core.redaction.checksum import base62_crc32, passes_luhn

_LOWER = "abcdefghijklmnopqrstuvwxyz"
_DIGITS = "0123456789"
ALPHABETS = {
    "hex": _DIGITS + "abcdef",
    "dec": _DIGITS,
    "b36": _LOWER + _DIGITS,
    "up": _LOWER.upper() + _DIGITS,
    "b32": _LOWER.upper() + "234567",
    "b62": _LOWER + _LOWER.upper() + _DIGITS,
    "b64": _LOWER + _LOWER.upper() + _DIGITS + "+/",
    "url": _LOWER + _LOWER.upper() + _DIGITS + "_-",
    "bech": "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L",
    "pw": _LOWER + _LOWER.upper() + _DIGITS + "!#%*+?",
}
_SLOT = re.compile(r"\{(\w+)(?::(\d+))?\}")


class Values:
    """Fills `{alphabet:length}`, `{uuid}`, `{jwt}` and the like in a shape, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - reproducible test data, no secret

    def fill(self, shape: str) -> str:
        return _SLOT.sub(lambda m: self._slot(m[1], int(m[2] or 0)), shape)

    def chars(self, alphabet: str, length: int) -> str:
        """Random characters, with a letter and a digit among them wherever the alphabet has both."""
        letters = ALPHABETS[alphabet]
        while True:
            text = "".join(self._random.choices(letters, k=length))
            if (
                length < 5
                or alphabet == "dec"
                or (any(map(str.isdigit, text)) and any(map(str.isalpha, text)))
            ):
                return text

    def _slot(self, name: str, length: int) -> str:
        if name in ALPHABETS:
            return self.chars(name, length)
        made: str = getattr(self, f"_{name}")()
        return made

    def _uuid(self) -> str:
        return "-".join(self.chars("hex", n) for n in (8, 4, 4, 4, 12))

    def _github(self) -> str:
        body = self.chars("b62", 30)
        return body + base62_crc32(body)

    def _jwt(self) -> str:
        parts = ({"alg": "HS256", "typ": "JWT"}, {"sub": self.chars("dec", 8), "iat": 1700000000})
        encoded = [base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts]
        return ".".join((*encoded, self.chars("url", 43)))

    def _basic(self) -> str:
        return base64.b64encode(f"svc-report:{self.chars('pw', 12)}".encode()).decode()

    def _pem(self) -> str:
        return "\n".join(self.chars("b64", 64) for _ in range(6)) + "\n" + self.chars("b64", 30) + "=="

    def _card(self) -> str:
        head = self._random.choice(("4", "51", "55", "2301")) + ""
        stem = head + self.chars("dec", 15 - len(head))
        return next(stem + str(d) for d in range(10) if passes_luhn(stem + str(d)))

    def _card4(self) -> str:
        return " ".join(re.findall("....", self._card()))

    def _iban(self) -> str:
        bban = self.chars("dec", 18)
        check = 98 - int(bban + "131400") % 97  # D = 13, E = 14, then the check digits as 00
        return f"DE{check:02d}{bban}"

    def _czech(self) -> str:
        return "+420 60" + self.chars("dec", 1) + " " + self.chars("dec", 3) + " " + self.chars("dec", 3)
