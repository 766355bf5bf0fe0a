"""Reads the files of seal keys and caller tokens repeatedly, so a rotation needs no restart."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine

from sidecar.app import settings_files
from sidecar.app.observers import Observers
from sidecar.app.settings_files import SealKeyFile
from sidecar.config.schema import Settings
from sidecar.core.events import InternalFailure
from sidecar.core.model import Seconds
from sidecar.core.ports import EventSink
from sidecar.core.safe_traceback import bare_trace
from sidecar.credentials import caller_token
from sidecar.credentials.caller_token import CallerTokenFile
from sidecar.file_operations import FileOperations
from sidecar.stores.sealing import OpenSealer, Sealer


class RepeatedLook:
    """Calls `look` every few seconds while `run` runs, and at once after `now`."""

    def __init__(self, look: Callable[[], Awaitable[None]], every_s: Seconds, sink: EventSink) -> None:
        self._look = look
        self._every_s = every_s
        self._sink = sink
        self._asked = asyncio.Event()

    def now(self) -> None:
        """Look at once, or as soon as the current look has ended."""
        self._asked.set()

    async def run(self) -> None:
        """Look until cancelled. A bug in a look is reported, and the next look follows."""
        while True:
            try:
                async with asyncio.timeout(self._every_s):
                    await self._asked.wait()
            except TimeoutError:
                pass
            self._asked.clear()
            try:
                await self._look()
            except Exception as error:  # noqa: BLE001 - after one bug later rotations must still be detected
                self._sink.emit(InternalFailure(where="look at a file", trace=bare_trace(error)))


class WatchedFiles:
    """Opens the files that the settings name, and reads them again while `looks` run."""

    def __init__(self, settings: Settings, observers: Observers) -> None:
        self._settings = settings
        self._observers = observers
        self._looks: list[RepeatedLook] = []

    def sealer(self) -> Sealer:
        """Return the sealer with the keys of the file. Raises `ConfigurationError`."""
        if self._settings.seal_key_file is None:
            return OpenSealer()
        operations = FileOperations("seal-keys", self._observers.stalls)
        file = SealKeyFile(self._settings.seal_key_file, self._observers.sink, operations)
        self._watch(file.look, settings_files.LOOK_EVERY_S)
        return file.sealer

    def caller_tokens(self) -> CallerTokenFile | None:
        """Return the file of caller tokens, if one is set. Raises `ConfigurationError`."""
        if self._settings.caller_token_file is None:
            return None
        operations = FileOperations("caller-tokens", self._observers.stalls)
        learn = self._observers.redactor.register
        file = CallerTokenFile(self._settings.caller_token_file, self._observers.sink, operations, learn)
        self._watch(file.look, caller_token.LOOK_EVERY_S)
        return file

    def look_now(self) -> None:
        for look in self._looks:
            look.now()

    def looks(self) -> list[Coroutine[None, None, None]]:
        """Return one coroutine for each file that was opened; each runs until it is cancelled."""
        return [look.run() for look in self._looks]

    def _watch(self, look: Callable[[], Awaitable[None]], every_s: Seconds) -> None:
        self._looks.append(RepeatedLook(look, every_s, self._observers.sink))
