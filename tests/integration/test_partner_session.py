"""The certificates and the proxies that the environment names for partner calls."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import ssl
import sys
import traceback
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sidecar.core.errors import FailureKind, PartnerError
from sidecar.core.model import Credentials, PartnerToken, Secret
from sidecar.partner.client import PartnerClient
from sidecar.partner.presets import PRESETS
from sidecar.partner.transport import open_session, proxy_for
from tests.support.canary_call import always
from tests.support.hand_clock import HandClock
from tests.support.raw_partner import RawPartner, http, raw_partner
from tests.support.replica import PATIENT_S

CREDENTIALS = Credentials(api_key=Secret("canary-key"), api_secret=Secret("canary-secret"))
GOOD = json.dumps({"role": "API_USER", "accessToken": "access"}).encode()


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "partner")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now)
    builder = builder.not_valid_after(now + timedelta(hours=1))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
    path = tmp_path_factory.mktemp("tls") / "partner.pem"
    path.write_bytes(
        builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


@pytest.fixture
async def tls_partner(certificate: Path) -> AsyncIterator[RawPartner]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    async with raw_partner(context) as partner:
        partner.play = http("200 OK", GOOD)
        yield partner


@pytest.fixture
async def proxy() -> AsyncIterator[RawPartner]:
    async with raw_partner() as proxy:
        proxy.play = http("200 OK", GOOD)
        yield proxy


async def grant(url: str) -> PartnerToken:
    async with open_session() as session:
        client = PartnerClient(PRESETS["pay1st"], url, PATIENT_S, session, HandClock())
        return await client.grant(CREDENTIALS, "API_USER", always)


async def test_an_untrusted_certificate_is_a_connect_failure(tls_partner: RawPartner) -> None:
    with pytest.raises(PartnerError) as caught:
        await grant(tls_partner.url)
    assert (caught.value.kind, tls_partner.received) == (FailureKind.CONNECT, [])


async def checked_live(url: str, certificate: Path) -> tuple[int | None, str]:
    """Run `token-sidecar check --live` with that certificate trusted; return its exit code and its output."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "sidecar",
        "check",
        "--live",
        env={
            "SIDECAR_BASE_URL": url,
            "SIDECAR_API_KEY": "canary-key",
            "SIDECAR_API_SECRET": "canary-secret",
            "SSL_CERT_FILE": str(certificate),
        },
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    return process.returncode, said.decode()


async def test_a_certificate_of_ssl_cert_file_is_trusted(tls_partner: RawPartner, certificate: Path) -> None:
    code, said = await checked_live(tls_partner.url, certificate)
    assert (code, len(tls_partner.received)) == (0, 1), said


async def test_a_trusted_certificate_for_another_name_is_not_accepted(
    tls_partner: RawPartner, certificate: Path
) -> None:
    code, said = await checked_live(tls_partner.url.replace("127.0.0.1", "localhost"), certificate)
    assert (code, tls_partner.received) == (1, []), said
    assert "ClientConnectorCertificateError" in said


async def test_a_proxy_of_the_environment_carries_the_call(proxy: RawPartner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("http://", "http://me:pass@"))
    assert (await grant("http://partner.invalid")).access == Secret("access")
    assert proxy.received[0].startswith(b"POST http://partner.invalid/api/pay1st/auth/token HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic bWU6cGFzcw==\r\n" in proxy.received[0]


async def test_a_tls_call_shows_the_proxy_the_host_and_nothing_else(
    proxy: RawPartner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("http://", "http://me:canary-pass@"))
    proxy.play = http("407 Proxy Authentication Required", b"canary-body")
    with pytest.raises(PartnerError) as caught:
        await grant("https://partner.invalid")
    assert caught.value.kind is FailureKind.CONNECT
    assert "canary" not in "".join(traceback.format_exception(caught.value))
    assert [head.split(b"\r\n")[0] for head in proxy.received] == [b"CONNECT partner.invalid:443 HTTP/1.1"]
    assert b"\r\nAuthorization:" not in proxy.received[0]


async def test_a_proxy_that_is_down_is_a_connect_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://me:canary-pass@127.0.0.1:1")
    with pytest.raises(PartnerError) as caught:
        await grant("https://partner.invalid")
    assert caught.value.kind is FailureKind.CONNECT
    assert "canary" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://api.example", "http://tls-proxy"),
        ("http://api.example", "http://plain-proxy"),
        ("https://inside.example", None),
        ("https://deep.inside.example:8443/path", None),
        ("ftp://api.example", None),
        ("https://", None),
    ],
)
def test_the_environment_names_the_proxy(url: str, expected: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://tls-proxy")
    monkeypatch.setenv("HTTP_PROXY", "http://plain-proxy")
    monkeypatch.setenv("NO_PROXY", "inside.example")
    assert proxy_for(url) == expected
