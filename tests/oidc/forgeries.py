"""Tokens that nobody may be let in with: each a name and what makes it.

Where only the form or a claim is at fault, the provider's own key signs, so that nothing else refuses it.
"""

import base64
import json
import time
import zlib
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.serialization import PublicFormat

from tests.oidc.forger import AUDIENCE, Forger
from tests.oidc.minting import b64, compact, hs512, raw, unb64

type Make = Callable[[Forger], bytes]


def _parts(forger: Forger) -> list[bytes]:
    return forger.good().split(b".")


def _stray_bits(forger: Forger) -> bytes:
    """A spelling of the same signature whose last letter has bits that no byte takes."""
    token = forger.good()  # 64 bytes: the last of 86 letters carries 2 bits of 6
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    changed = token[:-1] + alphabet[alphabet.index(token[-1]) ^ 1 :][:1]
    assert unb64(changed.split(b".")[2]) == unb64(token.split(b".")[2])
    return changed


def _plain_base64(forger: Forger) -> bytes:
    """The same signature in the alphabet of plain base64, once it has a letter that differs."""
    while True:
        head, payload, signature = _parts(forger)
        if b"-" in signature or b"_" in signature:
            return b".".join((head, payload, signature.translate(bytes.maketrans(b"-_", b"+/"))))


def _json_form(forger: Forger) -> bytes:
    head, payload, signature = (part.decode() for part in _parts(forger))
    return json.dumps({"protected": head, "payload": payload, "signature": signature}).encode()


def _general_json_form(forger: Forger) -> bytes:
    head, payload, signature = (part.decode() for part in _parts(forger))
    return json.dumps(
        {"payload": payload, "signatures": [{"protected": head, "signature": signature}]}
    ).encode()


def _detached(forger: Forger, **header: Any) -> bytes:
    """RFC 7797: the payload itself is signed, not its encoding."""
    payload = raw(forger.claims())
    head = b64(raw(forger.p256.header(b64=False, **header)))
    signature = b64(forger.p256.sign(head + b"." + payload))
    return head + b"." + b64(payload) + b"." + signature


def _encrypted(forger: Forger) -> bytes:
    header = b64(raw({"alg": "dir", "enc": "A256GCM", "cty": "JWT", "kid": "oct-key"}))
    return b".".join((header, b"", b64(b"0" * 12), b64(forger.good()), b64(b"0" * 16)))


def _self_embedded(forger: Forger) -> bytes:
    return forger.by_stranger(jwk=forger.other_rsa.public(), kid="rsa-key")


def _repeated(forger: Forger, extra: str) -> bytes:
    """Claims of the provider's own with `extra` in front, as text."""
    return forger.signed(f"{{{extra},{json.dumps(forger.claims())[1:]}".encode())


