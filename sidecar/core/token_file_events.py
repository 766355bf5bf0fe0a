"""Frozen records of what happened to token files; see `events`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from sidecar.core.events import Event

TokenFileChange: TypeAlias = Literal["removed", "content", "mode", "created"]
"""How a token file differs from how it was left: gone, other content, another mode, or there although it was removed.
A public, closed set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenFileWritten(Event):
    """The profile's token file holds this token from now on."""

    name = "token_file_written"
    token_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenFileRemoved(Event):
    """The token file was removed: no token can be vended unmarked, or the one that can could not be written in time."""

    name = "token_file_removed"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenFileChanged(Event):
    """Another process changed the token file. It is as it was again."""

    name = "token_file_changed"
    level = "warning"
    change: TokenFileChange


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenFileFailed(Event):
    """The token file could not be written or removed.

    `cause` is the error's symbol, such as ENOSPC, or `not-regular`, `stalled` or `no-thread`; `old_token_left` says
    whether an earlier token can still be read from the file.
    """

    name = "token_file_failed"
    level = "error"
    cause: str
    old_token_left: bool
