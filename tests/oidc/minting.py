"""Makes tokens, also such as no library would make."""

import base64
import hmac
import json
from collections.abc import Callable, Mapping
from hashlib import sha256, sha512
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

type Signer = Callable[[bytes], bytes]
type Part = Mapping[str, Any] | list[Any] | str | bytes

_HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
_CONVERTERS = {
    "RS": RSAAlgorithm.to_jwk,
    "PS": RSAAlgorithm.to_jwk,
    "ES": ECAlgorithm.to_jwk,
    "Ed": OKPAlgorithm.to_jwk,
}
CURVES: dict[str, ec.EllipticCurve] = {
    "ES256": ec.SECP256R1(),
    "ES384": ec.SECP384R1(),
    "ES512": ec.SECP521R1(),
    "ES256K": ec.SECP256K1(),
}


def b64(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def unb64(segment: bytes) -> bytes:
    return base64.urlsafe_b64decode(segment + b"=" * (-len(segment) % 4))


def raw(part: Part) -> bytes:
    """Return a part as it is signed: bytes stay as they are, everything else becomes JSON."""
    return part if isinstance(part, bytes) else json.dumps(part).encode()


def compact(header: Part, payload: Part, sign: Signer) -> bytes:
    """Return a token in the compact form."""
    signed = b64(raw(header)) + b"." + b64(raw(payload))
    return signed + b"." + b64(sign(signed))


class Key:
    """A private key, for one algorithm."""

    def __init__(self, alg: str, kid: str, *, bits: int = 2048) -> None:
        self.alg, self.kid = alg, kid
        self.private: Any = _private(alg, bits)

    def public(self, **members: Any) -> dict[str, Any]:
        """Return the public JWK; `members` go over it, those that are None are left out."""
        convert: Any = _CONVERTERS[self.algorithm[:2]]
        jwk: dict[str, Any] = convert(self.private.public_key(), as_dict=True)
        jwk.pop("key_ops", None)
        whole = {**jwk, "kid": self.kid, "use": "sig", "alg": self.algorithm, **members}
        return {name: value for name, value in whole.items() if value is not None}

    @property
    def algorithm(self) -> str:
        return "EdDSA" if self.alg == "Ed448" else self.alg

    def header(self, **members: Any) -> dict[str, Any]:
        return {"alg": self.algorithm, "kid": self.kid, "typ": "at+jwt", **members}

    def sign(self, signed: bytes) -> bytes:
        return self.sign_as(self.algorithm, signed)

    def sign_as(self, alg: str, signed: bytes) -> bytes:
        """Sign as `alg` says, whether it is this key's or not."""
        if alg == "EdDSA":
            return bytes(self.private.sign(signed))
        digest = _HASHES[alg[2:5]]
        if alg.startswith("ES"):
            return _fixed(self.private.sign(signed, ec.ECDSA(digest)), self.private.curve.key_size)
        if alg.startswith("RS"):
            return bytes(self.private.sign(signed, padding.PKCS1v15(), digest))
        salted = padding.PSS(padding.MGF1(digest), digest.digest_size)
        return bytes(self.private.sign(signed, salted, digest))

    def der_signature(self, signed: bytes) -> bytes:
        """Sign with an elliptic key in the form that JWS does not use."""
        return bytes(self.private.sign(signed, ec.ECDSA(hashes.SHA256())))

    def pem(self, form: PublicFormat = PublicFormat.SubjectPublicKeyInfo) -> bytes:
        return bytes(self.private.public_key().public_bytes(Encoding.PEM, form))

    def der(self) -> bytes:
        return bytes(self.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def _private(alg: str, bits: int) -> Any:
    if alg in CURVES:
        return ec.generate_private_key(CURVES[alg])
    if alg == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    if alg == "Ed448":
        return ed448.Ed448PrivateKey.generate()
    return rsa.generate_private_key(65_537, bits)


def _fixed(der: bytes, bits: int) -> bytes:
    size = (bits + 7) // 8
    r, s = decode_dss_signature(der)
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def hs256(secret: bytes) -> Signer:
    return lambda signed: hmac.digest(secret, signed, sha256)


def hs512(secret: bytes) -> Signer:
    return lambda signed: hmac.digest(secret, signed, sha512)
