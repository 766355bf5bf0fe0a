"""A Docker engine: a running one, or else one that is started for the tests."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.programs import found

START_S = 30


class Engine:
    """An engine, controlled by the `docker` command."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self.environ = environ

    def run(self, *words: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run any command that uses an engine, such as compose."""
        return subprocess.run(
            words, env=self.environ, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )

    def docker(self, *words: str | Path, stdin: bytes = b"") -> str:
        """Return the output, with stderr. Fails for any exit code but 0."""
        return self.output_of("docker", *words, stdin=stdin)

    def output_of(self, *words: str | Path, stdin: bytes = b"") -> str:
        done = self.run(*words, stdin=stdin)
        output = done.stdout.decode().strip()
        assert done.returncode == 0, f"{words}: {output}"
        return output

    def inspect(self, name: str) -> Any:  # noqa: ANN401 - the engine's own document
        return json.loads(self.docker("inspect", name))[0]

    def answers(self) -> bool:
        return self.run("docker", "info", "--format", "{{.ServerVersion}}").returncode == 0


def wait_until(what: Callable[[], bool], limit_s: float) -> None:
    deadline = time.monotonic() + limit_s
    while not what():
        assert time.monotonic() < deadline, f"not in {limit_s} s"
        time.sleep(0.1)


@contextmanager
def any_engine() -> Iterator[Engine]:
    """Yield the running engine. If there is none, root gets one, with its data in a temporary folder."""
    running = Engine()
    if running.answers():
        yield running
        return
    dockerd = found("dockerd")
    if dockerd is None or os.geteuid() != 0:
        pytest.fail("no Docker engine answers; root could start one from the distribution's package", pytrace=False)
    with tempfile.TemporaryDirectory(prefix="engine-") as folder, _own_engine(dockerd, Path(folder)) as own:
        yield own


@contextmanager
def _own_engine(dockerd: str, folder: Path) -> Iterator[Engine]:
    host = f"unix://{folder}/socket"
    options = {"host": host, "data-root": folder / "data", "exec-root": folder / "run", "pidfile": folder / "pid"}
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [dockerd, *(f"--{name}={value}" for name, value in options.items())],
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    engine = Engine({**os.environ, "DOCKER_HOST": host})
    try:
        wait_until(lambda: process.poll() is not None or engine.answers(), START_S)
        assert process.poll() is None, log.read_text()[-2000:]
        yield engine
    finally:
        process.terminate()
        process.wait()
