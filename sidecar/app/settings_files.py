"""Checks all files that the settings name when a start has failed, so that every problem is reported at once.

Imports neither aiohttp nor redis-py: the certificates that they load may be the cause of the failure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from sidecar.app.background_credentials import BackgroundCredentials
from sidecar.app.seal_keys import read_seal_keys
from sidecar.config.settings import ProfileSettings, Settings
from sidecar.core.errors import ConfigurationError, CredentialsError
from sidecar.file_operations import FileOperationError, FileOperations, FileStalls, read_in_time
from sidecar.file_sink.place import refuse_place
from sidecar.partner.credentials import DirectoryCredentials
from sidecar.web.caller_token_file import first_caller_tokens


def problems_with_files(settings: Settings) -> list[str]:
    """Return the problem of each file that cannot be used, in the same words as a start with these settings."""
    found = [*_problems(partial(_seal_keys, settings)), *_problems(partial(_caller_tokens, settings))]
    for profile in settings.profiles:
        found += _credentials_problems(profile)
        found += _problems(partial(check_token_file, profile))
    return found


def check_token_file(settings: ProfileSettings) -> None:
    """Check the place of the profile's token file. Blocks, for a limited time. Raises `ConfigurationError`."""
    path, origin = settings.sink_file, settings.sink_file_origin
    if path is None:
        return
    try:
        read_in_time(lambda: refuse_place(path, origin))
    except FileOperationError as error:
        raise ConfigurationError([f"{origin}: {path}: {error}"]) from None


def _problems(look: Callable[[], None]) -> Sequence[str]:
    try:
        look()
    except ConfigurationError as error:
        return error.problems
    return ()


def _seal_keys(settings: Settings) -> None:
    """Raises `ConfigurationError`."""
    if settings.seal_key_file is not None:
        read_seal_keys(settings.seal_key_file)


def _caller_tokens(settings: Settings) -> None:
    """Raises `ConfigurationError`."""
    if settings.caller_token_file is not None:
        first_caller_tokens(settings.caller_token_file)


def _credentials_problems(settings: ProfileSettings) -> list[str]:
    if (directory := settings.credentials_dir) is None:
        return []
    operations = FileOperations("credentials", FileStalls())
    try:
        BackgroundCredentials(DirectoryCredentials(directory), operations, str(directory)).read()
    except CredentialsError as error:
        return [f"profile {settings.profile.name}: {problem}" for problem in error.problems]
    return []
