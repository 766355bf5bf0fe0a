"""The certificates that partner calls trust. Their files are read in a thread, and only after a change."""

from __future__ import annotations

import hashlib
import ssl
from pathlib import Path

import pytest

from sidecar import file_operations
from sidecar.config.load import load
from sidecar.core.errors import ConfigurationError
from sidecar.core.process_events import PartnerCertificatesChanged, PartnerCertificatesUnreadable
from sidecar.file_operations import FileStalls
from sidecar.partner import transport as certificates_module
from sidecar.partner.transport import PartnerCertificates
from sidecar.trusted_certificates import TrustedCertificates
from tests.certificates import Authority
from tests.support.held_reading import HeldReading
from tests.support.partners import shipped
from tests.support.replica import HANG_S
from tests.support.sink import ListSink


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


@pytest.fixture
def folder(tmp_path: Path, authority: Authority) -> Path:
    """A folder with the CA under a name that OpenSSL looks for, and under another."""
    path = tmp_path / "folder"
    path.mkdir()
    for name in ("0a1b2c3d.0", "ca.pem"):
        (path / name).write_bytes(authority.certificate.read_bytes())
    return path


@pytest.fixture(autouse=True)
def without_time_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make each call wait for the check of the files, on a busy machine too."""
    monkeypatch.setattr(certificates_module, "CERTIFICATES_WAIT_S", HANG_S)
    monkeypatch.setattr(file_operations, "STALLED_AFTER_S", HANG_S)


def digests(context: ssl.SSLContext) -> list[str]:
    return sorted(hashlib.sha256(each).hexdigest() for each in context.get_ca_certs(binary_form=True))


def digest(authority: Authority) -> str:
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(authority.certificate.read_text())).hexdigest()


def opened(monkeypatch: pytest.MonkeyPatch, sink: ListSink, **environ: Path) -> PartnerCertificates:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name, path in environ.items():
        monkeypatch.setenv(name, str(path))
    return PartnerCertificates(sink, FileStalls(sink))


async def test_unchanged_files_are_not_loaded_again(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = ListSink()
    for environ in ({}, {"SSL_CERT_FILE": authority.certificate}):
        assert await opened(monkeypatch, sink, **environ).context() is True
    assert sink.events == []


async def test_a_changed_file_is_loaded_once_with_an_event(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink, other = ListSink(), Authority(tmp_path / "other")
    trusted = opened(monkeypatch, sink, SSL_CERT_FILE=authority.certificate)
    assert await trusted.context() is True
    authority.certificate.write_bytes("\u00dcber uns\n".encode() + other.certificate.read_bytes())
    first = await trusted.context()
    assert isinstance(first, ssl.SSLContext)
    assert (digests(first), first.check_hostname, first.verify_mode) == ([digest(other)], True, ssl.CERT_REQUIRED)
    assert await trusted.context() is first
    assert sink.events == [PartnerCertificatesChanged()]


@pytest.mark.parametrize("content", [b"", b"none", b"-----BEGIN CERTIFICATE-----\nMIIB", None])
async def test_an_unusable_file_is_one_event_and_the_previous_certificates_stay(
    content: bytes | None, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = ListSink()
    trusted = opened(monkeypatch, sink, SSL_CERT_FILE=authority.certificate)
    if content is None:
        authority.certificate.unlink()
    else:
        authority.certificate.write_bytes(content)
    for _ in range(2):
        assert await trusted.context() is True
    (event,) = sink.of(PartnerCertificatesUnreadable)
    assert event.problem.startswith(f"SSL_CERT_FILE: {authority.certificate}: ")
    assert len(sink.events) == 1


async def test_a_folder_is_read_whole_so_that_no_handshake_reads_files(
    folder: Path, tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink, other = ListSink(), Authority(tmp_path / "other")
    trusted = opened(monkeypatch, sink, SSL_CERT_DIR=folder, SSL_CERT_FILE=authority.certificate)
    context = await trusted.context()
    assert isinstance(context, ssl.SSLContext)
    assert digests(context) == [digest(authority)]
    assert context.cert_store_stats()["x509_ca"] == 1
    (folder / "0a1b2c3d.1").write_bytes(other.certificate.read_bytes())
    context = await trusted.context()
    assert isinstance(context, ssl.SSLContext)
    assert digests(context) == sorted([digest(authority), digest(other)])
    assert sink.events == [PartnerCertificatesChanged()]


async def test_while_the_files_hang_the_previous_certificates_stay(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = ListSink()
    trusted = opened(monkeypatch, sink, SSL_CERT_FILE=authority.certificate)
    held = HeldReading(())
    monkeypatch.setattr(TrustedCertificates, "version", lambda _: held())
    monkeypatch.setattr(file_operations, "STALLED_AFTER_S", 0.01)
    held.answers.clear()
    for _ in range(2):
        assert await trusted.context() is True
    assert held.calls == 1
    held.answers.set()


def test_unusable_files_at_the_start_are_a_warning(tmp_path: Path) -> None:
    environ = {"SIDECAR_API_KEY": "key", "SIDECAR_API_SECRET": "secret", "SSL_CERT_FILE": str(tmp_path / "none.pem")}
    settings = load(environ, shipped(pay1st="https://partner.invalid"))
    place = f"SSL_CERT_FILE: {tmp_path / 'none.pem'}"
    assert settings.warnings == (f"{place}: no such file; no certificate there is trusted",)


def test_files_that_hang_at_the_start_are_a_configuration_error(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = HeldReading[ssl.SSLContext](ssl.create_default_context())
    monkeypatch.setattr(TrustedCertificates, "load", lambda _: held())
    monkeypatch.setattr(file_operations, "STALLED_AFTER_S", 0.01)
    held.answers.clear()
    environ = {"SSL_CERT_FILE": str(authority.certificate), "SIDECAR_API_KEY": "key", "SIDECAR_API_SECRET": "secret"}
    with pytest.raises(ConfigurationError, match=r"SSL_CERT_FILE: .*the file system hangs"):
        load(environ, shipped(pay1st="https://partner.invalid"))
    held.answers.set()
