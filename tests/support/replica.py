"""One replica as a real process, and the requests that tests send to it."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

HANG_S = 60
"""How long a test waits before it counts as hanging. It is long enough for a busy machine."""
PATIENT_S = 30
"""A time limit of a store, call or request that no busy machine reaches, for tests that are not about time limits."""
LOOK_S = 0.05
CALLER = {"Sidecar-Request": "true"}
SERVE = ("-m", "sidecar", "serve")


async def until(condition: Callable[[], bool | Awaitable[bool]], within_s: float = HANG_S) -> float:
    """Wait until the condition holds, and return how long that took. Fails after `within_s`."""
    began = time.monotonic()
    while True:
        holds = condition()
        if inspect.isawaitable(holds):
            holds = await holds
        if holds:
            return time.monotonic() - began
        assert time.monotonic() - began < within_s, f"not within {within_s} s: {inspect.getsource(condition).strip()}"
        await asyncio.sleep(LOOK_S)


@dataclass(frozen=True)
class Answer:
    """One response of a replica; `body` is empty if it has none, or if it is not a JSON object."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def body(self) -> dict[str, Any]:
        with contextlib.suppress(ValueError):
            document = json.loads(self.text)
            return document if isinstance(document, dict) else {}
        return {}

    @property
    def token_id(self) -> str:
        """The token id in a successful response. Fails for any other response."""
        assert self.status == 200, self.text
        assert self.body["accessToken"]
        return str(self.body["tokenId"])

    @property
    def code(self) -> str:
        return str(self.body.get("code", ""))


class Replica:
    """One process of `python -m sidecar serve`. Its output goes to `log`, from which its ports are read."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        environ: Mapping[str, str],
        log: Path,
        argv: Sequence[str] = SERVE,
    ) -> None:
        self.log = log
        self._session = session
        self.url = self._admin_url = ""
        with log.open("wb") as stream:
            # Only the path: proxies and settings of this environment must have no effect.
            self.process = subprocess.Popen(
                [sys.executable, *argv],
                env={"PATH": os.defpath, **environ},
                stdout=stream,
                stderr=subprocess.STDOUT,
            )

    async def listening(self) -> None:
        await until(lambda: bool(self.events("service_started")) or self.process.poll() is not None)
        started = self.events("service_started")
        assert started, self.output
        self.url, self._admin_url = (f"http://{started[0][name][0]}" for name in ("listen", "admin_listen"))

    def listens_at(self, vending: str, admin: str) -> None:
        """Set the addresses, for a replica whose log does not show them."""
        self.url, self._admin_url = f"http://{vending}", f"http://{admin}"

    async def has_started(self) -> bool:
        """Return whether it has a token to vend. It may not listen yet."""
        with contextlib.suppress(aiohttp.ClientError):
            return await self.ready()
        return False

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the log lines of one event, without a last line that is not complete."""
        whole = self.output.rpartition("\n")[0].splitlines()
        return [line for text in whole if name in text and (line := _document(text)).get("event") == name]

    async def ask(self, path: str = "/v1/token", headers: Mapping[str, str] = CALLER) -> Answer:
        return await self._exchange("GET", self.url + path, headers=headers)

    async def post(
        self,
        path: str,
        headers: Mapping[str, str] = CALLER,
        **content: Any,  # noqa: ANN401 - aiohttp's own arguments
    ) -> Answer:
        return await self._exchange("POST", self.url + path, headers=headers, **content)

    async def report(self, token_id: str) -> str:
        """Report a token as rejected, and return the verdict."""
        answer = await self.post("/v1/token/rejected", json={"tokenId": token_id})
        assert answer.status == 202, answer.text
        return str(answer.body["verdict"])

    async def admin(self, path: str) -> Answer:
        return await self._exchange("GET", self._admin_url + path)

    async def status(self) -> dict[str, Any]:
        """Return the entry of the default profile in `/status.json`."""
        document: dict[str, Any] = (await self.admin("/status.json")).body["profiles"]["default"]
        return document

    async def metric(self, name: str, **labels: str) -> float:
        """Return the sum of all series of `token_sidecar_<name>` that have these labels."""
        text = (await self.admin("/metrics")).text
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        return sum(
            sample.value
            for sample in samples
            if sample.name == f"token_sidecar_{name}" and labels.items() <= sample.labels.items()
        )

    async def ready(self) -> bool:
        return (await self.admin("/readyz")).status == 200

    @property
    def page_url(self) -> str:
        """The URL of the status page."""
        return f"{self._admin_url}/status"

    @property
    def output(self) -> str:
        """What it has written to stdout and stderr so far."""
        return self.log.read_text()

    @property
    def command_line(self) -> str:
        """The command line, as every user of the machine can read it."""
        return Path(f"/proc/{self.process.pid}/cmdline").read_text()

    @property
    def environment(self) -> str:
        """The environment it was started with; empty if this process may not read it, as without root."""
        with contextlib.suppress(PermissionError):
            return Path(f"/proc/{self.process.pid}/environ").read_text()
        return ""

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self, within_s: float = HANG_S) -> int:
        """Wait for the exit code."""
        await until(lambda: self.process.poll() is not None, within_s)
        return self.process.wait()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    async def _exchange(self, method: str, url: str, **arguments: Any) -> Answer:  # noqa: ANN401 - aiohttp's own
        async with self._session.request(method, url, **arguments) as response:
            return Answer(response.status, response.headers, await response.text())


def _document(line: str) -> dict[str, Any]:
    try:
        document = json.loads(line)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
