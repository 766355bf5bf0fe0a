"""A real mounted file system that a test can make hang, as a dead NFS server or FUSE process does.

It implements the part of the kernel's FUSE protocol (linux/fuse.h, version 7.31) that reading files needs.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_LOOKUP, _FORGET, _GETATTR, _READLINK, _OPEN, _READ, _INIT, _OPENDIR, _READDIR = 1, 2, 3, 5, 14, 15, 26, 27, 28
_STATFS, _RELEASE, _FLUSH, _RELEASEDIR, _INTERRUPT, _BATCH_FORGET = 17, 18, 25, 29, 36, 42
_UNANSWERED = (_FORGET, _INTERRUPT, _BATCH_FORGET)
_IN_HEADER, _OUT_HEADER = struct.Struct("<IIQQIIII"), struct.Struct("<IiQ")
_LIBC = ctypes.CDLL(None, use_errno=True)
_DIRECT_IO = 1
_DETACH = 2
_MAX_REQUEST_BYTES = 256 * 1024


class HangingFolder:
    """`path` shows the files of `real`, read only. Nothing is cached: each operation on them comes to this object."""

    def __init__(self, path: Path, real: Path, device: int) -> None:
        self.path = path
        self.real = real
        self._device = device
        self._paths = {1: real}
        self._answers = threading.Event()
        self._answers.set()
        self._asked = threading.Event()
        self._wake, self._end = os.pipe()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def hang(self) -> None:
        """Answer no operation from now on."""
        self._asked.clear()
        self._answers.clear()

    def answer(self) -> None:
        """Answer operations again, also those that wait."""
        self._answers.set()

    @property
    def is_waited_for(self) -> bool:
        """Return whether an operation has been waiting since `hang`."""
        return self._asked.is_set()

    def close(self) -> None:
        """Unmount it. Operations that wait get an error."""
        self._answers.set()
        os.write(self._end, b".")
        self._thread.join()
        for descriptor in (self._device, self._wake, self._end):
            os.close(descriptor)
        _LIBC.umount2(os.fsencode(self.path), _DETACH)

    def _serve(self) -> None:
        while True:
            ready, _, _ = select.select((self._device, self._wake), (), ())
            if self._wake in ready:
                return
            if not self._answers.is_set():
                # It stays in the kernel: a process whose request was read from there cannot be killed.
                self._asked.set()
                self._answers.wait()
                continue
            try:
                request = os.read(self._device, _MAX_REQUEST_BYTES)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.EINTR):
                    continue  # the request was withdrawn
                return
            _, code, unique, node, *_ = _IN_HEADER.unpack_from(request)
            if code in _UNANSWERED:
                continue
            self._reply(unique, code, node, request[_IN_HEADER.size :])

    def _reply(self, unique: int, code: int, node: int, body: bytes) -> None:
        answer, failure = b"", 0
        try:
            answer = self._answer(code, node, body)
        except OSError as error:
            failure = -(error.errno or errno.EIO)
        try:
            os.write(self._device, _OUT_HEADER.pack(_OUT_HEADER.size + len(answer), failure, unique) + answer)
        except OSError:
            return  # the process was killed

    def _answer(self, code: int, node: int, body: bytes) -> bytes:
        answers: dict[int, Callable[[], bytes]] = {
            _INIT: lambda: struct.pack("<IIIIHHIIHHI28x", 7, 31, 65536, 0, 12, 9, 65536, 1, 0, 0, 0),
            _LOOKUP: lambda: self._entry(self._paths[node] / os.fsdecode(body.rstrip(b"\0"))),
            _GETATTR: lambda: struct.pack("<QII", 0, 0, 0) + _attributes(self._paths[node]),
            _READLINK: lambda: os.fsencode(self._paths[node].readlink()),
            _OPEN: lambda: struct.pack("<QII", 0, _DIRECT_IO, 0),
            _OPENDIR: lambda: struct.pack("<QII", 0, 0, 0),
            _READ: lambda: _part(self._paths[node].read_bytes(), body),
            _READDIR: lambda: _part(_names(self._paths[node]), body),
            _STATFS: lambda: struct.pack("<QQQQQIIII24x", 0, 0, 0, 0, 0, 4096, 255, 4096, 0),
            _RELEASE: bytes,
            _RELEASEDIR: bytes,
            _FLUSH: bytes,
        }
        if code not in answers:
            raise OSError(errno.ENOSYS, "")
        return answers[code]()

    def _entry(self, path: Path) -> bytes:
        attributes = _attributes(path)
        node = path.lstat().st_ino
        self._paths[node] = path
        return struct.pack("<QQQQII", node, 0, 0, 0, 0, 0) + attributes


def _part(content: bytes, body: bytes) -> bytes:
    _, offset, size = struct.unpack_from("<QQI", body)
    return content[offset : offset + size]


def _names(path: Path) -> bytes:
    entries = b""
    for name in sorted(os.listdir(path)):  # noqa: PTH208 - names, not paths
        raw = os.fsencode(name)
        padded = raw + b"\0" * (-len(raw) % 8)
        entries += struct.pack("<QQII", path.lstat().st_ino, len(entries) + 24 + len(padded), len(raw), 0) + padded
    return entries


def _attributes(path: Path) -> bytes:
    found = path.lstat()
    times = [divmod(at, 10**9) for at in (found.st_atime_ns, found.st_mtime_ns, found.st_ctime_ns)]
    return struct.pack(
        "<QQQQQQIIIIIIIIII",
        *(found.st_ino, found.st_size, found.st_blocks, *(s for s, _ in times), *(n for _, n in times)),
        *(found.st_mode, found.st_nlink, found.st_uid, found.st_gid, 0, 4096, 0),
    )


def mount(path: Path) -> HangingFolder | None:
    """Mount one at `path`, with its files in a folder next to it; None if that is not allowed. The caller closes it."""
    real = path.with_name(f"{path.name}-real")
    for folder in (path, real):
        folder.mkdir(parents=True)
    try:
        device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    options = f"fd={device},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()},allow_other"
    if _LIBC.mount(b"hanging", os.fsencode(path), b"fuse", 0, options.encode()):
        os.close(device)
        return None
    return HangingFolder(path, real, device)


@contextmanager
def hanging_folder(path: Path) -> Iterator[HangingFolder]:
    """Mount one as `mount` does; skip the test if that is not allowed."""
    folder = mount(path)
    if folder is None:
        pytest.skip("mounting a FUSE file system is not allowed here")
    try:
        yield folder
    finally:
        folder.close()
