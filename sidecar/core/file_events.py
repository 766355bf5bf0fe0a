"""Frozen records of what happened to files; see `events`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from sidecar.core.events import Event

FileName: TypeAlias = Literal[
    "credentials",
    "caller-tokens",
    "seal-keys",
    "store-password",
    "store-certificates",
    "partner-certificates",
    "token-file",
]
"""What a file is for. A public, closed set: a label of a metric, a field of events, words of `/status.json`."""


class StalledFile(NamedTuple):
    """A file of which an operation hangs; `profile` is empty where all profiles share the file."""

    file: FileName
    profile: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileStalled(Event):
    """An operation on a file takes so long that its file system counts as hung."""

    name = "file_stalled"
    level = "error"
    file: FileName


@dataclass(frozen=True, slots=True, kw_only=True)
class FileStallEnded(Event):
    """The operation that hung has returned, with or without success."""

    name = "file_stall_ended"
    file: FileName


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnerCertificatesChanged(Event):
    """Partner calls trust the certificates that the files hold now."""

    name = "partner_certificates_changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnerCertificatesUnreadable(Event):
    """The changed files of trusted certificates cannot be used; the previous ones stay in use."""

    name = "partner_certificates_unreadable"
    level = "error"
    problem: str
