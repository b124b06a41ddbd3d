"""Forged tokens, over real HTTP: none lets anybody in, none is more than refused."""

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from starlette.datastructures import Headers

from engramia.errors import AuthenticationError
from engramia.server.identity.oidc import OidcAuthenticator
from engramia.server.identity.oidc_claims import Standing
from engramia.server.identity.oidc_keyring import KeyRing
from engramia.server.identity.oidc_provider import Provider
from engramia.server.kit.peer import Peer
from engramia.server.kit.permissions import Role
from tests.oidc.directory import WELL_KNOWN, Directory, directory
from tests.oidc.forger import AUDIENCE, Forger
from tests.oidc.forgeries import ACCEPTED, FORGED, ROLES, Make
from tests.server.kit.edge_app import Notes, edge
from tests.server.serving import Answer, Wire

STANDING = Standing("engramia_role", Role.READER)
SHOWN_CHARS = 12
"""Letters of a token in a row that an answer or a log may not repeat."""


@dataclass
class Gate:
    """A service behind tokens, the provider that it believes, and who forges them."""

    address: tuple[str, int]
    directory: Directory
    forger: Forger
    notes: Notes

    def whoami(self, token: bytes) -> Answer:
        with Wire(self.address) as wire:
            wire.send(b"GET /v1/whoami HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token + b"\r\n\r\n")
            return wire.answer()


def authenticator(issuer: str, standing: Standing = STANDING) -> OidcAuthenticator:
    return OidcAuthenticator(KeyRing(Provider(issuer)), issuer=issuer, audience=AUDIENCE, standing=standing)


@pytest.fixture(scope="module")
def gate() -> Iterator[Gate]:
    forger, notes = Forger(), Notes()
    with directory(forger.published()) as found:
        forger.issuer = found.issuer
        with edge(notes, authenticator=authenticator(found.issuer)) as address:
            yield Gate(address, found, forger, notes)


def each(rows: dict[str, Make]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("make", rows.values(), ids=rows.keys())


def shown(token: bytes, text: str) -> bool:
    """Return whether `text` repeats a part of the token."""
    letters = token.decode("latin-1")
    pieces = (letters[at : at + SHOWN_CHARS] for at in range(max(1, len(letters) - SHOWN_CHARS)))
    return len(letters) >= SHOWN_CHARS and any(piece in text for piece in pieces)


@each(ACCEPTED)
def test_what_the_same_machinery_makes_as_it_should_be(gate: Gate, make: Make) -> None:
    answer = gate.whoami(make(gate.forger))
    assert answer.status == 200, answer.body
    assert answer.json().items() >= {"role": "editor", "tenant": "default", "project": "default"}.items()


@each(FORGED)
def test_forged(gate: Gate, make: Make, caplog: pytest.LogCaptureFixture) -> None:
    token = make(gate.forger)
    before = len(gate.notes.audits)
    with caplog.at_level(logging.DEBUG):
        answer = gate.whoami(token)
    assert (answer.status, answer.json()["error"]) == (401, "unauthorized"), answer.body
    assert answer["www-authenticate"].startswith("Bearer")
    (audited,) = gate.notes.audits[before:]
    assert audited["event"] == "auth.refused"
    assert not shown(token, answer.body.decode() + repr(audited) + caplog.text)


@each(ROLES)
def test_genuine_and_nothing_here(gate: Gate, make: Make) -> None:
    answer = gate.whoami(make(gate.forger))
    assert (answer.status, answer.json()["error"]) == (403, "forbidden")
    assert "ole" in answer.json()["detail"] or "owner" in answer.json()["detail"]


def test_there_are_many() -> None:
    assert len(FORGED) >= 60


def test_a_token_makes_nobody_ask_where_it_says(gate: Gate) -> None:
    for name in ("jku", "x5u", "kid an address"):
        assert gate.whoami(FORGED[name](gate.forger)).status == 401
    assert set(gate.directory.asked) == {WELL_KNOWN, "/keys"}


def test_who_shows_a_token_is_told_that_it_is_at_fault(gate: Gate) -> None:
    refused = gate.whoami(gate.forger.with_claims(exp=1))
    assert refused["www-authenticate"] == 'Bearer error="invalid_token"'
    assert refused.json()["detail"] == "The token has expired."
    with Wire(gate.address) as wire:
        wire.request("GET", "/v1/whoami", {})
        bare = wire.answer()
    assert (bare.status, bare["www-authenticate"]) == (401, "Bearer")
    assert bare.json()["detail"] == "No token: send the header 'Authorization: Bearer <token>'."


def test_no_single_letter_may_change(gate: Gate) -> None:
    gatekeeper, token = authenticator(gate.forger.issuer), gate.forger.good()

    async def accepted(presented: bytes) -> bool:
        headers = Headers(raw=[(b"authorization", b"Bearer " + presented)])
        try:
            await gatekeeper.authenticate(headers, Peer(None))
        except AuthenticationError:
            return False
        return True

    async def all_changed() -> list[int]:
        assert await accepted(token)
        changed = {
            at: token[:at] + (b"A" if token[at : at + 1] != b"A" else b"B") + token[at + 1 :]
            for at in range(len(token))
        }
        return [at for at, presented in changed.items() if await accepted(presented)]

    assert asyncio.run(all_changed()) == []
