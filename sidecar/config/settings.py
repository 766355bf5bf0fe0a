"""The settings that the rest of the program uses: frozen, checked and fully parsed.

The declaration of one setting.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

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


T = TypeVar("T")

PREFIX = "SIDECAR_"


@dataclass(frozen=True, slots=True)
class Setting(Generic[T]):
    """One setting: its variable, its parser, its default as text ("" is unset), and its meaning in one line."""

    name: str
    parse: Callable[[str], T]
    default: str
    meaning: str
    per_profile: bool = False
    shown: bool = True
    """Whether an error may quote the refused value; False when the value may be a secret."""
    default_note: str = ""
    """The default as the documentation shows it, if not as its text."""
    empty_counts: bool = False
    """Whether an empty text is a value, which `parse` refuses; otherwise it means unset."""

    @property
    def key(self) -> str:
        """The name in the TOML file."""
        return self.name.removeprefix(PREFIX).lower()

    @property
    def default_shown(self) -> str:
        return self.default_note or self.default or "unset"
