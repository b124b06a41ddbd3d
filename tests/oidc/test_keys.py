"""A provider's keys: which are used, and for what."""

from typing import Any

import pytest

from engramia.server.identity.oidc_keys import KEYS_MAX, KeySet
from tests.oidc.minting import Key

RSA, ELLIPTIC, EDWARDS = Key("RS256", "rsa"), Key("ES256", "elliptic"), Key("EdDSA", "edwards")
ALL_OF_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")


@pytest.mark.parametrize(
    ("published", "algorithms"),
    [
        (RSA.public(), ("RS256",)),
        (RSA.public(alg="PS384"), ("PS384",)),
        (RSA.public(alg=None), ALL_OF_RSA),
        (RSA.public(alg=None, use=None, key_ops=["verify"]), ALL_OF_RSA),
        (RSA.public(alg=None, x5c=["AAAA"], x5t="AAAA"), ALL_OF_RSA),
        (ELLIPTIC.public(alg=None), ("ES256",)),
        (EDWARDS.public(alg=None), ("EdDSA",)),
        (Key("Ed448", "k").public(), ("EdDSA",)),
        (Key("ES512", "k").public(alg=None), ("ES512",)),
    ],
)
def test_a_key_is_for_algorithms_of_its_kind(published: dict[str, Any], algorithms: tuple[str, ...]) -> None:
    (key,) = KeySet.of([published]).keys
    assert key.algorithms == algorithms


@pytest.mark.parametrize(
    "published",
    [
        RSA.public(alg="ES256"),
        RSA.public(alg="RSA-OAEP"),
        RSA.public(alg="HS256"),
        RSA.public(alg=7),
        RSA.public(use="enc"),
        RSA.public(key_ops=["sign"]),
        RSA.public(key_ops="verify"),
        RSA.public(kid=7),
        RSA.public(n="AQAB"),
        RSA.public(n=None),
        RSA.public(e="AA"),
        RSA.public(crv="P-256"),
        Key("RS256", "weak", bits=1024).public(),
        ELLIPTIC.public(alg="ES384"),
        ELLIPTIC.public(crv="P-384", alg=None),
        ELLIPTIC.public(x=ELLIPTIC.public()["y"]),
        ELLIPTIC.public(d="AAAA"),
        Key("ES256K", "koblitz").public(alg=None),
        EDWARDS.public(x="AAAA"),
        EDWARDS.public(crv="X25519"),
        {"kty": "oct", "k": "AAAA", "kid": "secret"},
        {"kid": "nothing"},
        "a string",
        None,
    ],
)
def test_what_is_left_out(published: Any) -> None:
    assert [key.kid for key in KeySet.of([published, EDWARDS.public(kid="good")]).keys] == ["good"]


def test_a_key_does_not_check_what_is_said_to_be_of_another_algorithm() -> None:
    (key,) = KeySet.of([RSA.public(alg="PS256")]).keys
    assert key.verifies("PS256", b"signed", RSA.sign_as("PS256", b"signed"))
    assert not key.verifies("RS256", b"signed", RSA.sign_as("RS256", b"signed"))


def test_of_a_long_set_the_beginning_counts() -> None:
    assert len(KeySet.of([EDWARDS.public()] * (KEYS_MAX + 5)).keys) == KEYS_MAX


def test_of_keys_with_one_name_the_kind_decides() -> None:
    keys = KeySet.of([RSA.public(kid="same"), EDWARDS.public(kid="same")])
    found = keys.find("same", "EdDSA")
    assert found is not None
    assert found.algorithms == ("EdDSA",)
    assert keys.find("same", "ES256") is None
