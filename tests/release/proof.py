"""An environment for a wheel, and the run of its command there."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path

LIMIT_S = 60
NOTHING_ELSE = {"PATH": os.defpath}
"""The environment of the command: no setting, and no PYTHONPATH, with which it could import the checkout."""


class Environment:
    """An empty virtual environment in `folder`. `log` gets a line for each installed package."""

    def __init__(self, folder: Path, log: Callable[[str], None]) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        self._python, self._log = folder / "bin/python", log
        self.command = folder / "bin/token-sidecar"

    def install(self, *what: str | Path) -> None:
        """Install packages. Raises `RuntimeError` with the output of pip, without addresses of registries."""
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(self._python)]
        line = [*pip, "install", "--progress-bar", "off", *map(str, what)]
        environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(
            line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environ, check=False
        )
        if done.returncode:
            raise RuntimeError("pip could not install:\n" + re.sub(r"\S+://\S+", "...", done.stdout))
        for packages in re.findall(r"^Successfully installed (.*)", done.stdout, re.MULTILINE):
            for package in packages.split():
                self._log(f"  {package}")

    def python(self, code: str) -> str:
        """Return the output of `code`."""
        return self._output(self._python, "-c", code)

    def version(self) -> str:
        """Return the output of `token-sidecar --version`."""
        return self._output(self.command, "--version")

    def _output(self, *line: str | Path) -> str:
        # From "/": a checkout in the current folder would be imported.
        done = subprocess.run(line, cwd="/", env=NOTHING_ELSE, stdout=subprocess.PIPE, text=True, check=True)
        return done.stdout.strip()


def token_of_the_demo(command: Path) -> str:
    """Start the demo, send the request of its curl line, end it as Ctrl-C does, and return the token.

    Raises `RuntimeError` if a step fails.
    """
    line = [str(command), "demo", "--port", "0", "--admin-port", "0", "--gateway-port", "0"]
    # With the log, for the error.
    with subprocess.Popen(
        line, cwd="/", env=NOTHING_ELSE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as demo:
        # Also ends every wait for a line.
        late = threading.Timer(LIMIT_S, demo.kill)
        late.start()
        try:
            assert demo.stdout is not None
            output = []
            for printed in demo.stdout:
                output.append(printed)
                if printed.lstrip().startswith("curl "):
                    break
            else:
                raise RuntimeError(f"the demo printed no curl line in {LIMIT_S} s, or ended:\n{''.join(output)}")
            token = _requested(printed)
            demo.send_signal(signal.SIGINT)
            rest = demo.stdout.read()
            demo.wait()
        finally:
            late.cancel()
            demo.kill()
    if demo.returncode or not rest.endswith("Stopped.\n"):
        raise RuntimeError(f"the demo ended with {demo.returncode}:\n{rest}")
    return token


def _requested(curl: str) -> str:
    _curl, _option, header, url = shlex.split(curl)
    # A proxy of the environment is not for this machine's own addresses.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, headers=dict([header.split(": ")]))
    with opener.open(request, timeout=LIMIT_S) as answer:
        return str(json.load(answer)["accessToken"])
