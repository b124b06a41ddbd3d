"""The whole service behind a certified provider, which runs for real."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from engramia.server.identity.oidc_claims import subject_id
from engramia.server.identity.oidc_keyring import FIRST_RETRY_SECONDS
from tests.oidc.provider import ALGORITHMS, AUDIENCE, CertifiedProvider, Client
from tests.server.api import Api, service

pytestmark = pytest.mark.slow

RUN = {"task": "Sum the invoices of a month by customer", "code": "print(1)", "eval_score": 8.0}
EDITOR = {"engramia_role": "editor"}
CLIENTS = {
    **{alg: Client(alg, claims=EDITOR) for alg in ALGORITHMS},
    "reader": Client(),
    "admin": Client(
        claims={"realm_access": {"roles": ["offline_access", "admin"]}, "engramia_role": "admin"}
    ),
    "owner": Client(claims={"engramia_role": "owner"}),
    "stranger": Client(audience="https://other.example.com"),
    "expired": Client(times={"exp": -1}),
    "early": Client(times={"nbf": 3600}),
    "future": Client(times={"iat": 3600}),
    "impostor": Client(overrides={"iss": "https://login.example.org"}),
    "tenant": Client(claims={**EDITOR, "org": {"id": "acme"}}),
    "lost": Client(claims={**EDITOR, "org": {"id": "../acme"}}),
}
RECOVERY_SECONDS = 20.0


@pytest.fixture(scope="module")
def provider() -> Iterator[CertifiedProvider]:
    with CertifiedProvider(CLIENTS) as running:
        yield running


@contextmanager
def behind(provider: CertifiedProvider, folder: Path, **settings: Any) -> Iterator[Api]:
    issuer = provider.issuer
    with service(folder, auth_mode="oidc", oidc_issuer=issuer, oidc_audience=AUDIENCE, **settings) as api:
        yield api


@pytest.fixture
def api(provider: CertifiedProvider, tmp_path: Path) -> Iterator[Api]:
    with behind(provider, tmp_path / "data") as running:
        yield running


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_every_algorithm_of_the_provider(provider: CertifiedProvider, api: Api, alg: str) -> None:
    stored = api.post("/v1/learn", RUN, provider.bearer(alg))
    assert stored.status == 200, stored.body
    key = stored.json()["pattern_key"]
    shown = api.call("GET", f"/v1/patterns/{key}", headers=provider.bearer("reader"))
    assert shown.status == 200, shown.body
    assert shown.json()["author"] == subject_id(provider.issuer, alg)


@pytest.mark.parametrize(
    ("client", "words"),
    [
        ("stranger", "for another audience"),
        ("expired", "has expired"),
        ("early", "not valid yet"),
        ("future", "issued in the future"),
        ("impostor", "issuer"),
    ],
)
def test_what_is_not_for_here(provider: CertifiedProvider, api: Api, client: str, words: str) -> None:
    answer = api.get("/v1/health", **provider.bearer(client))
    assert (answer.status, answer["www-authenticate"]) == (401, 'Bearer error="invalid_token"')
    assert words in answer.json()["detail"]


def test_another_provider_with_the_same_names_is_not_believed(provider: CertifiedProvider, api: Api) -> None:
    assert api.get("/v1/health", **provider.bearer("RS256")).status == 200
    with CertifiedProvider({"RS256": Client(overrides={"iss": provider.issuer})}) as other:
        answer = api.get("/v1/health", **other.bearer("RS256"))
    assert answer.status == 401
    assert "signature" in answer.json()["detail"]


def test_roles(provider: CertifiedProvider, api: Api, tmp_path: Path) -> None:
    assert api.get("/v1/metrics", **provider.bearer("reader")).status == 200
    refused = api.post("/v1/learn", RUN, provider.bearer("reader"))
    assert (refused.status, "'reader'" in refused.json()["detail"]) == (403, True)
    assert api.get("/v1/export", **provider.bearer("ES256")).status == 403
    assert api.get("/v1/export", **provider.bearer("admin")).status == 200
    owner = api.get("/v1/health", **provider.bearer("owner"))
    assert (owner.status, "ENGRAMIA_OIDC_OWNER_ROLE" in owner.json()["detail"]) == (403, True)
    allowed: dict[str, Any] = {"oidc_owner_role": "owner", "oidc_role_claim": "engramia_role"}
    with behind(provider, tmp_path / "allowed", **allowed) as other:
        assert other.get("/v1/health", **provider.bearer("owner")).status == 200
    with behind(provider, tmp_path / "nested", oidc_role_claim="realm_access.roles") as nested:
        assert nested.get("/v1/export", **provider.bearer("admin")).status == 200
        assert nested.get("/v1/export", **provider.bearer("RS256")).status == 403


def test_projects_are_for_admins_to_name(provider: CertifiedProvider, api: Api) -> None:
    elsewhere = {"X-Project-Id": "other"}
    api.post("/v1/learn", RUN, provider.bearer("admin") | elsewhere)
    assert api.get("/v1/metrics", **provider.bearer("admin")).json()["pattern_count"] == 0
    named = api.get("/v1/metrics", **provider.bearer("admin"), **elsewhere)
    assert named.json()["pattern_count"] == 1
    assert api.get("/v1/metrics", **provider.bearer("RS256"), **elsewhere).status == 403


def test_tenants_are_apart(provider: CertifiedProvider, tmp_path: Path) -> None:
    with behind(provider, tmp_path / "data", oidc_tenant_claim="org.id") as api:
        assert api.post("/v1/learn", RUN, provider.bearer("tenant")).status == 200
        missing = api.get("/v1/metrics", **provider.bearer("RS256"))
        assert (missing.status, "tenant" in missing.json()["detail"]) == (403, True)
        unfit = api.get("/v1/metrics", **provider.bearer("lost"))
        assert (unfit.status, "tenant" in unfit.json()["detail"]) == (403, True)
    with behind(provider, tmp_path / "data") as api:
        assert api.get("/v1/metrics", **provider.bearer("RS256")).json()["pattern_count"] == 0


def test_tools_over_mcp_take_the_same_tokens(provider: CertifiedProvider, api: Api) -> None:
    def call(tool: str, arguments: dict[str, Any], headers: dict[str, str]) -> Any:
        kind = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-11-25"}
        call = {"name": tool, "arguments": arguments}
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
        return api.post("/v1/mcp", body, kind | headers)

    stored = call("engramia_learn", RUN, provider.bearer("EdDSA")).json()["result"]
    assert stored["structuredContent"]["stored"] is True
    refused = call("engramia_learn", RUN, provider.bearer("reader")).json()["result"]
    assert refused["isError"] is True
    assert call("engramia_metrics", {}, provider.bearer("stranger")).status == 401
    assert call("engramia_metrics", {}, {}).status == 401


def test_new_keys_of_the_provider(tmp_path: Path) -> None:
    with CertifiedProvider(CLIENTS) as provider, behind(provider, tmp_path / "data") as api:
        old = provider.bearer("RS256")
        assert api.get("/v1/health", **old).status == 200
        provider.stop()
        assert api.get("/v1/health", **old).status == 200  # its keys are known
        provider.start()
        new = provider.bearer("RS256")
        assert _until(api, new, 200) == 200
        answer = api.get("/v1/health", **old)  # withdrawn, and known to be
        assert (answer.status, "does not publish" in answer.json()["detail"]) == (401, True)


def test_a_start_before_the_provider(tmp_path: Path) -> None:
    with CertifiedProvider(CLIENTS) as provider:
        bearer = provider.bearer("RS256")
        provider.stop()
        with behind(provider, tmp_path / "data") as api:
            answer = api.get("/v1/health", **bearer)
            assert (answer.status, answer.json()["error"]) == (503, "unavailable")
            assert 1 <= int(answer["retry-after"]) <= FIRST_RETRY_SECONDS
            assert api.get("/v1/health/live").status == 200
            assert api.get("/v1/health").status == 401  # who shows nothing is told so all the same
            provider.start()
            assert _until(api, provider.bearer("RS256"), 200) == 200


def _until(api: Api, bearer: dict[str, str], status: int) -> int:
    """Ask until the answer has `status`, as long as a client that heeds Retry-After would."""
    ends = time.monotonic() + RECOVERY_SECONDS
    while True:
        answer = api.get("/v1/health", **bearer)
        if answer.status == status or time.monotonic() > ends:
            return answer.status
        time.sleep(0.2)
