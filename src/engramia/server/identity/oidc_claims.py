"""What a genuine token must say to be let in, and what it makes its bearer."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from engramia.core.model import Scope
from engramia.errors import AuthorizationError, InvalidTokenError, ValidationError
from engramia.server.kit.caller import Caller
from engramia.server.kit.permissions import Role

LEEWAY_SECONDS = 30
"""By how much the provider's clock may be ahead of ours; what has expired has expired."""
SUBJECT_MAX_CHARS = 255
"""OpenID Connect Core, section 2."""

_OF_ID_TOKENS = frozenset({"at_hash", "c_hash"})
"""Claims by which an ID token refers to what came with it (OpenID Connect Core, 3.3.2.11)."""
_LATEST = 253_402_300_799
"""The last second of the year 9999."""
_ID_BYTES = 8


@dataclass(frozen=True, slots=True)
class Standing:
    """Which claims say what a caller may do, and where."""

    role_claim: str
    default_role: Role
    owner_role: str | None = None
    tenant_claim: str | None = None
    project_claim: str | None = None

    def caller(self, claims: Mapping[str, Any]) -> Caller:
        """Return who bears a token with these claims; raises `AuthorizationError` with a sentence."""
        scope = _scope(
            self._place(claims, self.tenant_claim, "tenant"),
            self._place(claims, self.project_claim, "project"),
        )
        return Caller(scope, self._role(claims), subject_id(claims["iss"], claims["sub"]))

    def _place(self, claims: Mapping[str, Any], name: str | None, what: str) -> str:
        if name is None:
            return "default"
        value = claim_of(claims, name)
        if not isinstance(value, str):
            raise AuthorizationError(f"The token has no claim {name!r} that names its {what}.")
        return value

    def _role(self, claims: Mapping[str, Any]) -> Role:
        """Return the highest role that the claim names.

        A list is one that other applications read too: what is not a role here is passed over, and who has
        none of ours gets the default. A single word is meant for us: one that is no role is refused.
        """
        said = claim_of(claims, self.role_claim)
        if said is None or said == []:
            return self.default_role
        words = [said] if isinstance(said, str) else said
        if not (isinstance(words, list) and all(isinstance(word, str) for word in words)):
            raise AuthorizationError(
                f"The token's claim {self.role_claim!r} is neither a string nor a list of strings."
            )
        roles = [role for word in words if (role := self._role_named(word)) is not None]
        if not roles and isinstance(said, str):
            raise AuthorizationError(self._no_role(said))
        return max(roles, key=lambda role: role.rank, default=self.default_role)

    def _role_named(self, word: str) -> Role | None:
        if self.owner_role is not None and word == self.owner_role:
            return Role.OWNER
        return next((role for role in Role if role is not Role.OWNER and word == role.value), None)

    def _no_role(self, said: str) -> str:
        if said == Role.OWNER:
            return "A token makes an owner only where ENGRAMIA_OIDC_OWNER_ROLE names what its claim says."
        return f"The token's claim {self.role_claim!r} is {said[:80]!a}, which is no role here."


def claim_of(claims: Mapping[str, Any], path: str) -> Any:
    """Return the claim at `path`, or None.

    A claim of that very name comes first (`https://example.com/role`); otherwise its dots lead into nested
    objects (`realm_access.roles`), whose names may hold dots themselves: the longest that is there counts.
    """
    if path in claims:
        return claims[path]
    for name, rest in _splits(path):
        if isinstance(claims.get(name), dict):
            return claim_of(claims[name], rest)
    return None


def _splits(path: str) -> Iterator[tuple[str, str]]:
    at = path.rfind(".")
    while at > 0:
        yield path[:at], path[at + 1 :]
        at = path.rfind(".", 0, at)


def check_issuer(claims: Mapping[str, Any], issuer: str) -> None:
    """Raise `InvalidTokenError` unless the token is the provider's, letter by letter."""
    if claims.get("iss") != issuer:
        raise InvalidTokenError("The token's issuer ('iss') is not the one that this service trusts.")


def check_claims(claims: Mapping[str, Any], *, audience: str, now: float) -> None:
    """Raise `InvalidTokenError` unless the token is for `audience`, has a subject and is valid at `now`."""
    _check_audience(claims.get("aud"), audience)
    _check_times(claims, now)
    subject = claims.get("sub")
    if not (isinstance(subject, str) and 0 < len(subject) <= SUBJECT_MAX_CHARS):
        raise InvalidTokenError("The token does not say whose it is ('sub').")
    if not _OF_ID_TOKENS.isdisjoint(claims):
        raise InvalidTokenError("The token is an ID token; send the access token.")
    if "cnf" in claims:
        # Bound to its holder's key (RFC 9449, RFC 8705): as a plain bearer token it would lose that.
        raise InvalidTokenError("The token is bound to a key ('cnf'); this service takes bearer tokens only.")


def _check_audience(named: object, audience: str) -> None:
    audiences = [named] if isinstance(named, str) else named
    if not (isinstance(audiences, list) and all(isinstance(each, str) for each in audiences)):
        raise InvalidTokenError("The token does not say whom it is for ('aud').")
    if audience not in audiences:
        raise InvalidTokenError("The token is for another audience ('aud') than this service.")


def _check_times(claims: Mapping[str, Any], now: float) -> None:
    expires = _time(claims, "exp")
    if expires is None:
        raise InvalidTokenError("The token does not say when it expires ('exp').")
    if expires <= now:
        raise InvalidTokenError("The token has expired.")
    for name, sentence in (
        ("nbf", "The token is not valid yet ('nbf')."),
        ("iat", "The token was issued in the future ('iat')."),
    ):
        begins = _time(claims, name)
        if begins is not None and begins > now + LEEWAY_SECONDS:
            raise InvalidTokenError(sentence)


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    """Return a NumericDate (RFC 7519, 2), or None if it is not there."""
    if name not in claims:
        return None
    value = claims[name]
    # bool is an int, too; and NaN compares false with everything.
    if type(value) not in {int, float} or not math.isfinite(value) or not 0 <= value <= _LATEST:
        raise InvalidTokenError(f"The token's claim '{name}' is not a time in seconds.")
    return float(value)


def _scope(tenant_id: str, project_id: str) -> Scope:
    try:
        return Scope(tenant_id, project_id)
    except ValidationError as error:
        raise AuthorizationError(
            f"The token's {error.field.removesuffix('_id')} must be 1 to 64 letters, digits, '_', '.' or "
            "'-', beginning with a letter or digit."
        ) from None


def subject_id(issuer: str, subject: str) -> str:
    """Return what names a person or program in the audit log and as an author, the same for every token."""
    told = issuer.encode() + b"\x00" + subject.encode()
    return f"oidc-{blake2b(told, digest_size=_ID_BYTES, person=b'engramia-subject').hexdigest()}"
