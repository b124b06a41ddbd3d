"""How a provider is asked for its keys: over TLS, in time, in bounds, and nowhere else."""

import asyncio
import ipaddress
import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from engramia.server.identity.oidc_address import issuer_problem, may_be_asked
from engramia.server.identity.oidc_provider import DOCUMENT_MAX_BYTES, Provider, ProviderFault
from tests.oidc.directory import WELL_KNOWN, directory
from tests.oidc.minting import Key

KEY = Key("ES256", "only-key")


def reason(issuer: str, deadline: float = 5.0) -> str:
    """Return why the provider is not believed."""
    with pytest.raises(ProviderFault) as caught:
        asyncio.run(Provider(issuer).keys(deadline))
    assert str(caught.value) == "The identity provider cannot be reached just now; try again shortly."
    return caught.value.reason


def test_keys_are_found_where_the_discovery_document_says() -> None:
    with directory([KEY.public()]) as found:
        (key,) = asyncio.run(Provider(found.issuer).keys()).keys
        assert (key.kid, key.algorithms) == ("only-key", ("ES256",))
        assert dict(found.asked) == {WELL_KNOWN: 1, "/keys": 1}


def test_an_issuer_that_ends_in_a_slash_is_spelled_so() -> None:
    with directory([KEY.public()]) as found:
        bare = found.issuer
        found.issuer = f"{bare}/"
        found.discovery = {"jwks_uri": f"{bare}/keys"}
        assert asyncio.run(Provider(f"{bare}/").keys()).keys
        assert "letter by letter" in reason(bare)


@pytest.mark.parametrize("named", ["https://login.example.org", "", None, 7])
def test_a_document_of_another_issuer_is_not_believed(named: object) -> None:
    with directory([KEY.public()]) as found:
        found.discovery = {"issuer": named}
        assert "letter by letter" in reason(found.issuer)
        assert "/keys" not in found.asked


@pytest.mark.parametrize(
    "uri",
    ["http://login.example.org/keys", "file:///etc/passwd", "ftp://127.0.0.1/k", "/keys", "", None, 7, []],
)
def test_keys_are_asked_for_over_tls_alone(uri: object) -> None:
    with directory([KEY.public()]) as found:
        found.discovery = {"jwks_uri": uri}
        assert "jwks_uri" in reason(found.issuer)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (RedirectResponse("/keys", 302), "answered 302"),
        (RedirectResponse("https://login.example.org/", 308), "answered 308"),
        (PlainTextResponse("busy", 503), "answered 503"),
        (PlainTextResponse("<html>", 200), "not answer with JSON"),
        (JSONResponse([1]), "not answer with a JSON object"),
        (Response(b"x" * (DOCUMENT_MAX_BYTES + 1)), "more than"),
        (Response(b"{}", headers={"content-encoding": "gzip"}), "encoding"),
    ],
)
def test_answers_that_are_none(answer: Response, words: str) -> None:
    with directory() as found:
        found.answer = answer
        assert words in reason(found.issuer)
        assert found.asked.total() == 1


def test_a_key_set_is_an_object_with_a_list() -> None:
    with directory() as found:
        found.keys = {"kty": "RSA"}  # type: ignore[assignment]  # what a provider had better not send
        assert "no list" in reason(found.issuer)


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert "ConnectError" in reason(f"http://127.0.0.1:{port}")


def test_one_that_does_not_answer_is_not_waited_for() -> None:
    with directory() as found:
        found.may_answer.clear()
        begun = time.monotonic()
        assert "0.2 seconds" in reason(found.issuer, 0.2)
        assert time.monotonic() - begun < 5


def test_one_that_answers_letter_by_letter_is_not_waited_for() -> None:
    over = threading.Event()

    def dribble(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
            while not over.wait(0.02):
                try:
                    connection.sendall(b"H")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=dribble, args=(listener,), daemon=True)
        thread.start()
        begun = time.monotonic()
        said = reason(f"http://127.0.0.1:{listener.getsockname()[1]}", 0.5)
        over.set()
        thread.join(5)
    assert "0.5 seconds" in said
    assert time.monotonic() - begun < 5


def test_a_certificate_that_nobody_vouches_for_is_none(tmp_path: Path) -> None:
    key_file, certificate_file = _certificate(tmp_path)
    with directory([KEY.public()], ssl_keyfile=key_file, ssl_certfile=certificate_file) as found:
        found.issuer = found.issuer.replace("http:", "https:")
        assert "certificate" in reason(found.issuer).lower()
        assert not found.asked


def _certificate(folder: Path) -> tuple[Path, Path]:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.fromtimestamp(time.time(), UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(KEY.private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(KEY.private, hashes.SHA256())
    )
    key_file, certificate_file = folder / "key.pem", folder / "certificate.pem"
    key_file.write_bytes(
        KEY.private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    certificate_file.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    return key_file, certificate_file


@pytest.mark.parametrize(
    "issuer",
    [
        "https://login.example.com",
        "https://login.example.com/realms/main/",
        "https://login.example.com:8443/x",
        "http://localhost:8080/realms/main",
        "http://127.0.0.1:9",
        "http://[::1]:9",
    ],
)
def test_issuers(issuer: str) -> None:
    assert issuer_problem(issuer) is None


@pytest.mark.parametrize(
    "issuer",
    [
        "http://login.example.com",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
        "http://10.0.0.7",
        "login.example.com",
        "https://",
        "https://me:pass@login.example.com",
        "https://login.example.com?x=1",
        "https://login.example.com#x",
        "https://login.example.com:port",
        "ftp://login.example.com",
        "https://[::1",
    ],
)
def test_what_is_no_issuer(issuer: str) -> None:
    assert "ENGRAMIA_OIDC_ISSUER" in (issuer_problem(issuer) or "")


def test_a_provider_elsewhere_sends_nobody_to_this_machine_in_the_clear() -> None:
    assert may_be_asked("https://keys.example.com", local=False)
    assert not may_be_asked("http://127.0.0.1/keys", local=False)
