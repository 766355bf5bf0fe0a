"""The token files that the settings name."""

from __future__ import annotations

import asyncio

from sidecar.config.settings import ProfileSettings
from sidecar.core.errors import ConfigurationError
from sidecar.core.ports import EventSink
from sidecar.file_operations import FileOperationError, FileStalls, read_in_time
from sidecar.file_sink.follower import Follower
from sidecar.file_sink.place import refuse_place
from sidecar.file_sink.token_file import TokenFile
from sidecar.vending.vendor import Vendor
from sidecar.web.admin_api import TokenFileState


def open_token_file(settings: ProfileSettings) -> TokenFile | None:
    """Where the profile's token is kept for apps that read a file. Blocks, for a limited time.

    Raises `ConfigurationError`.
    """
    path, origin = settings.sink_file, settings.sink_file_origin
    if path is None:
        return None
    try:
        read_in_time(lambda: refuse_place(path, origin))
    except FileOperationError as error:
        raise ConfigurationError([f"{origin}: {path}: {error}"]) from None
    return TokenFile(path)


class TokenFiles:
    """The token files of a running sidecar."""

    def __init__(self, stalls: FileStalls, sink: EventSink) -> None:
        self._stalls = stalls
        self._sink = sink
        self._followers: dict[str, Follower] = {}
        """By profile; those without a token file are not in it."""

    def open(self, settings: ProfileSettings, vendor: Vendor) -> None:
        """Raises `ConfigurationError`."""
        file = open_token_file(settings)
        if file is not None:
            self._followers[settings.profile.name] = Follower(vendor, file, self._stalls, self._sink)

    def start(self) -> list[asyncio.Task[None]]:
        """Return the tasks that keep the files true; they run until they are cancelled, and leave the files."""
        return [asyncio.create_task(follower.run()) for follower in self._followers.values()]

    def state(self, profile: str) -> TokenFileState:
        """A profile without a token file has nothing to write."""
        follower = self._followers.get(profile)
        if follower is None:
            return "written"
        if follower.failed:
            return "failed"
        return "awaited" if follower.behind else "written"
