"""A real Chromium, controlled by its DevTools protocol (CDP)."""

from __future__ import annotations

import asyncio
import base64
import itertools
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.programs import found
from tests.support.replica import HANG_S

FLAGS = (
    "--headless",
    "--no-sandbox",  # the tests may run as root
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)
COMPLAINTS = ("error", "warning", "assert")


@contextmanager
def browser_process(folder: Path) -> Iterator[str]:
    """Start a browser with an empty profile in `folder`; yields the address of its protocol."""
    chromium = found("chromium")
    assert chromium, "tests/install-programs installs chromium"
    command = [chromium, *FLAGS, f"--user-data-dir={folder}", "about:blank"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield _address(folder / "DevToolsActivePort", process)
        finally:
            # By its protocol, so that its child processes end as well.
            process.terminate()
            process.wait(HANG_S)


def _address(file: Path, process: subprocess.Popen[bytes]) -> str:
    """Wait for the file with its port and path, which it writes when it listens."""
    began = time.monotonic()
    while time.monotonic() - began < HANG_S and process.poll() is None:
        with suppress(OSError, ValueError):
            port, path = file.read_text().split()
            return f"ws://127.0.0.1:{port}{path}"
        time.sleep(0.02)
    raise AssertionError("chromium did not start")


class Page:
    """One page in a window of its own.

    `complaints` are all errors and warnings of its console, `loads` counts how often it was loaded, and `reloads_in_s`
    is the time after which it reloads by itself.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._session = ""
        self.complaints: list[str] = []
        self.loads = 0
        self.reloads_in_s: float | None = None

    async def open(self) -> None:
        # The page ends with this connection; otherwise it would send requests for ever.
        context = (await self.do("Target.createBrowserContext", disposeOnDetach=True))["browserContextId"]
        target = await self.do("Target.createTarget", url="about:blank", browserContextId=context)
        attached = await self.do("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Accessibility"):
            await self.do(f"{domain}.enable")

    async def listen(self) -> None:
        async for message in self._socket:
            reply = message.json()
            if "id" in reply:
                waiting = self._asked.pop(reply["id"])
                if not waiting.cancelled():
                    waiting.set_result(reply)
            else:
                self._note(reply["method"], reply["params"])

    def _note(self, what: str, about: dict[str, Any]) -> None:
        if what == "Page.loadEventFired":
            self.loads += 1
        elif what == "Page.frameScheduledNavigation" and about["reason"] == "metaTagRefresh":
            self.reloads_in_s = about["delay"]
        elif what == "Runtime.exceptionThrown":
            self.complaints.append(str(about["exceptionDetails"]))
        elif what == "Runtime.consoleAPICalled" and about["type"] in COMPLAINTS:
            self.complaints.append(str(about["args"]))
        elif what == "Log.entryAdded" and about["entry"]["level"] in COMPLAINTS:
            self.complaints.append(about["entry"]["text"])

    async def do(self, method: str, **params: object) -> dict[str, Any]:
        """Send one command of the protocol."""
        number = next(self._numbers)
        self._asked[number] = asyncio.get_running_loop().create_future()
        at = {"sessionId": self._session} if self._session else {}
        await self._socket.send_json({"id": number, "method": method, "params": params, **at})
        reply = await asyncio.wait_for(self._asked[number], HANG_S)
        assert "error" not in reply, (method, reply)
        result: dict[str, Any] = reply["result"]
        return result

    async def go(self, url: str) -> None:
        """Open a page, and wait until it is loaded."""
        before = self.loads
        await self.do("Page.navigate", url=url)
        began = time.monotonic()
        while self.loads == before:
            assert time.monotonic() - began < HANG_S, f"{url} did not load"
            await asyncio.sleep(0.01)

    async def value(self, expression: str) -> Any:  # noqa: ANN401 - whatever the script gives
        """Return the value of a script. No policy of the page applies to it."""
        reply = await self.do("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in reply, reply
        return reply["result"].get("value")

    async def text(self, selector: str = "body") -> str:
        """The visible text; empty if there is no such element."""
        return str(await self.value(f"document.querySelector({selector!r})?.innerText ?? ''"))

    async def press(self, key: str) -> None:
        text = {"text": "\r"} if key == "Enter" else {}
        code = {"Tab": 9, "Enter": 13}[key]
        for kind in ("keyDown", "keyUp"):
            await self.do("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **text)

    async def looks(self, *, width: int = 1100, dark: bool = False) -> None:
        """Set the width of the window in CSS pixels, and the preferred colours."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        await self.do("Emulation.setDeviceMetricsOverride", **size)
        preferred = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.do("Emulation.setEmulatedMedia", features=[preferred])

    async def accessibility_tree(self) -> list[tuple[str, str]]:
        """(role, name) of everything in the accessibility tree, in order."""
        nodes = (await self.do("Accessibility.getFullAXTree"))["nodes"]
        return [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node["ignored"]]

    async def picture(self) -> bytes:
        """The whole page as a PNG."""
        taken = await self.do("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(taken["data"])


@asynccontextmanager
async def open_page(address: str) -> AsyncIterator[Page]:
    async with aiohttp.ClientSession() as session, session.ws_connect(address, max_msg_size=0) as socket:
        page = Page(socket)
        listening = asyncio.create_task(page.listen())
        try:
            await page.open()
            yield page
        finally:
            await socket.close()
            await listening
