"""Errors of a file that cannot be the store, although it may be a database."""

from __future__ import annotations

from sidecar.core.errors import SidecarError


class FileError(SidecarError):
    """The file exists, but cannot be used here."""


class ForeignFileError(FileError):
    """It is the database of another program."""


class FileVersionError(FileError):
    """It was written by another version of this program."""


class SharedFileError(FileError):
    """Another user may change the file or its folder; the text says what to do and names no path."""
