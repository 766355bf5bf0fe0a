"""curl as a client of the gateway: all steps in one process, so that it can keep its connection."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.clients.gateway_clients import Received, Step, document, pieces, received, run

HEADER = ("-H", "Sidecar-Request: true")


def with_curl(url: str, steps: Sequence[Step]) -> list[Received]:
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name, str(place)) for place in range(len(steps))]
        arguments: list[str | Path] = []
        for folder, step in zip(folders, steps, strict=True):
            folder.mkdir()
            arguments += ["--next", *_request(step, folder), "-D", folder / "head", "-o", folder / "body", "-sS"]
            arguments.append(url + step.path)
        run("curl", *arguments[1:])
        return [response(step, folder) for step, folder in zip(steps, folders, strict=True)]


def response(step: Step, folder: Path) -> Received:
    """Read the files `head` and `body`."""
    # A 100 (Continue) has a head of its own.
    first, *lines = (folder / "head").read_bytes().decode("latin-1").strip().split("\r\n\r\n")[-1].split("\r\n")
    fields = (line.partition(": ") for line in lines)
    body = b"" if step.kind == "head" or not (folder / "body").exists() else (folder / "body").read_bytes()
    return received(int(first.split(" ")[1]), ((name, value) for name, _, value in fields), body)


def _request(step: Step, folder: Path) -> Sequence[str | Path]:
    sent = folder / "sent"
    if step.kind == "json":
        sent.write_text(json.dumps(document(step.size), ensure_ascii=False))
        return (*HEADER, "-H", "Content-Type: application/json", "--data-binary", f"@{sent}")
    if step.kind == "stream":
        sent.write_bytes(b"".join(pieces(step.size)))
        return (*HEADER, "-H", "Transfer-Encoding: chunked", "-X", "POST", "-T", sent)
    return (*HEADER, "-I") if step.kind == "head" else HEADER
