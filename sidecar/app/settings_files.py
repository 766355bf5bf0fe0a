"""The files that the settings name, all looked at once something is wrong: so that every problem is told at once.

Imports neither aiohttp nor redis-py: the certificates that they load may be what is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator

from sidecar.app.background_credentials import BackgroundCredentials
from sidecar.app.seal_keys import read_seal_keys
from sidecar.config.settings import ProfileSettings, Settings
from sidecar.core.errors import ConfigurationError, CredentialsError
from sidecar.file_operations import FileOperationError, FileOperations, FileStalls, read_in_time
from sidecar.file_sink.place import refuse_place
from sidecar.partner.credentials import DirectoryCredentials
from sidecar.web.caller_token_file import first_caller_tokens


def problems_with_files(settings: Settings) -> list[str]:
    """Return what a start with these settings says of each file that cannot be used, and in the same words."""
    found: list[str] = []
    for look in (_seal_keys, _caller_tokens):
        try:
            look(settings)
        except ConfigurationError as error:
            found += error.problems
    for profile in settings.profiles:
        found += _of_profile(profile)
    return found


def _seal_keys(settings: Settings) -> None:
    """Raises `ConfigurationError`."""
    if settings.seal_key_file is not None:
        read_seal_keys(settings.seal_key_file)


def _caller_tokens(settings: Settings) -> None:
    """Raises `ConfigurationError`."""
    if settings.caller_token_file is not None:
        first_caller_tokens(settings.caller_token_file)


def _of_profile(settings: ProfileSettings) -> Iterator[str]:
    if (directory := settings.credentials_dir) is not None:
        operations = FileOperations("credentials", FileStalls())
        try:
            BackgroundCredentials(DirectoryCredentials(directory), operations, str(directory)).read()
        except CredentialsError as error:
            yield from (f"profile {settings.profile.name}: {problem}" for problem in error.problems)
    if (path := settings.sink_file) is not None:
        origin = settings.sink_file_origin
        try:
            read_in_time(lambda: refuse_place(path, origin))
        except FileOperationError as error:
            yield f"{origin}: {path}: {error}"
        except ConfigurationError as error:
            yield from error.problems
