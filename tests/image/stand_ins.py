"""Stand-ins for images that cannot be pulled, made from Debian's packages."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.image.engine import Engine

CA = Path("/etc/ssl/certs/ca-certificates.crt")
SUITE = "trixie"
"""The Debian release of the Dockerfile's default base, so that Python has the same version."""
NO_DOCS = "--dpkgopt=path-exclude=/usr/share/doc/*"
# As in the official images of Python, which ship no .pyc file of the standard library.
NO_PYC = '--customize-hook=find "$1"/usr/lib -path "*/python3*/__pycache__" -prune -exec rm -r {} +'


def is_there(engine: Engine, name: str) -> bool:
    """Return whether the engine has this image, or can pull it."""
    return any(engine.run("docker", *how, name).returncode == 0 for how in (("image", "inspect"), ("pull",)))


def make(engine: Engine, packages: Sequence[str], names: Mapping[str, Sequence[str]]) -> None:
    """Make a small system with these packages, and import it under each name with its Dockerfile instructions."""
    mmdebstrap = shutil.which("mmdebstrap")
    if mmdebstrap is None:
        pytest.fail(f"no mmdebstrap to make stand-ins with, and these cannot be pulled: {list(names)}", pytrace=False)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "root.tar"
        made = subprocess.run(
            [
                *(mmdebstrap, "--quiet", "--variant=minbase", f"--include={','.join(packages)}", NO_DOCS, NO_PYC),
                *(*_trust(Path(folder) / "pip.conf"), SUITE, str(root)),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert made.returncode == 0, made.stderr
        for name, instructions in names.items():
            engine.docker("import", *(f"--change={line}" for line in instructions), root, name)


def _trust(settings: Path) -> list[str]:
    """Return options with which pip in the stand-in uses the package index and the CAs of this machine."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    found = (line.partition("=") for line in listed.stdout.splitlines())
    lines = [f"index-url = {value.strip(chr(39))}" for name, _, value in found if name.endswith(".index-url")]
    hooks = [f"upload {settings} /etc/pip.conf"]
    if CA.exists():
        lines.append(f"cert = {CA}")
        hooks += [f'mkdir -p "$1"{CA.parent}', f"upload {CA} {CA}"]
    settings.write_text("\n".join(["[global]", *lines, ""]))
    return [f"--customize-hook={hook}" for hook in hooks]