def _nested(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


def _certificate(forger: Forger) -> list[str]:
    return [base64.b64encode(forger.other_rsa.der()).decode()]


_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

ALGORITHM: dict[str, Make] = {
    "alg none, no signature": lambda f: f.unsigned("none"),
    "alg None": lambda f: f.unsigned("None"),
    "alg NONE": lambda f: f.unsigned("NONE"),
    "alg nOnE": lambda f: f.unsigned("nOnE"),
    "alg none with a signature": lambda f: f.as_alg(f.p256, "none"),
    "alg none with some letters": lambda f: f.unsigned("none") + b"AAAA",
    "no alg": lambda f: f.with_header({"kid": "p256-key"}),
    "alg null": lambda f: f.with_header({"alg": None, "kid": "p256-key"}),
    "alg empty": lambda f: f.with_header({"alg": "", "kid": "p256-key"}),
    "alg a list": lambda f: f.with_header({"alg": ["ES256"], "kid": "p256-key"}),
    "alg a number": lambda f: f.with_header({"alg": 256, "kid": "p256-key"}),
    "alg in lower case": lambda f: f.with_header({"alg": "es256", "kid": "p256-key"}),
    "alg with a space": lambda f: f.with_header({"alg": "ES256 ", "kid": "p256-key"}),
    "alg with a NUL": lambda f: f.with_header({"alg": "ES256\0", "kid": "p256-key"}),
    "alg unknown": lambda f: f.with_header({"alg": "XX999", "kid": "p256-key"}),
    "HS256 with the PEM": lambda f: f.symmetric(f.rsa.pem()),
    "HS256 with the PEM, stripped": lambda f: f.symmetric(f.rsa.pem().strip()),
    "HS256 with the PKCS1 PEM": lambda f: f.symmetric(f.rsa.pem(PublicFormat.PKCS1)),
    "HS256 with the DER": lambda f: f.symmetric(f.rsa.der()),
    "HS256 with the JWK": lambda f: f.symmetric(json.dumps(f.rsa.public()).encode()),
    "HS256 with the modulus": lambda f: f.symmetric(unb64(f.rsa.public()["n"].encode())),
    "HS256 with the modulus as text": lambda f: f.symmetric(f.rsa.public()["n"].encode()),
    "HS256 with the elliptic PEM": lambda f: f.symmetric(f.p256.pem(), "p256-key"),
    "HS256 with the Edwards key": lambda f: f.symmetric(unb64(f.ed.public()["x"].encode()), "ed-key"),
    "HS256 with nothing": lambda f: f.symmetric(b""),
    "HS256 with the kid": lambda f: f.symmetric(b"rsa-key"),
    "HS256 with the audience": lambda f: f.symmetric(AUDIENCE.encode(), None),
    "HS256 with a published secret": lambda f: f.symmetric(f.secret, "oct-key"),
    "HS512 with the PEM": lambda f: f.as_alg(f.rsa, "HS512", hs512(f.rsa.pem())),
    "PS256 said, RS256 done": lambda f: f.as_alg(f.rsa, "PS256"),
    "RS256 said, PS256 done": lambda f: f.as_alg(f.pss, "RS256"),
    "PS256 with the key of RS256": lambda f: f.as_alg(f.rsa, "PS256", lambda s: f.rsa.sign_as("PS256", s)),
    "RS256 with the key of RS512": lambda f: f.as_alg(
        f.only_512, "RS256", lambda s: f.only_512.sign_as("RS256", s)
    ),
    "RS384 said, RS256 done": lambda f: f.as_alg(f.any_rsa, "RS384"),
    "ES256 with the key of RS256": lambda f: f.as_alg(f.p256, "RS256"),
    "RS256 with the kid of ES256": lambda f: f.signed(f.claims(), f.rsa, kid="p256-key"),
    "ES384 said, P-256 used": lambda f: f.as_alg(f.p256, "ES384"),
    "ES256 said, P-384 used": lambda f: f.as_alg(f.p384, "ES256"),
    "ES256 said, P-521 used": lambda f: f.as_alg(f.p521, "ES256"),
    "ES512 said, P-384 used": lambda f: f.as_alg(f.p384, "ES512"),
    "ES256K": lambda f: f.signed(f.claims(), f.koblitz),
    "ES256 said, secp256k1 used": lambda f: f.as_alg(f.koblitz, "ES256"),
    "EdDSA said, P-256 used": lambda f: f.as_alg(f.p256, "EdDSA"),
    "EdDSA with the kid of another curve": lambda f: f.signed(f.claims(), f.ed, kid="ed448-key"),
}

KEYS: dict[str, Make] = {
    "a key of 1024 bits": lambda f: f.signed(f.claims(), f.weak),
    "a key for encryption": lambda f: f.signed(f.claims(), f.encrypting),
    "a key for wrapping": lambda f: f.signed(f.claims(), f.wrapping),
    "a key whose private half is public": lambda f: f.signed(f.claims(), f.exposed),
    "a stranger's key under its own name": lambda f: f.by_stranger(),
    "a stranger's key under a known name": lambda f: f.by_stranger(kid="rsa-key"),
    "a stranger's key under no name": lambda f: compact({"alg": "RS256"}, f.claims(), f.other_rsa.sign),
    "a broken key's name": lambda f: f.by_stranger(kid="broken-key"),
    "jwk": _self_embedded,
    "jwk without a kid": lambda f: compact(
        {"alg": "RS256", "jwk": f.other_rsa.public()}, f.claims(), f.other_rsa.sign
    ),
    "jku": lambda f: f.by_stranger(jku=f"{f.issuer}/attacker/keys"),
    "jku with a known kid": lambda f: f.by_stranger(jku=f"{f.issuer}/attacker/keys", kid="rsa-key"),
    "x5u": lambda f: f.by_stranger(x5u=f"{f.issuer}/attacker/chain", kid="rsa-key"),
    "x5c": lambda f: f.by_stranger(x5c=_certificate(f), kid="rsa-key"),
    "x5c, x5t and jwk": lambda f: f.by_stranger(
        x5c=_certificate(f), x5t="AAAA", jwk=f.other_rsa.public(), kid="rsa-key"
    ),
    "kid a path, key empty": lambda f: f.symmetric(b"", "../../../../../../dev/null"),
    "kid a path, signed by a stranger": lambda f: f.by_stranger(kid="/proc/sys/kernel/random/boot_id"),
    "kid an address": lambda f: f.by_stranger(kid=f"{f.issuer}/attacker/keys"),
    "kid a query": lambda f: f.by_stranger(kid="' UNION SELECT 'AAAA' -- "),
    "kid a command": lambda f: f.by_stranger(kid="$(id)|id;`id`"),
    "kid a number": lambda f: f.signed(f.claims(), kid=7),
    "kid null": lambda f: f.signed(f.claims(), kid=None),
    "kid an object": lambda f: f.signed(f.claims(), kid={"p256-key": 1}),
    "kid a list": lambda f: f.signed(f.claims(), kid=["p256-key"]),
    "kid empty": lambda f: f.signed(f.claims(), kid=""),
    "kid endless": lambda f: f.signed(f.claims(), kid="k" * 5_000),
    "kid with a NUL": lambda f: f.signed(f.claims(), kid="p256-key\0"),
    "kid in upper case": lambda f: f.signed(f.claims(), kid="P256-KEY"),
    "kid with a space": lambda f: f.signed(f.claims(), kid="p256-key "),
    "kid of look-alikes": lambda f: f.signed(f.claims(), kid="\N{CYRILLIC SMALL LETTER ER}256-key"),
    "no kid where several keys fit": lambda f: compact({"alg": "RS256"}, f.claims(), f.rsa.sign),
}

FORM: dict[str, Make] = {
    "role raised afterwards": lambda f: f.changed(engramia_role="admin"),
    "expiry moved afterwards": lambda f: f.changed(exp=int(time.time()) + 90_000),
    "header changed afterwards": lambda f: (
        b64(raw(f.p256.header(typ="JWT"))) + f.good()[f.good().index(b".") :]
    ),
    "signature of another token": lambda f: b".".join(
        (*_parts(f)[:2], f.with_claims(sub="x").split(b".")[2])
    ),
    "signature stripped": lambda f: b".".join((*_parts(f)[:2], b"")),
    "signature and dot stripped": lambda f: b".".join(_parts(f)[:2]),
    "signature cut by a letter": lambda f: f.good()[:-1],
    "signature cut in half": lambda f: f.good()[:-43],
    "signature longer": lambda f: f.good() + b"AAAA",
    "signature of zeros": lambda f: f.as_alg(f.p256, "ES256", lambda _: bytes(64)),
    "signature of the order": lambda f: f.as_alg(
        f.p256, "ES256", lambda _: _P256_ORDER.to_bytes(32, "big") * 2
    ),
    "signature in DER": lambda f: f.as_alg(f.p256, "ES256", f.p256.der_signature),
    "Edwards signature of zeros": lambda f: f.as_alg(f.ed, "EdDSA", lambda _: bytes(64)),
    "RSA signature of zeros": lambda f: f.as_alg(f.rsa, "RS256", lambda _: bytes(256)),
    "RSA signature of one": lambda f: f.as_alg(f.rsa, "RS256", lambda _: bytes(255) + b"\x01"),
    "RSA signature too long": lambda f: f.as_alg(f.rsa, "RS256", lambda s: b"\0" + f.rsa.sign(s)),
    "stray bits in the signature": _stray_bits,
    "plain base64": _plain_base64,
    "padded signature": lambda f: f.good() + b"==",
    "padded payload": lambda f: _parts(f)[0] + b"." + _parts(f)[1] + b"=." + _parts(f)[2],
    "space within": lambda f: f.good().replace(b".", b". ", 1),
    "tab within": lambda f: f.good().replace(b".", b".\t", 1),
    "dots alone": lambda _: b"..",
    "no header": lambda f: b"." + b".".join(_parts(f)[1:]),
    "four parts": lambda f: f.good() + b".AAAA",
    "a dot too many": lambda f: f.good() + b".",
    "twice": lambda f: f.good() + b"," + f.good(),
    "in quotes": lambda f: b'"' + f.good() + b'"',
    "percent encoded": lambda f: f.good().replace(b".", b"%2E"),
    "encoded again": lambda f: b64(f.good()),
    "letters beyond ASCII": lambda f: f.good()[:-1] + "é".encode("latin-1"),
    "JSON form": _json_form,
    "JSON form, general": _general_json_form,
    "encrypted, a token within": _encrypted,
    "a token within a token": lambda f: compact(f.p256.header(cty="JWT"), f.good(), f.p256.sign),
    "compressed": lambda f: compact(f.p256.header(zip="DEF"), zlib.compress(raw(f.claims())), f.p256.sign),
    "too long": lambda f: f.with_claims(filler="x" * 20_000),
    "an API key": lambda _: b"sk_engramia_0123456789abcdefghijklmnopqrstuvwx",
}

HEADERS: dict[str, Make] = {
    "crit unknown": lambda f: f.signed(f.claims(), crit=["exp"], exp=1),
    "crit empty": lambda f: f.signed(f.claims(), crit=[]),
    "crit b64": lambda f: f.signed(f.claims(), crit=["b64"], b64=True),
    "b64 false": _detached,
    "b64 false and crit": lambda f: _detached(f, crit=["b64"]),
    "b64 false, signed as usual": lambda f: f.signed(f.claims(), b64=False),
    "alg twice": lambda f: f.with_header(b'{"alg":"none","alg":"ES256","kid":"p256-key"}'),
    "alg twice, one escaped": lambda f: f.with_header(b'{"\\u0061lg":"none","alg":"ES256","kid":"p256-key"}'),
    "kid twice": lambda f: f.with_header(b'{"alg":"ES256","kid":"x","kid":"p256-key"}'),
    "header a list": lambda f: f.with_header([f.p256.header()]),
    "header a string": lambda f: f.with_header(b'"ES256"'),
    "header not JSON": lambda f: f.with_header(b"ES256"),
    "header with more behind": lambda f: f.with_header(raw(f.p256.header()) + b"{}"),
    "header with a comment": lambda f: f.with_header(raw(f.p256.header()) + b"//"),
    "header with NaN": lambda f: f.with_header(raw(f.p256.header(x=float("nan")))),
    "header in UTF-16": lambda f: f.with_header(json.dumps(f.p256.header()).encode("utf-16")),
    "header with a byte order mark": lambda f: f.with_header(b"\xef\xbb\xbf" + raw(f.p256.header())),
    "header nested deeply": lambda f: f.with_header(_nested(1_500)),
    "typ of a logout": lambda f: f.signed(f.claims(), typ="logout+jwt"),
    "typ of an event": lambda f: f.signed(f.claims(), typ="secevent+jwt"),
    "typ of a proof": lambda f: f.signed(f.claims(), typ="dpop+jwt"),
    "typ a number": lambda f: f.signed(f.claims(), typ=1),
}

CLAIMS: dict[str, Make] = {
    "iss missing": lambda f: f.with_claims(iss=...),
    "iss another": lambda f: f.with_claims(iss="https://login.example.org"),
    "iss with a slash": lambda f: f.with_claims(iss=f"{f.issuer}/"),
    "iss in upper case": lambda f: f.with_claims(iss=f.issuer.upper()),
    "iss a list": lambda f: f.with_claims(iss=[f.issuer]),
    "iss null": lambda f: f.with_claims(iss=None),
    "iss longer": lambda f: f.with_claims(iss=f"{f.issuer}.example.org"),
    "aud missing": lambda f: f.with_claims(aud=...),
    "aud another": lambda f: f.with_claims(aud="https://other.example.com"),
    "aud a list without ours": lambda f: f.with_claims(aud=["a", "b"]),
    "aud an empty list": lambda f: f.with_claims(aud=[]),
    "aud empty": lambda f: f.with_claims(aud=""),
    "aud nested": lambda f: f.with_claims(aud=[[AUDIENCE]]),
    "aud an object": lambda f: f.with_claims(aud={AUDIENCE: True}),
    "aud with a number": lambda f: f.with_claims(aud=[AUDIENCE, 1]),
    "aud null": lambda f: f.with_claims(aud=None),
    "aud true": lambda f: f.with_claims(aud=True),
    "aud with a slash": lambda f: f.with_claims(aud=f"{AUDIENCE}/"),
    "aud a beginning of ours": lambda f: f.with_claims(aud=AUDIENCE[:-1]),
    "aud in upper case": lambda f: f.with_claims(aud=AUDIENCE.upper()),
    "aud joined": lambda f: f.with_claims(aud=f"{AUDIENCE},https://other.example.com"),
    "aud with spaces": lambda f: f.with_claims(aud=f"{AUDIENCE} https://other.example.com"),
    "exp missing": lambda f: f.with_claims(exp=...),
    "exp null": lambda f: f.with_claims(exp=None),
    "exp past": lambda f: f.with_claims(exp=int(time.time()) - 1),
    "exp long past": lambda f: f.with_claims(exp=1),
    "exp negative": lambda f: f.with_claims(exp=-1),
    "exp a string": lambda f: f.with_claims(exp=str(int(time.time()) + 300)),
    "exp a list": lambda f: f.with_claims(exp=[int(time.time()) + 300]),
    "exp true": lambda f: f.with_claims(exp=True),
    "exp NaN": lambda f: f.with_claims(exp=float("nan")),
    "exp Infinity": lambda f: f.with_claims(exp=float("inf")),
    "exp 1e400": lambda f: f.signed(raw(f.claims(exp="#")).replace(b'"#"', b"1e400")),
    "exp 1e300": lambda f: f.with_claims(exp=1e300),
    "exp in milliseconds": lambda f: f.with_claims(exp=int(time.time()) * 1000 + 300_000),
    "exp of thirty digits": lambda f: f.with_claims(exp=10**30),
    "exp of five thousand digits": lambda f: f.signed(raw(f.claims(exp="#")).replace(b'"#"', b"9" * 5_000)),
    "nbf ahead": lambda f: f.with_claims(nbf=int(time.time()) + 120),
    "nbf a string": lambda f: f.with_claims(nbf="0"),
    "nbf null": lambda f: f.with_claims(nbf=None),
    "iat ahead": lambda f: f.with_claims(iat=int(time.time()) + 120),
    "iat a string": lambda f: f.with_claims(iat="0"),
    "iat negative": lambda f: f.with_claims(iat=-5),
    "sub missing": lambda f: f.with_claims(sub=...),
    "sub empty": lambda f: f.with_claims(sub=""),
    "sub a number": lambda f: f.with_claims(sub=7),
    "sub endless": lambda f: f.with_claims(sub="s" * 256),
    "an ID token": lambda f: f.with_claims(at_hash="AAAA"),
    "an ID token with a code": lambda f: f.with_claims(c_hash="AAAA"),
    "bound to a key": lambda f: f.with_claims(cnf={"jkt": "AAAA"}),
    "role twice": lambda f: _repeated(f, '"engramia_role":"admin"'),
    "exp twice": lambda f: _repeated(f, '"exp":9999999999'),
    "iss twice, one escaped": lambda f: _repeated(f, '"\\u0069ss":"https://login.example.org"'),
    "claims a list": lambda f: f.signed([f.claims()]),
    "claims a string": lambda f: f.signed(b'"claims"'),
    "claims not JSON": lambda f: f.signed(b"claims"),
    "claims with more behind": lambda f: f.signed(raw(f.claims()) + b"{}"),
    "claims nested deeply": lambda f: f.signed(_nested(1_500)),
    "claims with a lone surrogate": lambda f: f.with_claims(name="\ud800"),
    "claims with a NUL": lambda f: f.with_claims(sub="user-7\0"),
    "claims not in UTF-8": lambda f: f.signed(raw(f.claims(name="#")).replace(b"#", b"\xff")),
    "claims in UTF-16": lambda f: f.signed(json.dumps(f.claims()).encode("utf-16")),
}

ROLES: dict[str, Make] = {
    "role owner": lambda f: f.with_claims(engramia_role="owner"),
    "role unknown": lambda f: f.with_claims(engramia_role="root"),
    "role capital": lambda f: f.with_claims(engramia_role="Admin"),
    "role with a space": lambda f: f.with_claims(engramia_role="admin "),
    "role joined": lambda f: f.with_claims(engramia_role="reader,admin"),
    "role of look-alikes": lambda f: f.with_claims(engramia_role="\N{CYRILLIC SMALL LETTER A}dmin"),
    "role in wide letters": lambda f: f.with_claims(engramia_role="\N{FULLWIDTH LATIN SMALL LETTER A}dmin"),
    "role with a joiner": lambda f: f.with_claims(engramia_role="admin\N{ZERO WIDTH JOINER}"),
    "role empty": lambda f: f.with_claims(engramia_role=""),
    "role a number": lambda f: f.with_claims(engramia_role=3),
    "role true": lambda f: f.with_claims(engramia_role=True),
    "role an object": lambda f: f.with_claims(engramia_role={"admin": True}),
    "role a list in a list": lambda f: f.with_claims(engramia_role=[["admin"]]),
    "role a list with a number": lambda f: f.with_claims(engramia_role=["admin", 1]),
}
"""Genuine tokens that make their bearer nothing here."""

FORGED = ALGORITHM | KEYS | FORM | HEADERS | CLAIMS


def _signed_with(name: str) -> Make:
    return lambda f: f.signed(f.claims(), getattr(f, name))


def _by_a_key_for_all(alg: str) -> Make:
    return lambda f: f.as_alg(f.any_rsa, alg, lambda signed: f.any_rsa.sign_as(alg, signed))


ACCEPTED: dict[str, Make] = {
    "as it should be": lambda f: f.good(),
    **{
        f"signed with {name}": _signed_with(name)
        for name in ("rsa", "pss", "p384", "p521", "ed", "ed448", "only_512")
    },
    **{
        f"a key for all, {alg}": _by_a_key_for_all(alg)
        for alg in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
    },
    "no kid, one key fits": lambda f: compact({"alg": "ES384"}, f.claims(), f.p384.sign),
    "no typ": lambda f: f.with_header({"alg": "ES256", "kid": "p256-key"}),
    "typ JWT": lambda f: f.signed(f.claims(), typ="JWT"),
    "typ in full": lambda f: f.signed(f.claims(), typ="application/AT+jwt"),
    "a fingerprint beside the kid": lambda f: f.signed(f.claims(), x5t="AAAA"),
    "aud a list with ours": lambda f: f.with_claims(aud=["other", AUDIENCE]),
    "exp with a fraction": lambda f: f.with_claims(exp=time.time() + 60.5),
    "iat a little ahead": lambda f: f.with_claims(iat=int(time.time()) + 20),
    "nbf a little ahead": lambda f: f.with_claims(nbf=int(time.time()) + 20),
    "no iat": lambda f: f.with_claims(iat=...),
    "a name beyond ASCII": lambda f: f.with_claims(name="Zoë"),
}
"""The same machinery makes tokens that are good."""
