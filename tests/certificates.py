"""Certificates for tests, made by openssl."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

_NEW_KEY = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"


@dataclass(frozen=True)
class Pair:
    """A certificate and its key."""

    certificate: Path
    key: Path


class Authority:
    """A CA of a test's own; everything it makes lies in its folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self.certificate = folder / "ca.pem"
        # Python 3.13 checks by the letter of RFC 5280: who may sign, and whose key did.
        self._openssl(
            f"req -x509 {_NEW_KEY} -keyout ca.key -out ca.pem -subj /CN=ca -addext keyUsage=critical,keyCertSign"
        )

    def issue(self, name: str, whose: str = "IP:127.0.0.1") -> Pair:
        """One which may be used by servers and clients."""
        (self._folder / f"{name}.ext").write_text(f"subjectAltName={whose}\nauthorityKeyIdentifier=keyid\n")
        self._openssl(f"req {_NEW_KEY} -keyout {name}.key -out {name}.csr -subj /CN={name}")
        signed_by = "-CA ca.pem -CAkey ca.key -CAcreateserial -days 2"
        self._openssl(f"x509 -req -in {name}.csr {signed_by} -out {name}.pem -extfile {name}.ext")
        return Pair(self._folder / f"{name}.pem", self._folder / f"{name}.key")

    def locked_key(self) -> Path:
        """A key that takes a pass phrase."""
        self._openssl("ec -in ca.key -aes256 -passout pass:phrase -out locked.key")
        return self._folder / "locked.key"

    def _openssl(self, command: str) -> None:
        subprocess.run(["openssl", *command.split()], cwd=self._folder, check=True, capture_output=True)
