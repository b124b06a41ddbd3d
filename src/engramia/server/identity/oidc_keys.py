"""A provider's public keys, each bound to the algorithms that it may be used with (RFC 7517, 7518, 8037)."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from jwt.algorithms import Algorithm, get_default_algorithms
from jwt.exceptions import PyJWTError

RSA_LEAST_BITS = 2048
KEYS_MAX = 100
"""Keys of one set that are looked at; a provider has a handful."""

_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_BY_KIND: Mapping[tuple[str, str | None], tuple[str, ...]] = {
    ("RSA", None): _RSA,
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA",),
    ("OKP", "Ed448"): ("EdDSA",),
}
_ALLOWED = frozenset(name for names in _BY_KIND.values() for name in names)
ALGORITHMS: Mapping[str, Algorithm] = MappingProxyType(
    {name: one for name, one in get_default_algorithms().items() if name in _ALLOWED}
)
"""All that a token may be signed with: signatures that only the provider can make."""
_PUBLIC_MEMBERS = ("kty", "crv", "n", "e", "x", "y")


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key for signatures of `algorithms`; `material` is of the class that PyJWT verifies with."""

    kid: str | None
    algorithms: tuple[str, ...]
    material: Any

    def verifies(self, algorithm: str, signed: bytes, signature: bytes) -> bool:
        """Return whether `signature` is this key's of `signed`; never with an algorithm of another key."""
        return algorithm in self.algorithms and ALGORITHMS[algorithm].verify(signed, self.material, signature)


@dataclass(frozen=True, slots=True)
class KeySet:
    """The keys of a provider that can be used here."""

    keys: tuple[PublicKey, ...] = ()

    @classmethod
    def of(cls, published: Iterable[object]) -> "KeySet":
        """Return what can be used of a JWK set's `keys`; the rest is left out, as RFC 7517 section 5 asks."""
        return cls(tuple(_usable(list(published)[:KEYS_MAX])))

    def find(self, kid: str | None, algorithm: str) -> PublicKey | None:
        """Return the key for a token; for one that names none, the only one that fits, if there is one."""
        fitting = [key for key in self.keys if algorithm in key.algorithms and kid in (None, key.kid)]
        return fitting[0] if len(fitting) == 1 or (fitting and kid is not None) else None


def _usable(published: Iterable[object]) -> Iterator[PublicKey]:
    for member in published:
        if isinstance(member, dict) and (key := _key_of(member)) is not None:
            yield key


def _key_of(member: Mapping[str, Any]) -> PublicKey | None:
    kid, algorithms = member.get("kid"), _algorithms_of(member)
    if not algorithms or not isinstance(kid, str | None):
        return None
    public = {name: member[name] for name in _PUBLIC_MEMBERS if name in member}
    try:
        material = ALGORITHMS[algorithms[0]].from_jwk(public)
    except (PyJWTError, ValueError, TypeError, KeyError):
        return None
    # By the number itself, for the members of the set may say anything.
    if member["kty"] == "RSA" and material.key_size < RSA_LEAST_BITS:
        return None
    return PublicKey(kid, algorithms, material)


def _algorithms_of(member: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what the key may be used with: by its kind, narrowed by what it says of itself."""
    kind, curve = member.get("kty"), member.get("crv")
    if not (isinstance(kind, str) and isinstance(curve, str | None)) or not _for_signatures(member):
        return ()
    named = member.get("alg")
    return tuple(name for name in _BY_KIND.get((kind, curve), ()) if named in (None, name))


def _for_signatures(member: Mapping[str, Any]) -> bool:
    """Return whether the key is for checking signatures; a private key made public is for nobody."""
    operations = member.get("key_ops")
    meant = operations is None or (isinstance(operations, list) and "verify" in operations)
    return meant and member.get("use") in (None, "sig") and "d" not in member
