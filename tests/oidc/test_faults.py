"""A service whose provider fails it: nobody is let in who should not be, and nobody else is held up."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from starlette.responses import PlainTextResponse

from engramia.server.identity.oidc_keyring import FIRST_RETRY_SECONDS
from tests.oidc.directory import WELL_KNOWN, Directory, directory
from tests.oidc.forger import AUDIENCE, Forger
from tests.server.api import Api, service
from tests.server.kit.edge_app import at_once

pytestmark = pytest.mark.slow

KINDS = 1_000
CLIENTS = 16


@pytest.fixture(scope="module")
def forger() -> Forger:
    return Forger()


@contextmanager
def behind(forger: Forger, folder: Path) -> Iterator[tuple[Api, Directory]]:
    with directory(forger.published()) as found:
        forger.issuer = found.issuer
        with service(folder, auth_mode="oidc", oidc_issuer=found.issuer, oidc_audience=AUDIENCE) as api:
            yield api, found


def bearer(token: bytes) -> dict[str, str]:
    return {"Authorization": f"Bearer {token.decode()}"}


def test_a_thousand_strange_keys_ask_the_provider_once(forger: Forger, tmp_path: Path) -> None:
    with behind(forger, tmp_path) as (api, found):
        claims = forger.claims()
        strange = [bearer(forger.signed(claims, kid=f"strange-{number}")) for number in range(KINDS)]
        begun = time.monotonic()
        answers = at_once(
            CLIENTS,
            lambda at: [api.get("/v1/health", **headers).status for headers in strange[at::CLIENTS]],
        )
        fetches = 1 + int((time.monotonic() - begun) / 10)
        assert {status for each in answers for status in each} == {401}
        assert found.asked[WELL_KNOWN] == found.asked["/keys"] <= fetches
        assert api.get("/v1/health", **bearer(forger.good())).status == 200


def test_a_provider_that_hangs_holds_up_nobody_else(forger: Forger, tmp_path: Path) -> None:
    with behind(forger, tmp_path) as (api, found):
        found.may_answer.clear()
        waits = threading.Thread(target=api.get, args=("/v1/health",), kwargs=bearer(forger.good()))
        waits.start()
        assert found.waiting.wait(10)
        begun = time.monotonic()
        assert api.get("/v1/health/live").status == 200
        assert api.get("/v1/health").status == 401
        assert time.monotonic() - begun < 2  # while the fetch goes on for seconds
        assert waits.is_alive()
        found.may_answer.set()
        waits.join(10)
        assert api.get("/v1/health", **bearer(forger.good())).status == 200


def test_a_provider_that_fails_is_nobodys_fault(forger: Forger, tmp_path: Path) -> None:
    with behind(forger, tmp_path) as (api, found):
        found.answer = PlainTextResponse("busy", 500)
        token = bearer(forger.good())
        answer = api.get("/v1/health", **token)
        assert (answer.status, answer.json()["error"]) == (503, "unavailable")
        assert found.issuer not in answer.json()["detail"]
        found.answer = None
        ends = time.monotonic() + 5 * FIRST_RETRY_SECONDS
        while answer.status == 503 and time.monotonic() < ends:
            time.sleep(0.2)
            answer = api.get("/v1/health", **token)
        assert answer.status == 200


def test_a_document_of_somebody_else_lets_nobody_in(forger: Forger, tmp_path: Path) -> None:
    with behind(forger, tmp_path) as (api, found):
        found.discovery = {"issuer": "https://login.example.org"}
        assert api.get("/v1/health", **bearer(forger.good())).status == 503
