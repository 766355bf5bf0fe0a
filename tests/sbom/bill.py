"""Make the bill of materials with `cyclonedx-py`, and validate it with the schema of CycloneDX."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

import sidecar
from tests.sbom.lock_graph import locked
from tests.sbom.tidied import tidied

TOP = Path(__file__).parents[2]
LOCK, PROJECT = TOP / "requirements.lock", TOP / "pyproject.toml"
SCHEMA = SchemaVersion.V1_6


def bill() -> str:
    """Return the document, the same for the same lock. Raises `ValueError` if it is no valid CycloneDX."""
    text = json.dumps(tidied(_generated(), locked(LOCK.read_text(encoding="utf-8")), sidecar.__version__), indent=2)
    if wrong := JsonStrictValidator(SCHEMA).validate_str(text):
        raise ValueError(f"not CycloneDX {SCHEMA.to_version()}: {wrong}")
    return text + "\n"


def _generated() -> dict[str, object]:
    done = subprocess.run(
        [
            sys.executable, "-m", "cyclonedx_py", "requirements", str(LOCK), "--pyproject", str(PROJECT),
            "--output-reproducible", "--output-format", "JSON", "--spec-version", SCHEMA.to_version(),
        ],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        raise ValueError(done.stderr)
    found: dict[str, object] = json.loads(done.stdout)
    return found
