"""The token files that the settings name."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

from sidecar.app.settings_files import check_token_file
from sidecar.config.schema import Settings
from sidecar.config.settings import ProfileSettings
from sidecar.core.events import ConfigurationWarned
from sidecar.core.ports import EventSink
from sidecar.file_operations import FileOperationError, FileOperations, FileStalls, read_in_time
from sidecar.token_file_sink.follower import Follower
from sidecar.token_file_sink.place import leftovers
from sidecar.token_file_sink.token_file import TokenFile
from sidecar.vending.api import TokenProvider
from sidecar.web.admin.app import TokenFileState


def open_token_file(settings: ProfileSettings) -> TokenFile | None:
    """Return the profile's token file for apps that read a file, or None. Blocks, for a limited time.

    Raises `ConfigurationError`.
    """
    check_token_file(settings)
    return None if settings.sink_file is None else TokenFile(settings.sink_file)


def leftovers_in_time(settings: Settings) -> list[str]:
    """Return a warning for each token file of a profile that was removed. Blocks, for a limited time.

    Only the folders of token files in use are searched. A disk that hangs yields no warnings.
    """
    with contextlib.suppress(FileOperationError):
        return read_in_time(lambda: _leftovers(settings))
    return []


class TokenFiles:
    """The token files of a running sidecar."""

    def __init__(self, settings: Settings, stalls: FileStalls, sink: EventSink) -> None:
        self._settings = settings
        self._stalls = stalls
        self._sink = sink
        self._followers: dict[str, Follower] = {}
        """By the name of the profile; only profiles with a token file."""

    def open(self, settings: ProfileSettings, provider: TokenProvider) -> None:
        """Open the profile's token file, if any. Raises `ConfigurationError`."""
        file = open_token_file(settings)
        if file is not None:
            self._followers[settings.profile.name] = Follower(provider, file, self._stalls, self._sink)

    def start(self) -> list[asyncio.Task[None]]:
        """Return the tasks that keep the files current. They run until cancelled, and do not remove the files."""
        work = [follower.run() for follower in self._followers.values()]
        return [asyncio.create_task(each) for each in (*work, *([self._warn_of_leftovers()] if work else []))]

    def state(self, profile: str) -> TokenFileState:
        """Return the state of a profile's token file; "written" for a profile without one."""
        follower = self._followers.get(profile)
        if follower is None:
            return "written"
        if follower.failed:
            return "failed"
        return "awaited" if follower.behind else "written"

    async def _warn_of_leftovers(self) -> None:
        with contextlib.suppress(FileOperationError):
            operations = FileOperations("token-file", self._stalls)
            for warning in await operations.start(lambda: _leftovers(self._settings)):
                self._sink.emit(ConfigurationWarned(warning=warning))


def _leftovers(settings: Settings) -> list[str]:
    files = [one.sink_file for one in settings.profiles if one.sink_file is not None]
    return leftovers(files, list(_other_files(settings)))


def _other_files(settings: Settings) -> Iterator[Path]:
    """Return the files of secrets, which may have the mode and the form of a token file."""
    yield from (path for path in (settings.seal_key_file, settings.caller_token_file) if path is not None)
    for one in settings.profiles:
        if one.credentials_dir is not None:
            yield from (one.credentials_dir / name for name in ("api-key", "api-secret", "signing-key"))
