"""Builds the store for a URL."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from sidecar.core.errors import ConfigurationError
from sidecar.core.model import Profile, Seconds
from sidecar.core.ports import Clock, SharedState
from sidecar.core.store_url import FileUrl, MemoryUrl, StoreUrl
from sidecar.file_operations import FileOperationError, FileStalls, read_in_time
from sidecar.stores.engine import MemoryStore
from sidecar.stores.sealing import Sealer


class Store(Protocol):
    """The store that the replicas of a fleet share."""

    @property
    def kind(self) -> str:
        """Return the kind of store, safe to log."""
        ...

    def shared_state(self, profile: Profile) -> SharedState: ...

    async def ping(self) -> None:
        """Raises `StoreError` when the store cannot be reached."""
        ...

    async def close(self) -> None:
        """Let running operations end, and close every connection."""
        ...


def open_store(
    url: StoreUrl, *, timeout_s: Seconds, sealer: Sealer | None, clock: Clock, stalls: FileStalls | None = None
) -> Store:
    """Build the store; connects to nothing yet.

    `timeout_s` limits one operation, connect included. `sealer` may be None only for `memory://`. `stalls`
    records files that hang. Raises `ConfigurationError`.
    """
    if isinstance(url, MemoryUrl):
        return MemoryStore(clock)
    if sealer is None:
        raise ConfigurationError(["SIDECAR_STORE: a store outside this process needs SIDECAR_SEAL_KEY_FILE"])
    if isinstance(url, FileUrl):
        return _open_file(url.path, timeout_s=timeout_s, sealer=sealer, clock=clock)
    # Imported late: memory:// runs without redis-py.
    from sidecar.stores.redis.store import RedisStore

    return RedisStore(url, timeout_s=timeout_s, sealer=sealer, clock=clock, stalls=stalls)


def _open_file(path: Path, *, timeout_s: Seconds, sealer: Sealer, clock: Clock) -> Store:
    """Build the file store, and create its folder if only that folder is missing.

    Raises `ConfigurationError` for problems at the start: they would otherwise be reported as store faults for ever.
    """
    from sidecar.stores.sqlite.errors import SharedFileError
    from sidecar.stores.sqlite.store import SqliteStore

    try:
        read_in_time(lambda: _prepare(path))
    except FileOperationError as error:
        problem = f"the folder of its file: {error}"
    except FileNotFoundError:
        problem = "the folder of its file does not exist: make it, or mount it"
    except SharedFileError as error:
        problem = str(error)
    except OSError as error:
        problem = f"the folder of its file cannot be used or made ({error.strerror or type(error).__name__})"
    else:
        return SqliteStore(path, timeout_s=timeout_s, sealer=sealer, clock=clock)
    raise ConfigurationError([f"SIDECAR_STORE: {problem}"])


def _prepare(path: Path) -> None:
    """Make the folder of the file if it is missing. Raises `OSError`, `SharedFileError`."""
    from sidecar.stores.sqlite.database import refuse_shared

    # The folders above it are not created: a missing volume must not be replaced by a folder.
    path.parent.mkdir(mode=0o700, exist_ok=True)
    refuse_shared(path)
