"""The file `private-key`: accepted and refused keys, that no problem shows the key, and a key that is replaced."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from sidecar.core.errors import CredentialsError
from sidecar.core.model import Credentials, Secret
from sidecar.credentials.directory import DirectoryCredentials
from sidecar.credentials.private_key import algorithm, checked_key
from tests.support.private_keys import ec_key, pem, rsa_key, secrets_in

NO_KEY = "no private key in PEM form without a pass phrase"
OTHER_KEY = "must be an RSA key of 2048 bits or more, or an EC key on P-256"


@pytest.fixture(scope="module")
def rsa_2048() -> rsa.RSAPrivateKey:
    return rsa_key()


def mounted(folder: Path, private_key: str | bytes, **more: str) -> DirectoryCredentials:
    folder.mkdir(exist_ok=True)
    files: dict[str, str | bytes] = {"api-key": "client:1", "private-key": private_key, **more}
    for name, content in files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return DirectoryCredentials(folder, by_private_key=True, key_may_have_colon=True)


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL], ids=["pkcs8", "traditional"])
@pytest.mark.parametrize("expected", ["RS256", "ES256"])
def test_a_key_stands_in_for_the_secret(
    tmp_path: Path, rsa_2048: rsa.RSAPrivateKey, form: PrivateFormat, expected: str
) -> None:
    text = pem(rsa_2048 if expected == "RS256" else ec_key(), form)
    found = mounted(tmp_path, f"\n{text}\n").read()
    assert found == Credentials(api_key=Secret("client:1"), api_secret=Secret(text.strip()))
    assert algorithm(checked_key(found.api_secret.reveal())) == expected


def refused_keys() -> Mapping[str, tuple[str | bytes, str]]:
    good = rsa_key()
    numbers = good.private_numbers()
    damaged = rsa.RSAPrivateNumbers(
        numbers.p, numbers.q, numbers.d + 2, numbers.dmp1 + 2, numbers.dmq1, numbers.iqmp, numbers.public_numbers
    ).private_key(unsafe_skip_rsa_key_validation=True)
    public = good.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    der = good.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return {
        "no PEM": ("canary-in-place-of-a-key", NO_KEY),
        "cut off": (pem(good)[:900], NO_KEY),
        "a line is missing": (_without_line(pem(good), 5), NO_KEY),
        "encrypted": (pem(good, pass_phrase=b"phrase"), NO_KEY),
        "a public key": (public, NO_KEY),
        "too short": (pem(rsa_key(1024)), OTHER_KEY),
        "P-384": (pem(ec_key(ec.SECP384R1())), OTHER_KEY),
        "secp256k1": (pem(ec_key(ec.SECP256K1())), OTHER_KEY),
        "Ed25519": (pem(ed25519.Ed25519PrivateKey.generate()), OTHER_KEY),
        "damaged": (pem(damaged), "a private key that is damaged: its signature is not valid"),
        "DER": (der, "not UTF-8"),
        "empty": ("", NO_KEY),
        "too long": (pem(good) + "\n" * 20_000, "longer than 16384 bytes"),
    }


def _without_line(text: str, number: int) -> str:
    lines = text.splitlines()
    return "\n".join([*lines[:number], *lines[number + 1 :]])


REFUSED = refused_keys()


@pytest.mark.parametrize("name", REFUSED)
def test_a_key_that_cannot_be_used_is_refused_and_not_shown(tmp_path: Path, name: str) -> None:
    content, expected = REFUSED[name]
    with pytest.raises(CredentialsError) as caught:
        mounted(tmp_path, content).read()
    assert str(caught.value) == f"{tmp_path}/private-key: {expected}"
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    text = content.decode("latin-1") if isinstance(content, bytes) else content
    assert not [line for line in text.splitlines() if len(line) > 20 and "-----" not in line and line in shown]


def test_a_missing_key_is_named_and_a_secret_is_no_substitute(tmp_path: Path) -> None:
    source = mounted(tmp_path, pem(ec_key()), **{"api-secret": "secret"})
    (tmp_path / "private-key").unlink()
    with pytest.raises(CredentialsError, match="private-key: no such file"):
        source.read()


def test_the_file_of_the_secret_is_not_read_beside_a_key(tmp_path: Path) -> None:
    text = pem(ec_key())
    source = mounted(tmp_path, text, **{"api-secret": "", "signing-key": "sign"})
    assert source.read().api_secret == Secret(text.strip())
    assert source.read().signing_key == Secret("sign")


def test_the_next_reading_returns_a_key_that_was_replaced(tmp_path: Path) -> None:
    first, second = pem(ec_key()), pem(ec_key())
    source = mounted(tmp_path, first)
    before = source.read()
    (tmp_path / "private-key").write_text(second)
    assert (before.api_secret, source.read().api_secret) == (Secret(first.strip()), Secret(second.strip()))


@pytest.mark.parametrize("kind", ["RS256", "ES256"])
def test_credentials_do_not_show_a_part_of_the_key(tmp_path: Path, rsa_2048: rsa.RSAPrivateKey, kind: str) -> None:
    text = pem(rsa_2048 if kind == "RS256" else ec_key())
    found = mounted(tmp_path, text).read()
    shown = f"{found!r} {found} {found.api_secret!r} {[found]} {found.credentials_id}"
    assert not [secret for secret in secrets_in(text) if secret in shown]
