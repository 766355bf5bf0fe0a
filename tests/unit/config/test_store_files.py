"""The files that a store's URL names, checked at the start."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sidecar.config.load import load
from sidecar.config.schema import Settings
from sidecar.core.errors import ConfigurationError
from tests.certificates import Authority, Pair
from tests.support.partners import shipped

PRESETS = shipped(pay1st="https://partner.test")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return Authority(tmp_path_factory.mktemp("certificates") / "ca").issue("mine")


def loaded(store: str) -> Settings:
    environ = {"STORE": store, "SEAL": "off", "API_KEY": "k", "API_SECRET": "s"}
    return load({f"SIDECAR_{name}": text for name, text in environ.items()}, PRESETS)


def problems(store: str) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        loaded(store)
    assert "canary" not in str(caught.value)
    return caught.value.problems


def test_usable_files_are_accepted(tmp_path: Path, certificate: Pair) -> None:
    (tmp_path / "password").write_text("\ufeffcanary\n", encoding="utf-8")
    own = f"ssl_certfile={certificate.certificate}&ssl_keyfile={certificate.key}"
    query = f"password_file={tmp_path / 'password'}&ssl_ca_certs={certificate.certificate}&{own}"
    assert loaded(f"rediss://app@h?{query}").store.text.reveal().endswith(query)
    assert loaded("memory://").store.text.reveal() == "memory://"


def test_every_unusable_file_is_named(tmp_path: Path, certificate: Pair) -> None:
    for name, content in {"empty": b" \n", "binary": b"\xffcanary", "quoted": b"'canary'", "text": b"canary"}.items():
        (tmp_path / name).write_bytes(content)
    where = f"rediss+sentinel://app@h/m?password_file={tmp_path / 'gone'}&sentinel_password_file={tmp_path / 'empty'}"
    own = f"ssl_certfile={certificate.certificate}&ssl_keyfile={tmp_path / 'gone'}"
    assert problems(f"{where}&ssl_ca_certs={tmp_path / 'text'}&{own}") == (
        f"SIDECAR_STORE: password_file {tmp_path / 'gone'}: no such file",
        f"SIDECAR_STORE: sentinel_password_file {tmp_path / 'empty'}: empty",
        f"SIDECAR_STORE: ssl_keyfile {tmp_path / 'gone'}: no such file",
        f"SIDECAR_STORE: ssl_ca_certs {tmp_path / 'text'} cannot be used (NO_CERTIFICATE_OR_CRL_FOUND)",
    )
    for name, problem in {"binary": "not UTF-8", "quoted": "has quotes around it", ".": "not a regular file"}.items():
        path = tmp_path / name
        assert problems(f"redis://h?password_file={path}") == (f"SIDECAR_STORE: password_file {path}: {problem}",)


def test_a_key_of_another_certificate_or_with_a_pass_phrase_is_refused(tmp_path: Path, certificate: Pair) -> None:
    """OpenSSL does not ask the terminal for the pass phrase."""
    other = Authority(tmp_path / "other")
    own = f"rediss://h?ssl_certfile={certificate.certificate}&ssl_keyfile="
    (found,) = problems(f"{own}{other.issue('b').key}")
    assert found.endswith("cannot be used (KEY_VALUES_MISMATCH)")
    (found,) = problems(f"{own}{other.locked_key()}")
    assert "cannot be used (" in found


def test_a_fifo_and_a_device_are_named_without_a_wait_or_a_read(tmp_path: Path, certificate: Pair) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    own = f"ssl_certfile={fifo}&ssl_keyfile={certificate.key}"
    assert problems(f"rediss://h?password_file={fifo}&ssl_ca_certs=/dev/zero&{own}") == tuple(
        f"SIDECAR_STORE: {option} {path}: not a regular file"
        for option, path in (("password_file", fifo), ("ssl_ca_certs", "/dev/zero"), ("ssl_certfile", fifo))
    )


def test_an_impossible_path_is_named() -> None:
    with pytest.raises(ConfigurationError) as caught:
        loaded("rediss://h?ssl_ca_certs=/%00")
    assert caught.value.problems == ("SIDECAR_STORE: ssl_ca_certs /\0: no file can have this path",)
