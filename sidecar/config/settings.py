"""The settings that the rest of the program uses: frozen, checked and fully parsed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sidecar.core.listener_limits import Limits
from sidecar.core.model import Address, Credentials, Profile, Seconds, Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileSettings:
    """One partner account. Exactly one of `credentials_dir` and `credentials` is set."""

    profile: Profile
    credentials_dir: Path | None
    credentials: Credentials | None
    credentials_origin: str
    """The name of the setting with the credentials, as it was written; safe to show."""
    sink_file: Path | None
    """None: the token is written to no file."""
    sink_file_origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of a sidecar; `profiles` is never empty and keeps the file's order."""

    listen: tuple[Address, ...]
    admin_listen: tuple[Address, ...]
    store_url: Secret
    """Secret as a whole: it may hold the store's password."""
    store_timeout_s: Seconds
    seal_key_file: Path | None
    """None where tokens are not sealed: a `memory://` store without keys, or `seal` off."""
    seal: bool
    require_header: bool
    caller_token_file: Path | None
    forward_auth: bool
    allowed_hosts: tuple[str, ...]
    """In lower case, without the loopback names, which are always allowed."""
    allowed_uids: frozenset[int] | None
    """None: any peer that can open the socket."""
    limits: Limits
    warm: bool
    log_format: str
    """`json` or `console`."""
    log_level: str
    """`debug`, `info`, `warning` or `error`."""
    audit: str
    """`off`, `changes` or `all`."""
    drain_s: Seconds
    traces: bool
    """Whether OpenTelemetry's variables ask for spans."""
    profiles: tuple[ProfileSettings, ...]
    warnings: tuple[str, ...]
    """One sentence each, without secrets, for the log at the start."""
