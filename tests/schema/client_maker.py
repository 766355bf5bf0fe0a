"""A client of both listeners, made from the OpenAPI document by `openapi-python-client`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from sidecar.web.api.openapi import document

PACKAGE = "made_client"


def make_client(folder: Path) -> None:
    """Write the package `PACKAGE` into `folder`. Fails if the generator reports a problem of the document."""
    described, settings = folder / "openapi.json", folder / "settings.yaml"
    described.write_text(json.dumps(document()), encoding="utf-8")
    # Without a formatter: the result is not for reading.
    settings.write_text("post_hooks: []\n", encoding="utf-8")
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("openapi-python-client")), "generate", "--meta", "none",
            "--fail-on-warning", "--path", str(described), "--config", str(settings),
            "--output-path", str(folder / PACKAGE),
        ],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    output = done.stdout + done.stderr
    assert (done.returncode, "arning" in output) == (0, False), output
