"""One replica as a real process, and what it can be asked."""

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
"""What anything may take: no verdict, only the end of a test that would hang. A busy machine may take its time."""
LOOK_S = 0.02
CALLER = {"Sidecar-Request": "true"}
SERVE = ("-m", "sidecar", "serve")


async def until(condition: Callable[[], bool | Awaitable[bool]], within_s: float = HANG_S) -> float:
    """Look until the condition holds and answer how long that took; fails when it never does."""
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
    """One answer of a replica; `body` is empty when there was none or it is no JSON object."""

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
        """The id in a good answer; anything else fails the test that asks."""
        assert self.status == 200, self.text
        assert self.body["accessToken"]
        return str(self.body["tokenId"])

    @property
    def code(self) -> str:
        return str(self.body.get("code", ""))


class Replica:
    """One `python -m sidecar serve`. Its whole output goes to `log`; its ports are read from there."""

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
            # Nothing of this environment but the path: proxies and settings of the machine stay outside.
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
        """For one whose log does not say so: the addresses it was given."""
        self.url, self._admin_url = f"http://{vending}", f"http://{admin}"

    async def has_started(self) -> bool:
        """Whether it has a token to vend, also of one that may not listen yet."""
        with contextlib.suppress(aiohttp.ClientError):
            return await self.ready()
        return False

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log lines of one event; a line half written is left for the next look."""
        whole = self.output.rpartition("\n")[0].splitlines()
        return [line for line in map(_document, whole) if line.get("event") == name]

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
        """Report a token as rejected; the verdict."""
        answer = await self.post("/v1/token/rejected", json={"tokenId": token_id})
        assert answer.status == 202, answer.text
        return str(answer.body["verdict"])

    async def admin(self, path: str) -> Answer:
        return await self._exchange("GET", self._admin_url + path)

    async def status(self) -> dict[str, Any]:
        """`/status.json` of the one profile."""
        document: dict[str, Any] = (await self.admin("/status.json")).body["profiles"]["default"]
        return document

    async def metric(self, name: str, **labels: str) -> float:
        """The sum over all series of `token_sidecar_<name>` that carry these labels."""
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
        """The page for people."""
        return f"{self._admin_url}/status"

    @property
    def output(self) -> str:
        """All it has written so far, to stdout and stderr."""
        return self.log.read_text()

    @property
    def command_line(self) -> str:
        """As every user of the machine can see it."""
        return Path(f"/proc/{self.process.pid}/cmdline").read_text()

    @property
    def environment(self) -> str:
        """As it was started with; empty for who is not root, and so may not see it."""
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
