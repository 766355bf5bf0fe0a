"""Users, passwords and certificates for a store, from its URL. Each file has one reader."""

from __future__ import annotations

from pathlib import Path

from sidecar.core.model import Seconds, Secret
from sidecar.core.redis_url import RedisUrl
from sidecar.file_operations import FileOperations, FileStalls
from sidecar.stores.redis.certificates import Certificates
from sidecar.stores.redis.password_file import FileLogin, Login
from sidecar.stores.redis.replaceable_pool import OPTIONAL_WAIT


class Access:
    """`server` and `sentinel` are logins, None where none is required; `certificates` is None without TLS.

    The sentinels have users of their own.
    """

    def __init__(self, url: RedisUrl, stalls: FileStalls, timeout_s: Seconds) -> None:
        """`timeout_s` limits one connection, its files included."""
        self._stalls = stalls
        self._wait_s = timeout_s * OPTIONAL_WAIT
        self.server = self._login(url.username, url.password, url.password_file)
        self.sentinel = self._login(url.sentinel_username, None, url.sentinel_password_file)
        operations = FileOperations("store-certificates", stalls)
        self.certificates = Certificates(url, operations, self._wait_s) if url.tls else None

    def _login(self, username: str, password: Secret | None, file: Path | None) -> Login | None:
        if file is not None:
            return FileLogin(username, file, FileOperations("store-password", self._stalls), self._wait_s)
        return None if password is None else Login(username, password)
