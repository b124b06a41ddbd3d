"""Who makes tokens in a provider's name: with its own keys, and with others."""

import time
from collections.abc import Mapping
from typing import Any

from tests.oidc.minting import Key, Part, Signer, b64, compact, hs256, raw

AUDIENCE = "https://memory.example.com"


def _no_signature(_: bytes) -> bytes:
    return b""


class Forger:
    """Knows a provider's private keys, and has some of its own."""

    def __init__(self) -> None:
        self.issuer = ""
        self.rsa, self.other_rsa = Key("RS256", "rsa-key"), Key("RS256", "stranger")
        self.pss, self.p256 = Key("PS256", "pss-key"), Key("ES256", "p256-key")
        self.p384, self.p521 = Key("ES384", "p384-key"), Key("ES512", "p521-key")
        self.ed, self.ed448 = Key("EdDSA", "ed-key"), Key("Ed448", "ed448-key")
        self.koblitz, self.weak = Key("ES256K", "koblitz-key"), Key("RS256", "weak-key", bits=1024)
        self.encrypting, self.wrapping = Key("RS256", "enc-key"), Key("RS256", "wrap-key")
        self.exposed, self.only_512 = Key("EdDSA", "exposed-key"), Key("RS512", "512-key")
        self.any_rsa = Key("RS256", "any-key")
        self.secret = b"a secret that ought not to be published at all"

    def published(self) -> list[Mapping[str, Any]]:
        """Return the provider's JWK set, with members that must not be used."""
        good = (self.rsa, self.pss, self.p256, self.p384, self.p521, self.ed, self.ed448, self.only_512)
        return [
            *(key.public() for key in good),
            self.any_rsa.public(alg=None, use=None),
            self.koblitz.public(),
            self.weak.public(),
            self.encrypting.public(use="enc"),
            self.wrapping.public(key_ops=["wrapKey"], alg=None, use=None),
            self.exposed.public(d=b64(self.exposed.private.private_bytes_raw()).decode()),
            {"kty": "oct", "kid": "oct-key", "k": b64(self.secret).decode(), "alg": "HS256", "use": "sig"},
            {"kty": "RSA", "kid": "broken-key", "n": 7, "e": "AQAB"},
            {"kty": ["EC"], "kid": {"a": 1}},
            "not a key",  # type: ignore[list-item]  # a set may hold anything
        ]

    def claims(self, **members: Any) -> dict[str, Any]:
        """Return the claims of a good token; `members` go over them, those that are `...` are left out."""
        now = int(time.time())
        whole = {
            "iss": self.issuer,
            "sub": "user-7",
            "aud": AUDIENCE,
            "iat": now,
            "exp": now + 300,
            "engramia_role": "editor",
            **members,
        }
        return {name: value for name, value in whole.items() if value is not ...}

    def with_claims(self, **members: Any) -> bytes:
        """Return a token of the provider that is right but for its claims."""
        return self.signed(self.claims(**members))

    def signed(self, payload: Part, key: Key | None = None, **header: Any) -> bytes:
        """Return a token of the provider with this payload, and these header members besides."""
        key = key or self.p256
        return compact(key.header(**header), payload, key.sign)

    def with_header(self, header: Part) -> bytes:
        """Return a token of the provider's elliptic key that is right but for its header."""
        return compact(header, self.claims(), self.p256.sign)

    def good(self) -> bytes:
        return self.with_claims()

    def by_stranger(self, **header: Any) -> bytes:
        return compact(self.other_rsa.header(**header), self.claims(), self.other_rsa.sign)

    def unsigned(self, alg: str) -> bytes:
        return compact({"alg": alg, "typ": "JWT"}, self.claims(), _no_signature)

    def symmetric(self, secret: bytes, kid: str | None = "rsa-key") -> bytes:
        header = {"alg": "HS256", "typ": "JWT"} | ({} if kid is None else {"kid": kid})
        return compact(header, self.claims(), hs256(secret))

    def as_alg(self, key: Key, alg: str, sign: Signer | None = None) -> bytes:
        return compact(key.header(alg=alg), self.claims(), sign or key.sign)

    def changed(self, **members: Any) -> bytes:
        """Return a good token whose claims were changed after it was signed."""
        head, _, signature = self.good().split(b".")
        return b".".join((head, b64(raw(self.claims(**members))), signature))
